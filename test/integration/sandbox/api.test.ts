import {CoreV1Api, KubeConfig, Watch} from '@kubernetes/client-node'
import {existsSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {stringify} from 'yaml'

import type {StatusBody} from '../../../sandbox/api/status.ts'
import type {Deployment, Obj, Pod} from '../../../sandbox/api/types.ts'
import {Client, DEPLOYMENTS, PODS, cluster, command, webServer} from './cluster.ts'

const root = process.getuid?.() === 0
const kubectls = ['/usr/bin/kubectl', '/usr/local/bin/kubectl', '/var/lib/mirrord-cluster/bin/hyperkube'].filter(
  existsSync,
)

describe.skipIf(!root)('API server of the sandbox (root)', () => {
  let client: Client
  beforeAll(async () => {
    client = await cluster({
      tokens: [
        {name: 'dev', groups: [], token: 'good'},
        {name: 'old', groups: [], token: 'stale', expires: new Date(Date.now() - 1000)},
      ],
      denials: [{user: 'dev', verb: 'create', resource: 'pods'}],
    })
  })
  afterAll(() => client?.sandbox.stop())

  const as = async (name: string, token: string) =>
    new Client(client.sandbox, await client.sandbox.kubeconfigFor({name, token}))

  test('who may not come in: 401 for bad credentials, 403 for none', async () => {
    for (const token of ['stale', 'unknown']) {
      const {code, body} = await (await as('x', token)).call<StatusBody>('GET', PODS)
      expect([code, body.kind, body.reason, body.message]).toEqual([401, 'Status', 'Unauthorized', 'Unauthorized'])
    }
    const expired = new Client(
      client.sandbox,
      await client.sandbox.kubeconfigFor({name: 'late', notAfter: new Date(Date.now() - 1000)}),
    )
    expect((await expired.call('GET', PODS)).code).toBe(401)
    const anonymous = new Client(client.sandbox, await as('x', 'x').then((c) => c.kubeconfig))
    const {code, body} = await anonymous.call<StatusBody>('GET', PODS, undefined, {authorization: 'Bearer good'})
    expect([code, body.kind]).toEqual([200, 'PodList'])
  })

  test('a denial answers as RBAC does, and the access review agrees', async () => {
    const dev = await as('dev', 'good')
    const {code, body} = await dev.call<StatusBody>('POST', PODS, {metadata: {name: 'x'}})
    expect(code).toBe(403)
    expect(body.message).toBe(
      'pods is forbidden: User "dev" cannot create resource "pods" in API group "" in the namespace "default"',
    )
    const ask = (verb: string) =>
      dev.call<Obj>('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
        spec: {resourceAttributes: {verb, resource: 'pods', namespace: 'default'}},
      })
    expect((await ask('create')).body.status).toEqual({allowed: false})
    expect((await ask('list')).body.status).toEqual({allowed: true})
    const allow = client.sandbox.deny({user: 'dev', resource: 'pods/log'})
    expect((await dev.call('GET', `${PODS}/x/log`)).code).toBe(403)
    allow()
    expect((await dev.call('GET', `${PODS}/x/log`)).code).toBe(404)
  })

  test('errors have the bodies of a real server', async () => {
    const path = '/api/v1/namespaces/default/configmaps'
    const missing = await client.call<StatusBody>('GET', `${DEPLOYMENTS}/none`)
    expect(missing).toEqual({
      code: 404,
      body: {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: 'deployments.apps "none" not found',
        reason: 'NotFound',
        details: {name: 'none', group: 'apps', kind: 'deployments'},
        code: 404,
      },
    })
    const map = await client.create<Obj>(path, {metadata: {name: 'm'}, data: {a: '1'}})
    expect((await client.call<StatusBody>('POST', path, {metadata: {name: 'm'}})).body.reason).toBe('AlreadyExists')
    const put = (data: object) => client.call<StatusBody & Obj>('PUT', `${path}/m`, {...map, data})
    expect((await put({a: '2'})).code).toBe(200)
    expect((await put({a: '3'})).body).toMatchObject({code: 409, reason: 'Conflict'})
    const invalid = await client.call<StatusBody>('POST', DEPLOYMENTS, {
      metadata: {name: 'd'},
      spec: {
        selector: {matchLabels: {a: 'b'}},
        template: {metadata: {labels: {a: 'c'}}, spec: {containers: [{name: 'c', image: 'i'}]}},
      },
    })
    expect(invalid.body).toMatchObject({
      code: 422,
      reason: 'Invalid',
      details: {causes: [{field: 'spec.template.metadata.labels'}]},
    })
    expect((await client.call('GET', '/api/v1/namespaces/default/wonders')).code).toBe(404)
    expect((await client.call('POST', '/api/v1/namespaces/nowhere/configmaps', {metadata: {name: 'm'}})).code).toBe(404)
    const apply = await client.call<StatusBody>(
      'PATCH',
      `${path}/m`,
      {},
      {'content-type': 'application/apply-patch+yaml'},
    )
    expect([apply.code, apply.body.reason]).toEqual([415, 'UnsupportedMediaType'])
    expect(
      (
        await client.call('PATCH', `${path}/m`, [{op: 'replace', path: '/data/a', value: '9'}], {
          'content-type': 'application/json-patch+json',
        })
      ).code,
    ).toBe(200)
  })

  test('lists in pages, selectors, and a watch from a version', async () => {
    const path = '/api/v1/namespaces/default/secrets'
    for (const n of [1, 2, 3, 4, 5])
      await client.create(path, {metadata: {name: `s${n}`, labels: {even: String(n % 2 === 0)}}})
    type Page = {metadata: {continue?: string; resourceVersion: string}; items: Obj[]}
    const first = await client.call<Page>('GET', `${path}?limit=2`)
    const second = await client.call<Page>('GET', `${path}?limit=10&continue=${first.body.metadata.continue}`)
    expect([...first.body.items, ...second.body.items].map((o) => o.metadata.name)).toEqual([
      's1',
      's2',
      's3',
      's4',
      's5',
    ])
    const selected = await client.call<Page>('GET', `${path}?labelSelector=even%20in%20(true),even`)
    expect(selected.body.items.map((o) => o.metadata.name)).toEqual(['s2', 's4'])
    expect((await client.call<StatusBody>('GET', `${path}?fieldSelector=data.x%3Dy`)).code).toBe(400)
    const partial = await client.call<Obj>('GET', '/api/v1/nodes/sandbox-node', undefined, {
      accept: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
    })
    expect(partial.body).toMatchObject({
      kind: 'PartialObjectMetadata',
      metadata: {labels: {'kubernetes.io/hostname': 'sandbox-node'}},
    })
  })

  test('@kubernetes/client-node lists and watches', async () => {
    const config = new KubeConfig()
    config.loadFromFile(client.kubeconfig)
    const core = config.makeApiClient(CoreV1Api)
    expect((await core.listNode()).items.map((node) => node.metadata?.name)).toEqual(['sandbox-node'])
    const events: string[] = []
    await new Promise<void>((resolve, reject) => {
      void new Watch(config)
        .watch(
          '/api/v1/namespaces/default/configmaps',
          {fieldSelector: 'metadata.name=watched'},
          (type, object: Obj) => {
            events.push(`${type} ${JSON.stringify(object.data)}`)
            if (type === 'DELETED') resolve()
          },
          (error) => reject(error instanceof Error ? error : new Error('the watch ended')),
        )
        .then(async () => {
          await core.createNamespacedConfigMap({
            namespace: 'default',
            body: {metadata: {name: 'watched'}, data: {a: '1'}},
          })
          await core.patchNamespacedConfigMap({
            namespace: 'default',
            name: 'watched',
            body: [{op: 'replace', path: '/data/a', value: '2'}],
          })
          await core.deleteNamespacedConfigMap({namespace: 'default', name: 'watched'})
        })
    })
    expect(events).toEqual(['ADDED {"a":"1"}', 'MODIFIED {"a":"2"}', 'DELETED {"a":"2"}'])
  })

  test('a namespace takes everything in it along', async () => {
    await client.create('/api/v1/namespaces', {metadata: {name: 'team'}})
    const {deployment} = webServer('web', 1)
    await client.create('/apis/apps/v1/namespaces/team/deployments', deployment)
    await client.until<Deployment>(
      '/apis/apps/v1/namespaces/team/deployments',
      'web',
      (d) => d?.status?.availableReplicas === 1,
    )
    const {body} = await client.call<Obj>('DELETE', '/api/v1/namespaces/team')
    expect(body.status).toEqual({phase: 'Terminating'})
    await client.until<Obj>('/api/v1/namespaces', 'team', (o) => o === undefined).catch(() => {})
    expect(
      (await client.call<{items: Pod[]}>('GET', '/api/v1/pods')).body.items.filter(
        (pod) => pod.metadata.namespace === 'team',
      ),
    ).toEqual([])
  })

  for (const binary of kubectls) {
    test(`${binary}: apply, get, describe, logs, rollout, delete`, async () => {
      const kubectl = (...args: string[]) =>
        command(binary, [...(binary.endsWith('hyperkube') ? ['kubectl'] : []), ...args], {
          KUBECONFIG: client.kubeconfig,
          HOME: client.sandbox.stateDir,
        })
      const {deployment, service} = webServer('kweb', 1)
      const file = join(client.sandbox.stateDir, 'app.yaml')
      const write = (text: string) =>
        writeFileSync(
          file,
          [
            {apiVersion: 'apps/v1', kind: 'Deployment', ...deployment},
            {apiVersion: 'v1', kind: 'Service', ...service},
          ]
            .map((o) => stringify(o))
            .join('---\n')
            .replaceAll('hello', text),
        )
      write('hello')
      expect(await kubectl('apply', '-f', file)).toContain('deployment.apps/kweb created')
      await kubectl('rollout', 'status', 'deployment/kweb', '--timeout=30s')
      expect(await kubectl('apply', '-f', file)).toContain('deployment.apps/kweb unchanged')
      write('changed')
      expect(await kubectl('apply', '-f', file)).toContain('deployment.apps/kweb configured')
      await kubectl('rollout', 'status', 'deployment/kweb', '--timeout=30s')
      expect(await kubectl('get', 'pods', '-l', 'app=kweb', '-o', 'wide')).toMatch(
        /kweb-\S+\s+1\/1\s+Running\s+0\s+\S+\s+10\.211\.\S+\s+sandbox-node/,
      )
      expect(await kubectl('describe', 'pod', '-l', 'app=kweb')).toMatch(/Started container web/)
      expect(await kubectl('logs', 'deployment/kweb')).toBe('listening\n')
      expect(await kubectl('get', 'deploy,rs,svc,ep,events,nodes,ns', '-A')).toContain('deployment.apps/kweb')
      expect(await kubectl('auth', 'can-i', 'create', 'jobs')).toBe('yes\n')
      await kubectl('wait', '--for=condition=Available', 'deployment/kweb', '--timeout=10s')
      await kubectl('delete', '-f', file, '--timeout=30s')
      expect(await kubectl('get', 'deploy', 'kweb', '--ignore-not-found')).toBe('')
    })
  }
  if (!kubectls.length) test.skip('kubectl: there is none on this machine', () => {})
})
