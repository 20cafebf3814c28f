import {afterEach, describe, expect, it} from 'vitest'
import {resolveConfig} from '../../../src/config/index.ts'
import {MirrordError} from '../../../src/errors/mirrord-error.ts'
import {
  connectAgent,
  createAgentJob,
  deleteAgentJob,
  waitForAgentGone,
  type Cluster,
  type ForwardChannel,
} from '../../../src/kube/index.ts'
import type {ContainerState, Pod} from '../../../src/kube/objects.ts'
import {clusterFor, fakeApi, type Answer, type FakeApi} from './fake-api.ts'
import {forwardsOn} from './fake-forward.ts'

type Write = (text: string, done?: () => void) => boolean

let api: FakeApi
let cluster: Cluster
afterEach(async () => {
  cluster.client.close()
  await api.close()
})

const job = {name: 'mirrord-agent-x', namespace: 'ci', port: 31000, image: 'i:1'}
const pod = (change: Partial<Pod['status']> = {}, state?: ContainerState): Pod => ({
  metadata: {name: 'mirrord-agent-x-abc', namespace: 'ci'},
  spec: {nodeName: 'node-1', containers: [{name: 'mirrord-agent', image: 'i:1'}]},
  status: {
    phase: 'Pending',
    ...(state ? {containerStatuses: [{name: 'mirrord-agent', image: 'i:1', state}]} : {}),
    ...change,
  },
})

interface World {
  /** Pod watch: the states that the pod goes through; the stream then stays open. */
  pods?: {type: string; object: Pod}[]
  /** FailedCreate events of the Job. */
  refusals?: string[]
  events?: {type: string; reason: string; message: string}[]
  /** An answer instead: the log cannot be read. */
  log?: string | Exclude<Answer, string>
  /** Number of forwards that fail before one is answered; Infinity for none ever. */
  deaf?: number
  refuseForward?: number
  create?: Answer
}

const world = async ({pods = [], refusals = [], events = [], log = '', deaf = 0, refuseForward, create}: World) => {
  let forwards = 0
  api = await fakeApi(({method, url = ''}, response) => {
    const {pathname, searchParams} = new URL(url, 'http://x')
    const stream = (lines: unknown[]) => {
      response.writeHead(200)
      response.flushHeaders()
      for (const line of lines) response.write(`${JSON.stringify(line)}\n`)
      return 'handled' as const
    }
    if (method === 'POST') return create ?? {status: 201, body: {metadata: {uid: 'u-1'}}}
    if (method === 'DELETE') return {body: {}}
    if (pathname.endsWith('/log')) {
      if (typeof log !== 'string') return log
      response.writeHead(200).end(log)
      return 'handled'
    }
    if (pathname.endsWith('/pods')) return stream(pods)
    if (searchParams.has('watch'))
      return stream(refusals.map((message) => ({type: 'ADDED', object: {reason: 'FailedCreate', message}})))
    return {body: {items: events}}
  })
  forwardsOn(
    api,
    ({fail, send}) => {
      if (++forwards <= deaf) {
        fail('nothing listens there')
        return undefined
      }
      return (data) => send(data)
    },
    {refuse: () => refuseForward},
  )
  cluster = await clusterFor(api.url)
}

const echo = (channel: ForwardChannel) =>
  new Promise<string>((resolve, reject) => {
    channel.onData = (chunk) => resolve(new TextDecoder().decode(chunk))
    channel.onClose = (error) => reject(error ?? new Error('closed'))
    channel.write([new TextEncoder().encode('hello')])
  })
const connect = (options: Partial<Parameters<typeof connectAgent<string>>[2]> = {}) =>
  connectAgent(cluster, job, {handshake: echo, timeoutMs: 10_000, ...options})
const refusal = async (promise: Promise<unknown>) => {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof MirrordError)) throw new Error('expected a MirrordError', {cause: error})
  return error.report
}
const deletions = () => api.requests.filter((request) => request.startsWith('DELETE'))
const added = (object: Pod) => ({type: 'ADDED', object})

