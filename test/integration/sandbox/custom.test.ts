import {existsSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {R} from '../../../sandbox/api/resources.ts'
import type {StatusBody} from '../../../sandbox/api/status.ts'
import type {Obj, Pod} from '../../../sandbox/api/types.ts'
import {listTargets, loadCluster} from '../../../src/kube/index.ts'
import type {Client} from './cluster.ts'
import {cluster, command} from './cluster.ts'

const root = process.getuid?.() === 0
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const WIDGETS = '/apis/test.dev/v1beta1/namespaces/default/widgets'

const definition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: {name: 'widgets.test.dev'},
  spec: {
    group: 'test.dev',
    scope: 'Namespaced',
    names: {kind: 'Widget', plural: 'widgets', shortNames: ['wd']},
    versions: [
      {
        name: 'v1beta1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                required: ['size'],
                properties: {size: {type: 'string', enum: ['small', 'large']}},
              },
            },
          },
        },
      },
    ],
  },
}
const widget = (name: string, spec: object = {size: 'small'}) => ({
  apiVersion: 'test.dev/v1beta1',
  kind: 'Widget',
  metadata: {name},
  spec,
})

describe.skipIf(!root)('custom resources of the sandbox (root)', () => {
  let client: Client
  beforeAll(async () => {
    client = await cluster()
  })
  afterAll(() => client?.sandbox.stop())

  test('a definition adds a resource, which is checked, discovered, listed and watched as others are', async () => {
    expect((await client.call('GET', WIDGETS)).code).toBe(404)
    await client.create(DEFINITIONS, definition)
    const established = await client.until(DEFINITIONS, 'widgets.test.dev', (object) => object?.status !== undefined)
    expect(established.status).toMatchObject({storedVersions: ['v1beta1']})
    const group = await client.call('GET', '/apis/test.dev')
    expect(group.body).toMatchObject({preferredVersion: {groupVersion: 'test.dev/v1beta1'}})
    const {body} = await client.call<{resources: object[]} & Obj>('GET', '/apis/test.dev/v1beta1')
    expect(body.resources).toMatchObject([{name: 'widgets', kind: 'Widget', namespaced: true, shortNames: ['wd']}])

    const made = await client.create(WIDGETS, widget('one', {size: 'small', colour: 'red'}))
    expect(made).toMatchObject({apiVersion: 'test.dev/v1beta1', kind: 'Widget', spec: {size: 'small'}})
    expect(made.spec).not.toHaveProperty('colour')
    const wrong = await client.call<StatusBody>('POST', WIDGETS, widget('two', {size: 'huge'}))
    expect([wrong.code, wrong.body.message]).toEqual([
      422,
      'Widget.test.dev "two" is invalid: spec.size: Unsupported value: "huge": supported values: "small", "large"',
    ])
    expect((await client.call('POST', WIDGETS, widget('two', {}))).code).toBe(422)
    const missing = await client.call<StatusBody>('GET', `${WIDGETS}/none`)
    expect([missing.code, missing.body.message]).toEqual([404, 'widgets.test.dev "none" not found'])
    expect((await client.call('GET', '/apis/test.dev/v1/namespaces/default/widgets')).code).toBe(404)
    const all = await client.call<Obj & {items: Obj[]}>('GET', '/apis/test.dev/v1beta1/widgets')
    expect(all.body).toMatchObject({kind: 'WidgetList', items: [{kind: 'Widget', metadata: {name: 'one'}}]})
  })

  test('objects go with their namespace, and with their definition', async () => {
    await client.create('/api/v1/namespaces', {metadata: {name: 'short'}})
    const there = '/apis/test.dev/v1beta1/namespaces/short/widgets'
    await client.create(there, widget('a'))
    await client.call('DELETE', '/api/v1/namespaces/short')
    await client.until('/api/v1/namespaces', 'short', (object) => object === undefined)
    expect((await client.call('GET', `${there}/a`)).code).toBe(404)
    await client.call('DELETE', `${DEFINITIONS}/widgets.test.dev`)
    expect((await client.call('GET', WIDGETS)).code).toBe(404)
    await client.create(DEFINITIONS, definition)
    await client.until(DEFINITIONS, 'widgets.test.dev', (object) => object?.status !== undefined)
    const {body} = await client.call<{items: object[]} & Obj>('GET', WIDGETS)
    expect(body.items).toEqual([])
  })

  test('a definition that makes no sense is refused', async () => {
    const change = (spec: object, name = 'widgets.test.dev') => ({
      ...definition,
      metadata: {name},
      spec: {...definition.spec, ...spec},
    })
    const bodies = [
      change({}, 'other.test.dev'),
      change({scope: 'Everywhere'}),
      change({versions: []}),
      change({names: {plural: 'widgets'}}),
      change({versions: [{name: 'v1', served: true, storage: true}]}),
    ]
    for (const body of bodies) expect((await client.call('POST', DEFINITIONS, body)).code).toBe(422)
  })

  test.skipIf(!existsSync('/usr/bin/kubectl'))('kubectl applies, lists and deletes them', async () => {
    const kubectl = (...args: string[]) =>
      command('/usr/bin/kubectl', args, {KUBECONFIG: client.kubeconfig, HOME: client.sandbox.stateDir})
    const file = join(client.sandbox.stateDir, 'widget.json')
    writeFileSync(file, JSON.stringify(widget('applied')))
    expect(await kubectl('apply', '-f', file)).toContain('widget.test.dev/applied created')
    expect(await kubectl('get', 'wd')).toMatch(/NAME\s+AGE\napplied\s+\d+s/)
    expect(await kubectl('get', 'crd')).toContain('widgets.test.dev')
    await kubectl('delete', '-f', file)
    await kubectl('delete', 'crd', 'widgets.test.dev')
  })

  test('mirrord ls finds thousands of pods, in pages [LIF-18]', async () => {
    const {store} = client.sandbox
    const count = 2600
    for (let index = 0; index < count; index++) {
      const name = `many-${String(index).padStart(4, '0')}`
      // On no node of this cluster: nothing runs.
      store.create<Pod>(R.pods, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {name, namespace: 'default', uid: '', resourceVersion: '', creationTimestamp: ''},
        spec: {nodeName: 'elsewhere', containers: [{name: 'app', image: 'x:1'}]},
        status: {
          phase: 'Running',
          conditions: [{type: 'Ready', status: 'True'}],
          containerStatuses: [
            {
              ...{name: 'app', image: 'x:1', imageID: 'x', ready: true, started: true, restartCount: 0},
              ...{state: {running: {startedAt: '2026-01-01T00:00:00Z'}}, lastState: {}},
            },
          ],
        },
      })
    }
    const found = await loadCluster({kubeconfig: client.kubeconfig}, {})
    const {targets} = await listTargets(found, {namespace: 'default'})
    found.client.close()
    expect(targets).toHaveLength(count)
    expect(new Set(targets.map(({path}) => path)).size).toBe(count)
  })
})
