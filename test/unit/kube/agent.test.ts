import {afterEach, describe, expect, it} from 'vitest'
import {resolveConfig} from '../../../src/config/index.ts'
import {MirrordError} from '../../../src/errors/mirrord-error.ts'
import {
  connectAgent,
  createAgent,
  deleteAgent,
  waitForAgentGone,
  type Cluster,
  type ResolvedTarget,
} from '../../../src/kube/index.ts'
import type {ContainerState, Pod} from '../../../src/kube/objects.ts'
import {added, agentWorld, echo, pod, type World} from './agent-world.ts'
import {refusal} from '../../refusal.ts'
import {clusterFor, fakeApi, type Answer, type FakeApi} from './fake-api.ts'

type Write = (text: string, done?: () => void) => boolean

let api: FakeApi
let cluster: Cluster
afterEach(async () => {
  cluster.client.close()
  await api.close()
})

const job = {kind: 'job' as const, name: 'mirrord-agent-x', namespace: 'ci', port: 31000, image: 'i:1'}
const world = async (options: World) => {
  ;({api, cluster} = await agentWorld(options))
}
const connect = (options: Partial<Parameters<typeof connectAgent<string>>[2]> = {}) =>
  connectAgent(cluster, job, {handshake: echo, timeoutMs: 10_000, ...options})
