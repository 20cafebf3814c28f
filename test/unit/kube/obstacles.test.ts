import {describe, expect, it} from 'vitest'
import {connectAgent, createAgent, type Agent, type Cluster} from '../../../src/kube/index.ts'
import {resolveConfig} from '../../../src/config/index.ts'
import type {ContainerState, Pod} from '../../../src/kube/objects.ts'
import {refusal} from '../../refusal.ts'
import {added, agentWorld, echo, pod, type World} from './agent-world.ts'

/** Something that is done in a world of its own: the tests run at once. */
async function inWorld<T>(world: World, act: (cluster: Cluster) => Promise<T>): Promise<T> {
  const {api, cluster} = await agentWorld(world)
  try {
    return await act(cluster)
  } finally {
    cluster.client.close()
    await api.close()
  }
}

const job: Agent = {kind: 'job', name: 'mirrord-agent-x', namespace: 'ci', port: 31000, image: 'i:1'}
const beside: Agent = {
  kind: 'ephemeral',
  name: 'mirrord-agent-x',
  namespace: 'ci',
  pod: 'web-0',
  port: 31000,
  image: 'i:1',
}
const warden =
  'admission webhook "warden-validating.common-webhooks.networking.gke.io" denied the request: GKE Warden rejected the request because it violates one or more constraints.\nViolations details: {"[denied by autogke-disallow-hostnamespaces]":["enabling hostPID is not allowed in Autopilot."]}'
const scc =
  'pods "x-" is forbidden: unable to validate against any security context constraint: [provider "restricted-v2": .spec.securityContext.hostPID: Invalid value: true: Host PID is not allowed to be used]'

/** How a start ends in this world; its agent never answers unless the world says so. */
const outcome = (world: World, agent: Agent = job, timeoutMs = 10_000, progress: string[] = []) =>
  inWorld({deaf: Infinity, ...world}, (cluster) =>
    refusal(connectAgent(cluster, agent, {handshake: echo, timeoutMs, onProgress: (state) => progress.push(state)})),
  )

describe.concurrent('a refused pod is told by the event of its Job, with the setting that helps', () => {
  it.each([
    [
      'pods "x" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostPID=true)',
      'AGENT_REFUSED_POD_SECURITY',
      /agent\.namespace .*need not be in the namespace of its target/,
    ],
    [warden, 'AGENT_REFUSED_AUTOPILOT', /agent\.ephemeral: true and agent\.disabled_capabilities: \["SYS_ADMIN"\]/],
    [scc, 'AGENT_REFUSED_SCC', /oc adm policy add-scc-to-user privileged .* agent\.service_account/],
    [
      'admission webhook "validate.kyverno.svc-fail" denied the request: \n\nresource Pod/ci/x was blocked due to the following policies \n\nallowed-repos:\n  repos: images must come from registry.example',
      'AGENT_REFUSED_POLICY',
      /speaks of the image.*agent\.image/,
    ],
    [
      'admission webhook "validation.gatekeeper.sh" denied the request: [need-owner] you must provide labels: {"owner"}',
      'AGENT_REFUSED_POLICY',
      /speaks of labels.*agent\.labels/,
    ],
    [
      "ValidatingAdmissionPolicy 'no-host' with binding 'all' denied request: hostPID is not allowed",
      'AGENT_REFUSED_POLICY',
      /agent\.ephemeral/,
    ],
    [
      'pods "x" is forbidden: no PriorityClass with name gold was found',
      'AGENT_PRIORITY_CLASS',
      /agent\.priority_class/,
    ],
    [
      'pods "x" is forbidden: error looking up service account ci/robot: serviceaccount "robot" not found',
      'AGENT_SERVICE_ACCOUNT',
      /agent\.service_account/,
    ],
    ['pods "x" is forbidden: something that nobody has foreseen', 'AGENT_REFUSED', /section "agent"/],
  ])('[EXIT-54] %s', async (message, code, next) => {
    const report = await outcome({refusals: [`Error creating: ${message}`]})
    expect(report).toMatchObject({code, exit: 'agentRefused', why: message})
    expect(report.next.join('\n')).toMatch(next)
  })

  it.each([
    [
      'pods "x" is forbidden: failed quota: q: must specify limits.cpu for: mirrord-agent',
      'AGENT_QUOTA_RESOURCES',
      /Name them in agent\.resources/,
    ],
    [
      'pods "x" is forbidden: [maximum memory usage per Container is 128Mi, but limit is 512Mi, minimum cpu usage per Container is 10m, but request is 1m]',
      'AGENT_LIMIT_RANGE',
      /agent\.resources/,
    ],
    [
      'pods "x" is forbidden: exceeded quota: q, requested: limits.memory=512Mi, used: limits.memory=0, limited: limits.memory=256Mi',
      'AGENT_QUOTA',
      /agent\.resources/,
    ],
  ])('[EXIT-55] %s', async (message, code, next) => {
    const report = await outcome({refusals: [`Error creating: ${message}`]})
    expect(report).toMatchObject({code, exit: 'agentQuota', why: message})
    expect(report.next.join('\n')).toMatch(next)
  })
})

