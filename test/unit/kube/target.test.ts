import {afterEach, describe, expect, it} from 'vitest'
import {resolveTarget, type Cluster} from '../../../src/kube/index.ts'
import {refusal} from '../../refusal.ts'
import {clusterFor, fakeApi, type FakeApi} from './fake-api.ts'

let api: FakeApi | undefined
let cluster: Cluster | undefined
let rawPaths: string[] = []
afterEach(async () => {
  cluster?.client.close()
  await api?.close()
})

const pod = (name: string, ready = true, container = 'app') => ({
  metadata: {name, namespace: 'n'},
  spec: {nodeName: 'node-1'},
  status: {
    phase: 'Running',
    podIPs: [{ip: '10.0.0.1'}],
    containerStatuses: [{name: container, ready, containerID: 'containerd://abc', state: {running: {}}}],
  },
})
const deployment = (replicas = 2) => ({
  metadata: {name: 'web'},
  spec: {replicas, selector: {matchLabels: {app: 'web'}}},
})

/** Objects by path; a number is a refusal with that status, everything else is not found. */
const serve = async (objects: Record<string, unknown>) => {
  rawPaths = []
  api = await fakeApi(({url = ''}) => {
    rawPaths.push(url)
    const {pathname} = new URL(url, 'http://x')
    const found = objects[pathname]
    if (typeof found === 'number') return {status: found, body: {message: 'refused'}}
    return found === undefined ? {status: 404, body: {message: 'not found', reason: 'NotFound'}} : {body: found}
  })
  cluster = await clusterFor(api.url, {namespace: 'n'})
  return cluster
}
const core = '/api/v1/namespaces/n'
const apps = '/apis/apps/v1/namespaces/n'

