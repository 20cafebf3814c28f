import {setTimeout as pause} from 'node:timers/promises'
import {MirrordError} from '../errors/mirrord-error.ts'
import {agentContainer} from './agent-job.ts'
import type {Cluster} from './cluster.ts'
import {eventLines, logTail} from './diagnosis.ts'
import {ApiError} from './errors.ts'
import {deleteAgentJob, type AgentJob} from './job-lifecycle.ts'
import type {KubeEvent, Pod} from './objects.ts'
import {deleted, fatalState, hasLog, podState, timedOut} from './pod-watch.ts'
import {openForward, PortUnreachable, type ForwardChannel} from './port-forward.ts'
import {watch} from './watch.ts'

/** How to connect to an agent. */
export interface ConnectOptions<T> {
  /**
   * Proves that the agent answers: sends the protocol's first message and fulfils with whatever its answer gave. Called
   * once for each channel that opens, in the same turn, and must set its handlers at once. Must reject when the channel
   * closes. A MirrordError that it rejects with ends the start (for example the agent's complaint about dirty rules).
   */
  handshake: (channel: ForwardChannel) => Promise<T>
  /** Milliseconds until the agent must have answered (configuration: agent.startup_timeout, in seconds). */
  timeoutMs: number
  /** Told when the pod's state changes, in one sentence. */
  onProgress?: (state: string) => void
  signal?: AbortSignal
}

/** A connected agent. */
export interface ConnectedAgent<T> {
  channel: ForwardChannel
  pod: string
  answer: T
  /** Port-forwards that were tried, the last one included. */
  attempts: number
}

/** Between two attempts; an attempt itself takes about 20 ms while nothing listens. */
const attemptPauseMs = 25
/** Job events are looked at when no pod has appeared for this long; a healthy controller takes some 30 ms. */
const noPodMs = 1000

/**
 * Waits until the agent answers. Port-forwards are tried from the moment the pod has a node, because the kubelet reports
 * `Running` half a second late (tunnel.md 1); in parallel the pod's status is watched for what can never become ready.
 * On any failure, abort included, the Job is deleted before the error is thrown: exit agentImage, agentScheduling,
 * forbidden, clusterUnreachable, or what the handshake threw; pod events and last log lines are in `detail`.
 */
export async function connectAgent<T>(
  cluster: Cluster,
  job: AgentJob,
  options: ConnectOptions<T>,
): Promise<ConnectedAgent<T>> {
  const stop = new AbortController()
  const ended = options.signal ? AbortSignal.any([stop.signal, options.signal]) : stop.signal
  const state: {pod?: Pod} = {}
  const timer = Promise.withResolvers<never>()
  const timeout = setTimeout(
    () => timer.reject(timedOut(state.pod, Math.round(options.timeoutMs / 1000))),
    options.timeoutMs,
  )
  const scheduled = Promise.withResolvers<string>()
  const work = [
    timer.promise,
    watchPod(cluster, job, ended, (pod) => {
      state.pod = pod
      options.onProgress?.(podState(pod))
      if (pod.spec?.nodeName && pod.metadata?.name) scheduled.resolve(pod.metadata.name)
    }),
    watchRefusals(cluster, job, ended, () => state.pod !== undefined),
    attempts(cluster, job, scheduled.promise, options.handshake, ended),
    aborted(ended),
  ] as const
  for (const part of work) part.catch(() => undefined)
  try {
    return await Promise.race(work)
  } catch (error) {
    stop.abort()
    throw await withDiagnosis(cluster, job, state.pod, error, options.signal)
  } finally {
    clearTimeout(timeout)
    stop.abort()
  }
}

async function attempts<T>(
  cluster: Cluster,
  job: AgentJob,
  scheduled: Promise<string>,
  handshake: (channel: ForwardChannel) => Promise<T>,
  signal: AbortSignal,
): Promise<ConnectedAgent<T>> {
  const pod = await scheduled
  for (let count = 1; ; count++) {
    signal.throwIfAborted()
    let channel: ForwardChannel | undefined
    try {
      channel = await openForward(cluster, {namespace: job.namespace, pod, port: job.port}, signal)
      const answer = await handshake(channel)
      signal.throwIfAborted()
      return {channel, pod, answer, attempts: count}
    } catch (error) {
      const refused = channel?.failure instanceof PortUnreachable
      channel?.destroy()
      signal.throwIfAborted()
      if (!refused && error instanceof MirrordError && !passing(error)) throw error
    }
    await pause(attemptPauseMs, undefined, {signal})
  }
}