describe.concurrent('a refused pod whose events may be listed, and not watched', () => {
  it('is told when the time is over', async () => {
    const events = [{type: 'Warning', reason: 'FailedCreate', message: `Error creating: ${scc}`}]
    const report = await outcome({events}, job, 1000)
    expect(report).toMatchObject({code: 'AGENT_REFUSED_SCC', exit: 'agentRefused'})
  })
})

describe.concurrent('what may pass is waited for, told, and named when the time is over', () => {
  it.each([
    [
      'pods "x" is forbidden: exceeded quota: q, requested: pods=1,limits.cpu=1, used: pods=3,limits.cpu=1, limited: pods=3,limits.cpu=10',
      'AGENT_QUOTA',
    ],
    [
      'Internal error occurred: failed calling webhook "a.b.c": Post "https://a.b.svc": connection refused',
      'AGENT_WEBHOOK_FAILED',
    ],
    ['etcdserver: leader changed', 'AGENT_REFUSED'],
    [
      'pods "x" is forbidden: error looking up service account ci/default: serviceaccount "default" not found',
      'AGENT_SERVICE_ACCOUNT',
    ],
  ])('%s', async (message, code) => {
    const progress: string[] = []
    const report = await outcome({refusals: [`Error creating: ${message}`]}, job, 3000, progress)
    expect(report.code).toBe(code)
    expect(report.what).toMatch(/That did not change within 3 seconds\.$/)
    expect(progress.join('\n')).toContain('The agent has no pod yet.')
  })

  it('a registry that does not answer, as the kubelet asks it again', async () => {
    const waiting = {reason: 'ErrImagePull', message: 'dial tcp: lookup ghcr.io: i/o timeout'}
    const report = await outcome({pods: [added(pod({}, {waiting}))]}, job, 1000)
    expect(report).toMatchObject({code: 'AGENT_IMAGE_REGISTRY', exit: 'agentImage'})
    await inWorld({pods: [added(pod({}, {waiting}))], deaf: 2}, async (cluster) => {
      const {channel} = await connectAgent(cluster, job, {handshake: echo, timeoutMs: 10_000})
      channel.destroy()
    })
  })
})

const pending = (message: string): Pod => ({
  ...pod(),
  spec: {},
  status: {phase: 'Pending', conditions: [{type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message}]},
})
const targetless: Agent = {...job, targetless: true}

describe.concurrent('a pod without a node', () => {
  it.each([
    [
      '0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable.',
      'AGENT_UNSCHEDULABLE',
      'agent.resources',
    ],
    ['0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}.', 'AGENT_TAINT', 'agent.tolerations'],
    [
      "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match x.",
      'AGENT_UNSCHEDULABLE',
      'agent.tolerations',
    ],
    [
      "0/2 nodes are available: 1 node(s) had volume node affinity conflict, 1 node(s) didn't match Pod's node affinity/selector.",
      'AGENT_NODE_SELECTOR',
      'agent.node_selector',
    ],
  ])('is waited for: %s', async (message, code, setting) => {
    const report = await outcome({pods: [added(pending(message))]}, job, 1000)
    expect(report).toMatchObject({code, exit: 'agentScheduling', why: message})
    expect(report.next.join('\n')).toContain(setting)
  })

  it.each([
    [
      "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. preemption: none",
      'AGENT_NODE_SELECTOR',
    ],
    ['0/1 nodes are available: 1 Too many pods.', 'AGENT_NODE_FULL'],
  ])('is given up at once where the target’s node will not take it: %s', async (message, code) => {
    expect(await outcome({pods: [added(pending(message))]})).toMatchObject({code, exit: 'agentScheduling'})
  })

  it('is waited for where other nodes may come, and on a full node with agent.check_out_of_pods off', async () => {
    const full = {pods: [added(pending('0/1 nodes are available: 1 Too many pods.'))]}
    expect((await outcome(full, {...job, waitsForPlace: true}, 1000)).what).toContain('did not change')
    expect((await outcome(full, targetless, 1000)).what).toContain('did not change')
  })
})