describe('connectAgent', () => {
  it('connects while the pod is still Pending, as soon as the port answers', async () => {
    const unscheduled = pod()
    delete unscheduled.spec?.nodeName
    await world({pods: [added(unscheduled), added(pod({}, {waiting: {reason: 'ContainerCreating'}}))], deaf: 3})
    const progress: string[] = []
    const {channel, answer, attempts, pod: name} = await connect({onProgress: (state) => progress.push(state)})
    expect([answer, attempts, name]).toEqual(['hello', 4, 'mirrord-agent-x-abc'])
    expect(progress).toEqual([
      'The agent pod is Pending.',
      'The agent pod is Pending; its container waits: ContainerCreating.',
    ])
    expect(deletions()).toEqual([])
    channel.destroy()
  })

  it.each([
    ['ErrImagePull', 'AGENT_IMAGE_PULL', 'agentImage'],
    ['ImagePullBackOff', 'AGENT_IMAGE_PULL', 'agentImage'],
    ['InvalidImageName', 'AGENT_IMAGE_NAME', 'agentImage'],
    ['CreateContainerError', 'AGENT_IMAGE_START', 'agentImage'],
  ])('fails at once on %s, with events, and deletes the Job', async (reason, code, exit) => {
    await world({
      pods: [added(pod({}, {waiting: {reason, message: 'not found in the registry'}}))],
      deaf: Infinity,
      events: [{type: 'Warning', reason: 'Failed', message: 'could not pull'}],
    })
    const report = await refusal(connect())
    expect(report).toMatchObject({code, exit})
    expect(report.what).toContain('i:1')
    expect(report.why).toContain('not found in the registry')
    expect(report.detail).toContain('Warning Failed: could not pull')
    expect(deletions()).toEqual(['DELETE /apis/batch/v1/namespaces/ci/jobs/mirrord-agent-x'])
  })

  it('shows the last log lines of an agent that ended', async () => {
    const state = {terminated: {exitCode: 1, reason: 'Error'}}
    await world({pods: [added(pod({phase: 'Failed'}, state))], deaf: Infinity, log: 'starting\nno such container\n'})
    const report = await refusal(connect())
    expect(report).toMatchObject({code: 'AGENT_ENDED', exit: 'agentScheduling'})
    expect(report.why).toContain('exit code 1')
    expect(report.detail).toContain('  no such container')
  })

  it('says so where the log of an agent that ended cannot be read', async () => {
    const gone = {status: 404, body: {kind: 'Status', code: 404, reason: 'NotFound', message: 'pods "x" not found'}}
    await world({pods: [added(pod({phase: 'Failed'}, {terminated: {exitCode: 1}}))], deaf: Infinity, log: gone})
    expect((await refusal(connect())).detail).toMatch(/Log of the agent:\n {2}\(It could not be read: .+\)/)
  })

  it('recognises left-over rules in the log', async () => {
    const log = 'Detected dirty iptables: MIRRORD_INPUT\n'
    await world({pods: [added(pod({phase: 'Failed'}, {terminated: {exitCode: 1}}))], deaf: Infinity, log})
    expect(await refusal(connect())).toMatchObject({code: 'AGENT_DIRTY', exit: 'agentDirty'})
  })

  it('tells a rejecting node from a crash', async () => {
    await world({pods: [added(pod({phase: 'Failed', reason: 'OutOfpods', message: 'full'}))], deaf: Infinity})
    expect(await refusal(connect())).toMatchObject({code: 'AGENT_REJECTED', exit: 'agentScheduling', why: 'full'})
  })

  it('says that the pod was deleted', async () => {
    await world({pods: [added(pod()), {type: 'DELETED', object: pod()}], deaf: Infinity})
    expect((await refusal(connect())).code).toBe('AGENT_DELETED')
  })

  it('finds the refusal of a policy in the events of the Job', async () => {
    await world({refusals: ['pods "x" is forbidden: violates PodSecurity "baseline:latest": host namespaces']})
    const report = await refusal(connect())
    expect(report).toMatchObject({code: 'AGENT_REFUSED', exit: 'agentScheduling'})
    expect(report.why).toContain('host namespaces')
    expect(deletions()).toHaveLength(1)
  })

  it.each([
    ['without a pod', [], 'AGENT_NO_POD', 'created no pod'],
    [
      'unschedulable',
      [
        {
          ...pod(),
          spec: {},
          status: {phase: 'Pending', conditions: [{type: 'PodScheduled', status: 'False', message: '0/1 nodes'}]},
        },
      ],
      'AGENT_UNSCHEDULABLE',
      '0/1 nodes',
    ],
    ['not answering', [pod({phase: 'Running'}, {running: {}})], 'AGENT_TIMEOUT', 'Running'],
  ])('times out %s and says so', async (_name, pods, code, words) => {
    await world({pods: pods.map((object) => added(object)), deaf: Infinity})
    const report = await refusal(connect({timeoutMs: 150}))
    expect(report).toMatchObject({code, exit: 'agentScheduling'})
    expect(report.why).toContain(words)
    expect(deletions()).toHaveLength(1)
  })

  it('fails at once without permission for port-forwards', async () => {
    await world({pods: [added(pod())], refuseForward: 403})
    const report = await refusal(connect())
    expect(report.exit).toBe('forbidden')
    expect(report.what).toContain('pods/portforward')
    expect(deletions()).toHaveLength(1)
  })

  it('goes on watching when a stream is cut', async () => {
    await world({pods: [added(pod())], deaf: Infinity})
    let cuts = 0
    api.server.prependListener('request', (_request, response: {socket: {destroy(): void}; write: Write}) => {
      const write = response.write.bind(response)
      response.write = (line: string) => {
        if (!line.includes('"ADDED"') || ++cuts > 1) return write(line)
        return write(line, () => response.socket.destroy())
      }
    })
    const watches = () => api.requests.filter((request) => request.includes('/pods?watch')).length
    expect((await refusal(connect({timeoutMs: 300}))).code).toBe('AGENT_TIMEOUT')
    expect(watches()).toBe(2)
  })

  it('passes on what the handshake says, and keeps trying while it only loses its channel', async () => {
    await world({pods: [added(pod())]})
    const dirty = new MirrordError({code: 'AGENT_DIRTY', exit: 'agentDirty', what: 'dirty', next: []})
    let calls = 0
    const handshake = async () => {
      if (++calls < 3) throw new Error('closed')
      throw dirty
    }
    expect(await refusal(connect({handshake}))).toMatchObject({code: 'AGENT_DIRTY', exit: 'agentDirty'})
    expect(calls).toBe(3)
    expect(deletions()).toHaveLength(1)
  })

  it('deletes the Job when it is aborted', async () => {
    await world({pods: [added(pod())], deaf: Infinity})
    const controller = new AbortController()
    const connecting = connect({
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('interrupted')),
    })
    await expect(connecting).rejects.toThrow('interrupted')
    expect(deletions()).toHaveLength(1)
  })
})