describe('resolveTarget', () => {
  it('finds a pod in the context’s namespace, with its node’s hostname', async () => {
    const found = await resolveTarget(
      await serve({
        [`${core}/pods/a`]: pod('a'),
        '/api/v1/nodes/node-1': {metadata: {labels: {'kubernetes.io/hostname': 'host-1'}}},
      }),
      {kind: 'pod', name: 'a'},
    )
    expect(found).toMatchObject({name: 'a', target: 'pod/a', nodeHostname: 'host-1', others: [], containerId: 'abc'})
  })

  it('takes the first ready pod of a deployment by its whole selector', async () => {
    const found = await resolveTarget(
      await serve({
        [`${apps}/deployments/web`]: deployment(),
        [`${core}/pods`]: {items: [pod('a', false), pod('b'), pod('c')]},
        '/api/v1/nodes/node-1': 403,
      }),
      {kind: 'deployment', name: 'web'},
    )
    expect(found).toMatchObject({name: 'b', others: ['c'], nodeHostname: undefined})
    expect(api?.requests).toContain(`GET ${core}/pods?labelSelector=app=web&limit=500`)
  })

  const selector = {matchLabels: {app: 'web'}}
  const templated = {template: {metadata: {labels: {app: 'web'}}}}
  const group = '/apis/argoproj.io/v1alpha1/namespaces/n'
  it.each([
    ['replicaset', {[`${apps}/replicasets/web`]: {spec: {replicas: 1, selector}}}, 'app=web'],
    ['statefulset', {[`${apps}/statefulsets/web`]: {spec: {selector}}}, 'app=web'],
    ['daemonset', {[`${apps}/daemonsets/web`]: {spec: {selector}, status: {desiredNumberScheduled: 1}}}, 'app=web'],
    ['job', {'/apis/batch/v1/namespaces/n/jobs/web': {spec: {selector}, status: {active: 1}}}, 'app=web'],
    [
      'cronjob',
      {'/apis/batch/v1/namespaces/n/cronjobs/web': {status: {active: [{name: 'web-1'}, {name: 'web-2'}]}}},
      'job-name in (web-1,web-2)',
    ],
    ['service', {[`${core}/services/web`]: {spec: {selector: {app: 'web', tier: 'a'}}}}, 'app=web,tier=a'],
    ['rollout', {[`${group}/rollouts/web`]: {spec: {selector}}}, 'app=web'],
    [
      'rollout',
      {
        [`${group}/rollouts/web`]: {spec: {workloadRef: {apiVersion: 'apps/v1', kind: 'Deployment', name: 'base'}}},
        [`${apps}/deployments/base`]: {spec: {replicas: 0, selector}},
      },
      'app=web',
    ],
    [
      'rollout',
      {
        [`${group}/rollouts/web`]: {spec: {workloadRef: {apiVersion: 'v1', kind: 'PodTemplate', name: 'base'}}},
        [`${core}/podtemplates/base`]: templated,
      },
      'app=web',
    ],
  ] as const)('[LIF-21] finds the first ready pod of a %s', async (kind, objects, labelSelector) => {
    const found = await resolveTarget(
      await serve({...objects, [`${core}/pods`]: {items: [pod('a', false), pod('b')]}, '/api/v1/nodes/node-1': 403}),
      {kind, name: 'web'},
    )
    expect(found).toMatchObject({name: 'b', target: `${kind}/web`})
    const asked = api?.requests.map((request) => request.replaceAll('+', ' '))
    expect(asked).toContain(`GET ${core}/pods?labelSelector=${labelSelector}&limit=500`)
  })

  it('finds a pod by labels', async () => {
    const target = {kind: 'label', labels: {app: 'web', 'x.io/tier': 'a'}} as const
    const found = await resolveTarget(
      await serve({[`${core}/pods`]: {items: [pod('a')]}, '/api/v1/nodes/node-1': 403}),
      target,
    )
    expect(found).toMatchObject({name: 'a', target: 'label/app=web,x.io/tier=a'})
    expect(api?.requests).toContain(`GET ${core}/pods?labelSelector=app=web,x.io/tier=a&limit=500`)
  })

  it.each([
    ['replicaset', {[`${apps}/replicasets/web`]: {spec: {replicas: 0, selector}}}, 'It is scaled to zero.'],
    ['statefulset', {[`${apps}/statefulsets/web`]: {spec: {replicas: 0, selector}}}, 'It is scaled to zero.'],
    ['rollout', {[`${group}/rollouts/web`]: {spec: {replicas: 0, selector}}}, 'It is scaled to zero.'],
    [
      'rollout',
      {[`${group}/rollouts/web`]: {spec: {workloadRef: {apiVersion: 'apps/v1', kind: 'Deployment', name: 'gone'}}}},
      'Its workloadRef names the Deployment "gone", which does not exist.',
    ],
    [
      'rollout',
      {[`${group}/rollouts/web`]: {spec: {workloadRef: {apiVersion: 'v1', kind: 'Secret', name: 'x'}}}},
      'Its workloadRef is of an unknown kind: Secret.',
    ],
    [
      'daemonset',
      {[`${apps}/daemonsets/web`]: {spec: {selector}, status: {desiredNumberScheduled: 0}}},
      'No node is eligible for its pods.',
    ],
    [
      'job',
      {'/apis/batch/v1/namespaces/n/jobs/web': {status: {conditions: [{type: 'Complete', status: 'True'}]}}},
      'It has completed.',
    ],
    ['job', {'/apis/batch/v1/namespaces/n/jobs/web': {spec: {suspend: true, selector}}}, 'It is suspended.'],
    [
      'cronjob',
      {'/apis/batch/v1/namespaces/n/cronjobs/web': {spec: {suspend: true}}},
      'None of its jobs runs now, and it is suspended.',
    ],
    [
      'service',
      {[`${core}/services/web`]: {spec: {type: 'ExternalName'}}},
      'It is only another name for something outside the cluster.',
    ],
    [
      'service',
      {[`${core}/services/web`]: {spec: {selector: {}}}},
      'It has no selector: its endpoints are made by somebody else.',
    ],
  ] as const)('says why a %s has no pods', async (kind, objects, why) => {
    const report = await refusal(resolveTarget(await serve(objects), {kind, name: 'web'}))
    expect(report).toMatchObject({code: 'TARGET_NOT_READY', exit: 'targetNotReady', why})
    // Never a list without a selector: that would be every pod of the namespace.
    expect(api?.requests.some((request) => request.includes('/pods'))).toBe(false)
  })

  it('says that a cluster knows no rollouts', async () => {
    const report = await refusal(
      resolveTarget(await serve({'/api/v1/namespaces/n': {}}), {kind: 'rollout', name: 'web'}),
    )
    expect(report).toMatchObject({
      code: 'TARGET_NOT_FOUND',
      why: 'The cluster knows no rollouts: Argo Rollouts is not installed there.',
    })
  })

  it('says that no pod has the labels, or those of a service', async () => {
    const none = {'/api/v1/namespaces/n': {}, [`${core}/pods`]: {items: []}}
    expect(await refusal(resolveTarget(await serve(none), {kind: 'label', labels: {app: 'web'}}))).toMatchObject({
      code: 'TARGET_NOT_FOUND',
      what: 'There is no pod with the labels app=web in the namespace "n".',
    })
    await api!.close()
    const service = {...none, [`${core}/services/web`]: {spec: {selector: {app: 'web'}}}}
    expect(await refusal(resolveTarget(await serve(service), {kind: 'service', name: 'web'}))).toMatchObject({
      code: 'TARGET_NOT_READY',
      why: 'No pod has the labels that it selects.',
    })
  })

  it('does not pin to the hostname of a node that vcluster made up', async () => {
    const labels = {'kubernetes.io/hostname': 'h', 'vcluster.loft.sh/fake-node': 'true'}
    const found = await resolveTarget(
      await serve({[`${core}/pods/a`]: pod('a'), '/api/v1/nodes/node-1': {metadata: {labels}}}),
      {kind: 'pod', name: 'a'},
    )
    expect(found.nodeHostname).toBeUndefined()
  })

  it('keeps names in their place in the path', async () => {
    await refusal(resolveTarget(await serve({'/api/v1/namespaces/n': {}}), {kind: 'pod', name: 'a/b?c'}))
    expect(rawPaths[0]).toBe(`${core}/pods/a%2Fb%3Fc`)
  })

  it('names what exists when the target does not', async () => {
    const report = await refusal(
      resolveTarget(
        await serve({
          '/api/v1/namespaces/n': {},
          [`${apps}/deployments`]: {items: [{metadata: {name: 'web-frontend'}}, {metadata: {name: 'db'}}]},
        }),
        {kind: 'deployment', name: 'web-frontned'},
      ),
    )
    expect(report).toMatchObject({
      code: 'TARGET_NOT_FOUND',
      exit: 'targetNotFound',
      why: 'The namespace has: web-frontend, db.',
    })
    expect(report.next[0]).toBe('Did you mean "deployment/web-frontend"?')
  })

  it('tells a missing namespace from a missing target', async () => {
    const report = await refusal(
      resolveTarget(
        await serve({'/api/v1/namespaces': {items: [{metadata: {name: 'staging'}}]}}),
        {kind: 'pod', name: 'a'},
        'stagin',
      ),
    )
    expect(report).toMatchObject({code: 'NAMESPACE_NOT_FOUND', exit: 'targetNotFound'})
    expect(report.next[0]).toBe('Did you mean "staging"?')
  })

  it('still tells that the target is missing where it may not look around', async () => {
    const objects = {'/api/v1/namespaces/n': 403, [`${core}/pods`]: 403}
    const report = await refusal(resolveTarget(await serve(objects), {kind: 'pod', name: 'a'}))
    expect(report).toMatchObject({code: 'TARGET_NOT_FOUND', why: undefined})
  })

  it('passes on a missing permission', async () => {
    const report = await refusal(resolveTarget(await serve({[`${core}/pods/a`]: 403}), {kind: 'pod', name: 'a'}))
    expect(report).toMatchObject({
      exit: 'forbidden',
      what: 'The credentials may not get pods "a" in the namespace "n".',
    })
  })

  it('gives the reason of every pod when none is ready', async () => {
    const objects = {
      [`${apps}/deployments/web`]: deployment(),
      [`${core}/pods`]: {items: [pod('a', false), pod('b', false)]},
    }
    const report = await refusal(resolveTarget(await serve(objects), {kind: 'deployment', name: 'web'}))
    expect(report).toMatchObject({code: 'TARGET_NOT_READY', exit: 'targetNotReady'})
    expect(report.detail?.split('\n')).toEqual([
      expect.stringMatching(/^pod\/a: .*readiness probe/),
      expect.stringMatching(/^pod\/b: .*readiness probe/),
    ])
  })

  it('says that a deployment is scaled to zero', async () => {
    const objects = {[`${apps}/deployments/web`]: deployment(0), [`${core}/pods`]: {items: []}}
    const report = await refusal(resolveTarget(await serve(objects), {kind: 'deployment', name: 'web'}))
    expect(report).toMatchObject({code: 'TARGET_NOT_READY', why: 'It is scaled to zero.'})
  })

  it('lists the containers when the named one exists in no pod', async () => {
    const objects = {[`${apps}/deployments/web`]: deployment(), [`${core}/pods`]: {items: [pod('a'), pod('b')]}}
    const report = await refusal(
      resolveTarget(await serve(objects), {kind: 'deployment', name: 'web', container: 'ap'}),
    )
    expect(report).toMatchObject({code: 'CONTAINER_NOT_FOUND', exit: 'targetNotFound'})
    expect(report.why).toContain('It has: app.')
  })
})