describe.concurrent('a container that does not start', () => {
  it.each([
    ['ErrImagePull', 'pull access denied: 401 Unauthorized', job, 'AGENT_IMAGE_SECRET', 'agent.image_pull_secrets'],
    [
      'ErrImagePull',
      'pull access denied: 401 Unauthorized',
      beside,
      'AGENT_IMAGE_SECRET',
      "target's pod or its service account",
    ],
    ['ErrImagePull', 'manifest unknown', job, 'AGENT_IMAGE_PULL', 'agent.image'],
    ['ErrImagePull', 'no match for platform in manifest: not found', job, 'AGENT_IMAGE_PLATFORM', 'architecture'],
    ['ErrImageNeverPull', 'not present', job, 'AGENT_IMAGE_PULL', 'agent.image_pull_policy'],
    ['InvalidImageName', 'invalid reference format', job, 'AGENT_IMAGE_NAME', 'agent.image'],
    [
      'CreateContainerConfigError',
      'container has runAsNonRoot and image will run as root',
      beside,
      'AGENT_NOT_ROOT',
      'agent.privileged: true',
    ],
    ['CreateContainerConfigError', 'secret "db" not found', beside, 'AGENT_CONTAINER_CONFIG', 'variables'],
    [
      'CreateContainerError',
      'failed to mkdir "/var": read-only file system',
      job,
      'AGENT_HOST_PATH',
      'agent.ephemeral',
    ],
    ['RunContainerError', 'apparmor profile not found', job, 'AGENT_PROFILE', 'agent.security_context'],
    ['CreateContainerError', 'exec: "./mirrord-agent": no such file', job, 'AGENT_IMAGE_START', '/mirrord-agent'],
  ] as const)('%s: %s', async (reason, message, agent, code, setting) => {
    const state = {waiting: {reason, message}}
    const inPod: Pod = {
      ...pod({phase: 'Running'}),
      status: {phase: 'Running', ephemeralContainerStatuses: [{name: 'mirrord-agent-x', image: 'i:1', state}]},
    }
    const report = await outcome({pods: [added(agent === job ? pod({}, state) : inPod)]}, agent)
    expect(report).toMatchObject({code, exit: 'agentImage'})
    expect(report.why).toContain(message)
    expect(report.next.join('\n')).toContain(setting)
  })

  it('because its pull secret is missing, which only an event tells', async () => {
    const report = await outcome({
      pods: [added(pod({}, {waiting: {reason: 'ErrImagePull', message: 'denied: 403 Forbidden'}}))],
      events: [{type: 'Warning', reason: 'FailedToRetrieveImagePullSecret', message: 'pull secrets (regcred)'}],
    })
    expect(report).toMatchObject({code: 'AGENT_PULL_SECRET', exit: 'agentImage'})
    expect(report.why).toContain('regcred')
    expect(report.why).toContain('403')
  })

  it.each([
    ['FailedMount', 'MountVolume.SetUp failed for volume "hostrun"', 'AGENT_HOST_PATH', 'agent.ephemeral'],
    ['FailedCreatePodSandBox', 'network plugin cni failed', 'AGENT_POD_SETUP', 'another node'],
  ])('because of its node, by the event %s', async (reason, message, code, setting) => {
    const waiting = {reason: 'ContainerCreating'}
    const events = [{type: 'Warning', reason, message}]
    const report = await outcome({pods: [added(pod({}, {waiting}))], events}, job, 1000)
    expect(report.code).toBe(code)
    expect(report.why).toContain(message)
    expect(report.next.join('\n')).toContain(setting)
  })
})

const over = (terminated: NonNullable<ContainerState['terminated']>) => [
  added(pod({phase: 'Failed'}, {terminated: {exitCode: 1, reason: 'Error', ...terminated}})),
]