const deletions = () => api.requests.filter((request) => request.startsWith('DELETE'))

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
    expect(report).toMatchObject({code: 'AGENT_ENDED', exit: 'agentEnded'})
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
    expect(await refusal(connect())).toMatchObject({
      code: 'AGENT_NODE_FULL',
      exit: 'agentScheduling',
      why: 'OutOfpods: full',
    })
  })

  it('says that the pod was deleted', async () => {
    await world({pods: [added(pod()), {type: 'DELETED', object: pod()}], deaf: Infinity})
    expect((await refusal(connect())).code).toBe('AGENT_DELETED')
  })

  it('finds the refusal of a policy in the events of the Job', async () => {
    await world({refusals: ['pods "x" is forbidden: violates PodSecurity "baseline:latest": host namespaces']})
    const report = await refusal(connect())
    expect(report).toMatchObject({code: 'AGENT_REFUSED_POD_SECURITY', exit: 'agentRefused'})
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

describe('createAgent as a Job', () => {
  const create = async () => {
    const {config} = await resolveConfig({flags: {}, env: {}, cwd: '/'})
    return createAgent(cluster, {agent: config.agent, sessionId: 's', namespace: 'ci'})
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
    [403, 'admission webhook "policy" denied the request: no', 'AGENT_REFUSED_POLICY', 'agentRefused'],
    [422, 'spec.template.spec.priorityClassName: Invalid value', 'AGENT_REFUSED', 'agentRefused'],
    [404, 'namespaces "ci" not found', 'NAMESPACE_NOT_FOUND', 'targetNotFound'],
  ])('maps %i %s', async (status, message, code, exit) => {
    await world({create: {status, body: {message}}})
    expect(await refusal(create())).toMatchObject({code, exit})
  })
})

const beside = {
  kind: 'ephemeral' as const,
  name: 'mirrord-agent-x',
  namespace: 'ci',
  pod: 'web-0',
  port: 31000,
  image: 'i:1',
}
const target: ResolvedTarget = {
  ...{target: 'pod/web-0', name: 'web-0', namespace: 'ci', node: 'node-1', ips: ['10.0.0.1'], others: []},
  ...{container: 'web', containers: ['web'], containerGuessed: false, containerId: 'abc', runtime: 'containerd'},
  ...{shareProcessNamespace: true, probePorts: []},
}

describe('createAgent as an ephemeral container [CLN-01]', () => {
  const env = [
    {name: 'A', value: '1'},
    {name: 'B', valueFrom: {secretKeyRef: {name: 's', key: 'b'}}},
  ]
  const envFrom = [{configMapRef: {name: 'c'}}]
  const web = (ephemeralContainers?: {name: string}[]) => ({
    metadata: {name: 'web-0', resourceVersion: '5'},
    spec: {
      containers: [
        {name: 'web', env, envFrom},
        {name: 'other', env: [{name: 'NO'}]},
      ],
      ephemeralContainers,
    },
  })
  let puts: {metadata: object; spec: {ephemeralContainers: Record<string, unknown>[]}}[]

  /** The pod as it is at each question, and what each change is answered with. */
  async function serve(pods: object[], answers: Answer[], privileged = false) {
    puts = []
    api = await fakeApi(async (request) => {
      const {method} = request
      if (method === 'GET') return {body: (pods.length > 1 ? pods.shift() : pods[0])!}
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      puts.push(JSON.parse(Buffer.concat(chunks).toString()) as (typeof puts)[number])
      return answers.shift() ?? {body: {}}
    })
    cluster = await clusterFor(api.url)
    const {config} = await resolveConfig({
      flags: {target: 'pod/web-0', 'ephemeral-container': true, 'config-file': 'm.json'},
      env: {},
      cwd: '/',
      readFile: async () => JSON.stringify({agent: privileged ? {privileged, exclude_from_mesh: true} : {}}),
    })
    return createAgent(cluster, {agent: config.agent, sessionId: 's', namespace: 'elsewhere', target})
  }

  it('adds it to what the pod has, with the variables of the target last', async () => {
    const made = await serve([web([{name: 'debugger'}])], [])
    expect(made).toMatchObject({kind: 'ephemeral', namespace: 'ci', pod: 'web-0'})
    const [{metadata, spec}] = puts as [(typeof puts)[number]]
    expect(metadata).toMatchObject({resourceVersion: '5'})
    const [before, agent] = spec.ephemeralContainers as [object, Record<string, unknown>]
    expect(before).toEqual({name: 'debugger'})
    expect(agent).toMatchObject({
      name: made.name,
      targetContainerName: 'web',
      command: ['./mirrord-agent'],
      args: ['-l', String(made.port), '-t', '30', 'ephemeral'],
      envFrom,
      securityContext: {privileged: false, capabilities: {add: ['SYS_ADMIN', 'SYS_PTRACE', 'NET_ADMIN']}},
    })
    const variables = agent.env as {name: string; value?: string}[]
    expect(variables.slice(-2)).toEqual(env)
    expect(variables).toContainEqual({name: 'MIRRORD_AGENT_EPHEMERAL_TARGET_CONTAINER_ID', value: 'abc'})
    // What the API refuses in an ephemeral container.
    for (const refused of ['resources', 'ports', 'livenessProbe', 'readinessProbe', 'lifecycle'])
      expect(agent).not.toHaveProperty(refused)
  })

  it('is root when it is privileged, and keeps out of the mesh when told to', async () => {
    await serve([web()], [], true)
    const [agent] = puts[0]!.spec.ephemeralContainers
    expect(agent!.securityContext).toMatchObject({privileged: true, runAsUser: 0, runAsNonRoot: false})
    expect(agent!.env).toContainEqual({name: 'MIRRORD_AGENT_EXCLUDE_FROM_MESH', value: 'true'})
  })

  it('tries again where the pod has changed meanwhile, and loses nothing of the change', async () => {
    const conflict = {status: 409, body: {reason: 'Conflict', message: 'the object has been modified'}}
    await serve([web(), web([{name: 'debugger'}])], [conflict])
    expect(puts).toHaveLength(2)
    expect(puts[1]!.spec.ephemeralContainers.map(({name}) => name)).toEqual([
      'debugger',
      expect.stringMatching(/^mirrord/),
    ])
  })

  it.each([
    [404, 'pods "web-0" not found', 'TARGET_NOT_READY', 'targetNotReady'],
    [
      403,
      'pods "web-0" is forbidden: violates PodSecurity "baseline:latest"',
      'AGENT_REFUSED_POD_SECURITY',
      'agentRefused',
    ],
    [403, 'User "x" cannot update resource "pods/ephemeralcontainers"', 'FORBIDDEN', 'forbidden'],
    [422, 'spec.ephemeralContainers[0].image: Required value', 'AGENT_REFUSED', 'agentRefused'],
  ])('maps %i %s', async (status, message, code, exit) => {
    expect(await refusal(serve([web()], [{status, body: {message}}]))).toMatchObject({code, exit})
  })
})

describe('connectAgent to an ephemeral container', () => {
  const inPod = (state?: ContainerState, change: object = {}): Pod => ({
    metadata: {name: 'web-0', namespace: 'ci', ...change},
    spec: {nodeName: 'node-1'},
    status: {
      phase: 'Running',
      // The target's own container says nothing about the agent.
      containerStatuses: [{name: 'mirrord-agent', state: {waiting: {reason: 'ErrImagePull'}}}],
      ...(state ? {ephemeralContainerStatuses: [{name: 'mirrord-agent-x', image: 'i:1', state}]} : {}),
    },
  })
  const connecting = () => connectAgent(cluster, beside, {handshake: echo, timeoutMs: 10_000})

  it('connects in the pod of the target', async () => {
    await world({pods: [added(inPod())], deaf: 2})
    const {channel, answer, pod: name} = await connecting()
    expect([answer, name]).toEqual(['hello', 'web-0'])
    expect(api.requests.find((request) => request.includes('/pods?'))).toContain('fieldSelector=metadata.name=web-0')
    channel.destroy()
  })

  it.each([
    ['ends at once', [added(inPod({terminated: {exitCode: 1}}))], 'AGENT_ENDED', 'agentEnded'],
    ['has no image', [added(inPod({waiting: {reason: 'ErrImagePull'}}))], 'AGENT_IMAGE_PULL', 'agentImage'],
    [
      'loses its pod',
      [added(inPod()), {type: 'MODIFIED', object: inPod(undefined, {deletionTimestamp: '2026-01-01T00:00:00Z'})}],
      'TARGET_NOT_READY',
      'targetNotReady',
    ],
    [
      'sees its pod deleted',
      [added(inPod()), {type: 'DELETED', object: inPod()}],
      'TARGET_NOT_READY',
      'targetNotReady',
    ],
  ])('says so when it %s, with its log', async (_name, pods, code, exit) => {
    await world({pods, deaf: Infinity, log: 'its last words\n'})
    const report = await refusal(connecting())
    expect(report).toMatchObject({code, exit})
    if (code === 'AGENT_ENDED') expect(report.detail).toContain('its last words')
    expect(deletions()).toEqual([])
  })

  it('is gone when it has ended', async () => {
    await world({})
    api.server.removeAllListeners('request')
    api.server.on('request', (_request: unknown, response: {end(text: string): void}) =>
      response.end(JSON.stringify({items: [inPod({terminated: {exitCode: 0}})]})),
    )
    expect(await waitForAgentGone(cluster, beside)).toBe(true)
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
    await deleteAgent(cluster, job)
    expect(await waitForAgentGone(cluster, job)).toBe(true)
    expect(bodies[0]).toContain('resourceVersion=7')
  })

  it('goes on looking while the cluster fails, as long as it may', async () => {
    let lists = 0
    api = await fakeApi(() => (++lists < 5 ? {status: 503} : {body: {items: []}}))
    cluster = await clusterFor(api.url)
    expect(await waitForAgentGone(cluster, job)).toBe(true)
    lists = -Infinity
    expect(await waitForAgentGone(cluster, job, {timeoutMs: 100})).toBe(false)
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