describe('createAgentJob', () => {
  const create = async () => {
    const {config} = await resolveConfig({flags: {}, env: {}, cwd: '/'})
    return createAgentJob(cluster, {agent: config.agent, sessionId: 's', namespace: 'ci'})
  }

  it('gives what is needed to find the agent again', async () => {
    await world({})
    const created = await create()
    expect(created).toMatchObject({namespace: 'ci', uid: 'u-1', image: 'ghcr.io/metalbear-co/mirrord:3.250.0'})
    expect(created.name).toMatch(/^mirrord-agent-/)
  })

  it('takes a Job that exists already as its own: the answer to the first attempt was lost', async () => {
    await world({create: {status: 409, body: {reason: 'AlreadyExists'}}})
    expect((await create()).name).toMatch(/^mirrord-agent-/)
  })

  it.each([
    [403, 'jobs.batch is forbidden: User "x" cannot create resource', 'FORBIDDEN', 'forbidden'],
    [403, 'admission webhook "policy" denied the request: no', 'AGENT_REFUSED', 'agentScheduling'],
    [422, 'spec.template.spec.priorityClassName: Invalid value', 'AGENT_REFUSED', 'agentScheduling'],
    [404, 'namespaces "ci" not found', 'NAMESPACE_NOT_FOUND', 'targetNotFound'],
  ])('maps %i %s', async (status, message, code, exit) => {
    await world({create: {status, body: {message}}})
    expect(await refusal(create())).toMatchObject({code, exit})
  })
})

describe('deleting', () => {
  it('is idempotent, in the background, and waits for the pod', async () => {
    let listed = 0
    const bodies: string[] = []
    api = await fakeApi(({method, url = ''}, response) => {
      if (method === 'DELETE') {
        return {status: 404, body: {reason: 'NotFound'}}
      }
      if (url.includes('watch')) {
        bodies.push(url)
        response.writeHead(200)
        response.write(`${JSON.stringify({type: 'DELETED', object: pod()})}\n`)
        return 'handled'
      }
      return {body: {metadata: {resourceVersion: '7'}, items: ++listed === 1 ? [pod()] : []}}
    })
    cluster = await clusterFor(api.url)
    await deleteAgentJob(cluster, job)
    expect(await waitForAgentGone(cluster, job)).toBe(true)
    expect(bodies[0]).toContain('resourceVersion=7')
  })

  it('says when the pod is still there', async () => {
    await world({})
    api.server.removeAllListeners('request')
    api.server.on(
      'request',
      (request: {url?: string}, response: {write(text: string): void; end(text: string): void}) => {
        if (request.url?.includes('watch')) response.write('\n')
        else response.end(JSON.stringify({items: [pod()]}))
      },
    )
    expect(await waitForAgentGone(cluster, job, {timeoutMs: 100})).toBe(false)
  })
})