/**
 * Whether a failed attempt says only "not yet". The API server answers 404, 400 or 500 while the kubelet does not know
 * the pod or its sandbox, and one cut connection is no lost cluster. A missing permission does not pass.
 */
function passing(error: MirrordError): boolean {
  if (error instanceof ApiError) return error.status !== 401 && error.status !== 403
  return error.report.code === 'CLUSTER_CUT' || error.report.code === 'CLUSTER_TIMEOUT'
}

/** Follows the agent's pod; rejects when it can never become ready, otherwise never settles. */
async function watchPod(
  cluster: Cluster,
  job: AgentJob,
  signal: AbortSignal,
  seen: (pod: Pod) => void,
): Promise<never> {
  for await (const {type, object: pod} of watch<Pod>(cluster, {...podsOf(job), signal})) {
    if (type === 'DELETED') throw deleted()
    seen(pod)
    const fatal = fatalState(pod)
    if (fatal) throw fatal
  }
  throw new Error('The watch ended.')
}

/** When no pod appears, the reason is only in the Job's events: a policy, a quota (agent.md 8.2). */
async function watchRefusals(
  cluster: Cluster,
  job: AgentJob,
  signal: AbortSignal,
  hasPod: () => boolean,
): Promise<never> {
  await pause(noPodMs, undefined, {signal})
  const request = {
    api: 'v1',
    resource: 'events',
    namespace: job.namespace,
    fieldSelector: `involvedObject.name=${job.name},involvedObject.kind=Job`,
    signal,
  }
  try {
    for await (const {object} of watch<KubeEvent>(cluster, request)) {
      // An exceeded quota may be freed before the time is over; a refusing policy does not change its mind.
      if (hasPod() || object.reason !== 'FailedCreate' || /exceeded quota/.test(object.message ?? '')) continue
      throw new MirrordError({
        code: 'AGENT_REFUSED',
        exit: 'agentScheduling',
        what: `The cluster refused the agent's pod in the namespace "${job.namespace}".`,
        why: object.message,
        next: [
          'The agent needs hostPID, hostPath and added capabilities: choose an agent.namespace whose policy admits them ' +
            '(label pod-security.kubernetes.io/enforce=privileged).',
        ],
      })
    }
  } catch (error) {
    signal.throwIfAborted()
    // Who may not read events only learns less: the time limit still ends the wait.
    if (!(error instanceof MirrordError) || error.report.code === 'AGENT_REFUSED') throw error
  }
  return new Promise<never>(() => {})
}

function aborted(signal: AbortSignal): Promise<never> {
  const {promise, reject} = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'))
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, {once: true})
  return promise
}

function podsOf(job: AgentJob) {
  return {api: 'v1', resource: 'pods', namespace: job.namespace, labelSelector: `job-name=${job.name}`}
}

/** Adds what the cluster knows about the failure, and deletes the Job: nothing stays behind. */
async function withDiagnosis(
  cluster: Cluster,
  job: AgentJob,
  pod: Pod | undefined,
  error: unknown,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const name = pod?.metadata?.name
  const worth = error instanceof MirrordError && !signal?.aborted && error.report.exit.startsWith('agent')
  const [events, log] = worth
    ? await Promise.all([
        eventLines(cluster, job.namespace, name ?? job.name),
        name && pod && hasLog(pod)
          ? logTail(cluster, {namespace: job.namespace, pod: name, container: agentContainer})
          : [],
      ])
    : [[], []]
  const left = await deleteAgentJob(cluster, job).then(
    () => undefined,
    () => `The Job "${job.name}" in the namespace "${job.namespace}" could not be deleted; it ends by itself.`,
  )
  if (!(error instanceof MirrordError)) return error
  const {report} = error
  const dirty = log.some((line) => line.includes('Detected dirty iptables'))
  const detail = [
    report.detail,
    events.length > 0 ? `Events:\n${events.map((line) => `  ${line}`).join('\n')}` : undefined,
    log.length > 0 ? `Log of the agent:\n${log.map((line) => `  ${line}`).join('\n')}` : undefined,
    left,
  ].filter((part) => part !== undefined)
  const settled = {...report, ...(dirty ? dirtyReport : {}), detail: detail.length > 0 ? detail.join('\n') : undefined}
  return new MirrordError(settled, {cause: error})
}

const dirtyReport = {
  code: 'AGENT_DIRTY',
  exit: 'agentDirty',
  what: 'The target carries redirect rules of another agent.',
  why: 'Another session uses the same container, or an agent ended without removing its rules.',
  next: [
    'Wait for the other session to end, or choose another target.',
    'If there is none: delete the target pod, or set agent.clean_iptables_on_start: true.',
  ],
} as const
