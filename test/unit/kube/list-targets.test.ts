import {afterEach, describe, expect, it} from 'vitest'
import {listNamespaces, listTargets, type Cluster} from '../../../src/kube/index.ts'
import {refusal} from '../../refusal.ts'
import {clusterFor, fakeApi, type Answer, type FakeApi} from './fake-api.ts'

let api: FakeApi | undefined
let cluster: Cluster | undefined
afterEach(async () => {
  cluster?.client.close()
  await api?.close()
})

const PODS = '/api/v1/namespaces/n/pods'
const DEPLOYMENTS = '/apis/apps/v1/namespaces/n/deployments'
const ROLLOUTS = '/apis/argoproj.io/v1alpha1/namespaces/n/rollouts'
const NAMESPACE = '/api/v1/namespaces/n'

/** Answers by path; a list is the items of a collection, a number a refusal with that status. */
async function serve(answers: Record<string, object[] | number | ((query: URLSearchParams) => Answer)>) {
  api = await fakeApi(({url = ''}) => {
    const {pathname, searchParams} = new URL(url, 'http://x')
    const answer = answers[pathname]
    if (typeof answer === 'function') return answer(searchParams)
    if (Array.isArray(answer)) return {body: {items: answer}}
    const status = answer ?? 404
    return status === 200 ? {body: {}} : {status, body: {message: `refused with ${status}`}}
  })
  cluster = await clusterFor(api.url, {namespace: 'n'})
  return cluster
}

const pod = (name: string, containers: string[], change: {ready?: boolean; deleted?: boolean} = {}) => ({
  metadata: {
    name,
    creationTimestamp: '2026-01-01T00:00:00Z',
    ...(change.deleted ? {deletionTimestamp: '2026-01-02T00:00:00Z'} : {}),
  },
  status: {
    phase: 'Running',
    conditions: [{type: 'Ready', status: change.ready === false ? 'False' : 'True'}],
    containerStatuses: containers.map((container) => ({name: container, ready: true})),
  },
})
const deployment = (name: string, availableReplicas?: number) => ({
  metadata: {name},
  spec: {replicas: 3},
  status: {availableReplicas},
})
const paths = ({targets}: {targets: {path: string}[]}) => targets.map(({path}) => path)