describe.concurrent('[EXIT-56] an agent that ends at once', () => {
  it.each([
    ["Couldn't find containerd socket to use", 'AGENT_NO_RUNTIME', 'agentEnded', 'agent.ephemeral'],
    [
      'failed to enter namespace: Operation not permitted (os error 1)',
      'AGENT_RIGHTS',
      'agentEnded',
      'agent.privileged',
    ],
    ["iptables: can't initialize iptables table `nat'", 'AGENT_IPTABLES', 'agentEnded', 'agent.nftables'],
    ['open /run/xtables.lock: Read-only file system', 'AGENT_READ_ONLY', 'agentEnded', 'agent.namespace'],
    ["error: unexpected argument '--container-id' found", 'AGENT_IMAGE_VERSION', 'agentImage', 'agent.image'],
    ['exec ./mirrord-agent: exec format error', 'AGENT_IMAGE_PLATFORM', 'agentImage', 'architecture'],
    ['listen: EADDRINUSE', 'AGENT_PORT', 'agentEnded', 'Start again'],
    ['something else', 'AGENT_ENDED', 'agentEnded', 'agent.privileged'],
  ])('says why by its last words: %s', async (words, code, exit, setting) => {
    const report = await outcome({pods: over({}), log: `starting\n${words}\n`})
    expect(report).toMatchObject({code, exit})
    expect(report.next.join('\n')).toContain(setting)
    expect(report.detail).toContain(`  ${words}`)
  })

  it('by the lines that the kubelet has kept, where its log may not be read', async () => {
    const log = {status: 403, body: {message: 'User "x" cannot get resource "pods/log"'}}
    const pods = over({message: "ERROR start failed\nCouldn't find containerd socket to use\n"})
    const report = await outcome({pods, log})
    expect(report.code).toBe('AGENT_NO_RUNTIME')
    expect(report.detail).toContain('  ERROR start failed')
  })

  it('and where there is not a word, says that', async () => {
    expect((await outcome({pods: over({exitCode: 137})})).detail).toContain('(It wrote nothing.)')
  })

  it('killed for its memory', async () => {
    const report = await outcome({pods: over({exitCode: 137, reason: 'OOMKilled'}), log: 'EPERM\n'})
    expect(report).toMatchObject({code: 'AGENT_OUT_OF_MEMORY', exit: 'agentEnded'})
    expect(report.next.join('\n')).toContain('agent.resources.limits.memory')
  })

  it.each([
    ['OutOfcpu', 'AGENT_REJECTED', 'agent.resources'],
    ['NodeAffinity', 'AGENT_NODE_SELECTOR', 'agent.node_selector'],
    ['Evicted', 'AGENT_EVICTED', 'agent.priority_class'],
    ['UnexpectedAdmissionError', 'AGENT_REJECTED', 'another node'],
  ])('refused by its node: %s', async (reason, code, setting) => {
    const report = await outcome({pods: [added(pod({phase: 'Failed', reason, message: 'so it is'}))]})
    expect(report).toMatchObject({code, exit: 'agentScheduling'})
    expect(report.next.join('\n')).toContain(setting)
  })
})

it('a complaint of an agent that still runs is not taken for the reason', async () => {
  const pods = [added(pod({phase: 'Running'}, {running: {}}))]
  const report = await outcome({pods, log: 'WARN environ: Permission denied\n'}, job, 1000)
  expect(report).toMatchObject({code: 'AGENT_TIMEOUT', exit: 'agentScheduling'})
  expect(report.detail).toContain('Permission denied')
})

it('an ephemeral agent that runs and does not answer may be hidden by the mesh', async () => {
  const running: Pod = {
    ...pod({phase: 'Running'}),
    status: {phase: 'Running', ephemeralContainerStatuses: [{name: 'mirrord-agent-x', state: {running: {}}}]},
  }
  const report = await outcome({pods: [added(running)]}, {...beside, inMesh: true}, 1000)
  expect(report.next[0]).toContain('agent.exclude_from_mesh: true')
})

describe.concurrent('a refusal of the Job itself', () => {
  const creating = (status: number, message: string) =>
    inWorld({create: {status, body: {message}}}, async (cluster) => {
      const {config} = await resolveConfig({flags: {}, env: {}, cwd: '/'})
      return refusal(createAgent(cluster, {agent: config.agent, sessionId: 's', namespace: 'ci'}))
    })

  it.each([
    [400, warden, 'AGENT_REFUSED_AUTOPILOT', 'agentRefused'],
    [403, 'jobs.batch "x" is forbidden: exceeded quota: q, requested: count/jobs.batch=1', 'AGENT_QUOTA', 'agentQuota'],
    [
      403,
      'unable to create new content in namespace ci because it is being terminated',
      'AGENT_NAMESPACE_ENDS',
      'agentRefused',
    ],
    [500, 'Internal error occurred: failed calling webhook "a.b"', 'AGENT_WEBHOOK_FAILED', 'agentRefused'],
    [
      403,
      'jobs.batch is forbidden: User "x" cannot create resource "jobs": GKE Warden authz [denied by managed-namespaces-limitation]',
      'FORBIDDEN',
      'forbidden',
    ],
    [500, 'etcdserver: request timed out', 'CLUSTER_ERROR', 'clusterUnreachable'],
  ])('%i %s', async (status, message, code, exit) => {
    expect(await creating(status, message)).toMatchObject({code, exit})
  })
})