describe('listTargets [LIF-18]', () => {
  it('names ready pods, their containers, and available deployments, in this order', async () => {
    const list = await listTargets(
      await serve({
        [PODS]: [
          pod('one', ['app']),
          pod('two', ['app', 'cache']),
          pod('meshed', ['istio-proxy', 'app']),
          pod('proxy-only', ['queue-proxy']),
          pod('starting', ['app'], {ready: false}),
          pod('leaving', ['app'], {deleted: true}),
        ],
        [DEPLOYMENTS]: [deployment('web', 2), deployment('down', 0), deployment('new')],
      }),
    )
    expect(list).toMatchObject({namespace: 'n', refused: []})
    expect(paths(list)).toEqual([
      'pod/one',
      'pod/two/container/app',
      'pod/two/container/cache',
      'pod/meshed',
      'pod/proxy-only',
      'deployment/web',
    ])
    expect(list.targets.map(({ready}) => ready)).toEqual(['1/1', '2/2', '2/2', '2/2', '1/1', '2/3'])
  })

  it('asks for running pods only, for neither agents nor what the operator makes, and a page at a time', async () => {
    await listTargets(await serve({[PODS]: [pod('one', ['app'])], [DEPLOYMENTS]: []}))
    const asked = new URL(api!.requests.find((request) => request.includes('/pods?'))!.split(' ')[1]!, 'http://x')
    expect(Object.fromEntries(asked.searchParams)).toEqual({
      fieldSelector: 'status.phase=Running',
      labelSelector: 'app!=mirrord,!operator.metalbear.co/owner',
      limit: '500',
    })
  })

  it('asks only for the kinds that are wanted', async () => {
    const found = await serve({[DEPLOYMENTS]: [deployment('web', 1)]})
    expect(paths(await listTargets(found, {kinds: ['deployment']}))).toEqual(['deployment/web'])
    expect(api!.requests).toHaveLength(1)
  })

  it('lists the other kinds when they are asked for', async () => {
    const apps = '/apis/apps/v1/namespaces/n'
    const batch = '/apis/batch/v1/namespaces/n'
    const named = (name: string, rest: object) => ({metadata: {name}, ...rest})
    const list = await listTargets(
      await serve({
        [ROLLOUTS]: [deployment('canary', 1), deployment('down', 0)],
        [`${apps}/replicasets`]: [deployment('web-1', 3), deployment('web-0', 0)],
        [`${apps}/statefulsets`]: [deployment('db', 2)],
        [`${apps}/daemonsets`]: [named('log', {status: {numberAvailable: 1, desiredNumberScheduled: 2}})],
        [`${batch}/jobs`]: [named('runs', {status: {active: 2, ready: 1}}), named('over', {status: {succeeded: 1}})],
        [`${batch}/cronjobs`]: [named('now', {status: {active: [{name: 'now-1'}]}}), named('idle', {status: {}})],
        '/api/v1/namespaces/n/services': [
          named('web', {spec: {selector: {app: 'web'}}}),
          named('outside', {spec: {type: 'ExternalName'}}),
        ],
      }),
      {kinds: ['service', 'cronjob', 'job', 'daemonset', 'statefulset', 'replicaset', 'rollout']},
    )
    expect(list.targets.map(({path, ready}) => [path, ready])).toEqual([
      ['rollout/canary', '1/3'],
      ['replicaset/web-1', '3/3'],
      ['statefulset/db', '2/3'],
      ['daemonset/log', '1/2'],
      ['job/runs', '1/2'],
      ['cronjob/now', '-'],
      ['service/web', '-'],
    ])
  })

  it('[LIF-21] lists rollouts where the cluster knows them', async () => {
    const all = {[PODS]: [pod('one', ['app'])], [DEPLOYMENTS]: [], [ROLLOUTS]: [deployment('canary', 1)]}
    expect(paths(await listTargets(await serve(all)))).toEqual(['pod/one', 'rollout/canary'])
    await api!.close()
    const none = await listTargets(await serve({...all, [ROLLOUTS]: 404}))
    expect([paths(none), none.refused]).toEqual([['pod/one'], []])
  })

  it('reads page after page', async () => {
    const page = (query: URLSearchParams): Answer => {
      const from = Number(query.get('continue') ?? 0)
      const items = Array.from({length: 500}, (_, index) => pod(`p-${from + index}`, ['app']))
      return {body: {metadata: from < 1000 ? {continue: String(from + 500)} : {}, items}}
    }
    const list = await listTargets(await serve({[PODS]: page}), {kinds: ['pod']})
    expect(paths(list)).toEqual(Array.from({length: 1500}, (_, index) => `pod/p-${index}`))
    expect(api!.requests).toHaveLength(3)
  })

  it('asks again for the whole where the pages have grown too old, and names nothing twice', async () => {
    const page = (query: URLSearchParams): Answer => {
      if (query.has('continue')) return {status: 410, body: {reason: 'Expired', message: 'too old'}}
      const items = [pod('a', ['app']), pod('b', ['app'])]
      return query.has('limit')
        ? {body: {metadata: {continue: 'x'}, items: items.slice(0, 1)}}
        : {body: {metadata: {}, items}}
    }
    expect(paths(await listTargets(await serve({[PODS]: page}), {kinds: ['pod']}))).toEqual(['pod/a', 'pod/b'])
  })

  it('goes on without deployments where they may not be listed, and says so', async () => {
    const list = await listTargets(await serve({[PODS]: [pod('one', ['app'])], [DEPLOYMENTS]: 403}))
    expect(paths(list)).toEqual(['pod/one'])
    expect(list.refused.map(({report}) => report.what)).toEqual([
      'The credentials may not list deployments.apps in the namespace "n".',
    ])
  })

  it('fails where pods, or a kind that was asked for, may not be listed', async () => {
    const noPods = await serve({[PODS]: 403, [DEPLOYMENTS]: [deployment('web', 1)]})
    expect(await refusal(listTargets(noPods))).toMatchObject({
      exit: 'forbidden',
      what: 'The credentials may not list pods in the namespace "n".',
    })
    await api!.close()
    const noDeployments = await serve({[PODS]: [pod('one', ['app'])], [DEPLOYMENTS]: 403})
    expect(await refusal(listTargets(noDeployments, {kinds: ['pod', 'deployment']}))).toMatchObject({exit: 'forbidden'})
  })

  it('fails where anything else goes wrong with deployments', async () => {
    expect(await refusal(listTargets(await serve({[PODS]: [], [DEPLOYMENTS]: 500})))).toMatchObject({
      exit: 'clusterUnreachable',
    })
  })

  it('tells an empty namespace from one that does not exist', async () => {
    const empty = {[PODS]: [], [DEPLOYMENTS]: []}
    expect((await listTargets(await serve({...empty, [NAMESPACE]: 200}))).targets).toEqual([])
    await api!.close()
    expect((await listTargets(await serve({...empty, [NAMESPACE]: 403}))).targets).toEqual([])
    await api!.close()
    const near = {'/api/v1/namespaces': [{metadata: {name: 'm'}}, {metadata: {name: 'shop'}}]}
    const report = await refusal(listTargets(await serve({...empty, ...near})))
    expect(report).toMatchObject({code: 'NAMESPACE_NOT_FOUND', exit: 'targetNotFound'})
  })
})

describe('listNamespaces', () => {
  it('names them all, or says that it may not', async () => {
    const all = [{metadata: {name: 'a'}}, {metadata: {name: 'b'}}]
    expect(await listNamespaces(await serve({'/api/v1/namespaces': all}))).toEqual(['a', 'b'])
    await api!.close()
    expect(await listNamespaces(await serve({'/api/v1/namespaces': 403}))).toBeUndefined()
  })
})
