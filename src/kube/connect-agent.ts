import {setTimeout as pause} from 'node:timers/promises'
import {MirrordError} from '../errors/mirrord-error.ts'
import {agentContainer} from './agent-job.ts'
import type {Cluster} from './cluster.ts'
import {eventLines, logTail} from './diagnosis.ts'
import {DeadlineError, transportError} from './errors.ts'
import {agentStatus, deleteAgent, podGone, podsOf, situationOf, type Agent} from './agent-lifecycle.ts'
import type {KubeEvent, Pod} from './objects.ts'
import {refine, refusal} from './obstacles/recognise.ts'
import {deleted, fatalState, hasLog, podState, timedOut} from './pod-watch.ts'
import type {ForwardChannel} from './port-forward.ts'
import {reachAgent, type ConnectedAgent} from './reach-agent.ts'
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

/** Job events are looked at when no pod has appeared for this long; a healthy controller takes some 30 ms. */
const noPodMs = 500

/**
 * Waits until the agent answers. Port-forwards are tried from the moment the pod has a node, because the kubelet reports
 * `Running` half a second late (tunnel.md 1); in parallel the pod's status is watched for what can never become ready.
 * On any failure, abort included, the Job is deleted before the error is thrown: exit agentImage, agentScheduling, agentRefused,
 * agentQuota, agentEnded, forbidden, clusterUnreachable, or what the handshake threw; pod events and last log lines are in
 * `detail`.
 */
export async function connectAgent<T>(
  cluster: Cluster,
  agent: Agent,
  options: ConnectOptions<T>,
): Promise<ConnectedAgent<T>> {
  const stop = new AbortController()
  const ended = options.signal ? AbortSignal.any([stop.signal, options.signal]) : stop.signal
  const {api, resource, namespace} = podsOf(agent)
  const state: {pod?: Pod; refused?: MirrordError; unreached?: MirrordError; blind?: MirrordError} = {
    blind: transportError(cluster, new DeadlineError('no answer'), {verb: 'watch', api, resource, namespace}),
  }
  const timer = Promise.withResolvers<never>()
  const timeout = setTimeout(() => {
    const {pod, refused, blind} = state
    // Who sees nothing does not know that there is no pod.
    const unseen = pod || refused ? undefined : blind
    timer.reject(unseen ?? timedOut(pod, agent, Math.round(options.timeoutMs / 1000), state))
  }, options.timeoutMs)
  const scheduled = Promise.withResolvers<string>()
  const work = [
    timer.promise,
    watchPod(cluster, agent, {
      signal: ended,
      blind: (failure) => (state.blind = failure),
      seen: (pod) => {
        state.pod = pod
        options.onProgress?.(podState(pod, agent))
        if (pod.spec?.nodeName && pod.metadata?.name) scheduled.resolve(pod.metadata.name)
      },
    }),
    watchRefusals(cluster, agent, ended, (refused) => {
      if (state.pod) return
      state.refused = refused
      options.onProgress?.(`The agent has no pod yet. ${refused.message}`)
    }),
    scheduled.promise.then((pod) =>
      reachAgent(cluster, {namespace: agent.namespace, pod, port: agent.port}, options.handshake, {
        signal: ended,
        failed: (failure) => (state.unreached = failure),
      }),
    ),
    aborted(ended),
  ] as const
  for (const part of work) part.catch(() => undefined)
  try {
    return await Promise.race(work)
  } catch (error) {
    stop.abort()
    throw await withDiagnosis(cluster, agent, state.pod, error, options.signal)
  } finally {
    clearTimeout(timeout)
    stop.abort()
  }
}

/** Follows the agent's pod; rejects when it can never become ready, otherwise never settles. */
async function watchPod(
  cluster: Cluster,
  agent: Agent,
  {seen, ...request}: {signal: AbortSignal; blind(failure: MirrordError | undefined): void; seen(pod: Pod): void},
): Promise<never> {
  for await (const {type, object: pod} of watch<Pod>(cluster, {...podsOf(agent), ...request})) {
    if (type === 'DELETED') throw agent.kind === 'job' ? deleted() : podGone(agent.pod, agent.namespace)
    seen(pod)
    const fatal = fatalState(pod, agent)
    if (fatal) throw fatal
  }
  throw new Error('The watch ended.')
}

/**
 * When no pod appears, the reason is only in the Job's events: a policy, a quota (agent.md 8.2). Rejects for one that stays;
 * `told` hears of one that may be taken back, as when a quota is freed.
 */
async function watchRefusals(
  cluster: Cluster,
  agent: Agent,
  signal: AbortSignal,
  told: (refused: MirrordError) => void,
): Promise<never> {
  // Into a pod that is there already a container is put at once, or the request was refused.
  if (agent.kind === 'ephemeral') return new Promise<never>(() => {})
  await pause(noPodMs, undefined, {signal})
  const request = {
    api: 'v1',
    resource: 'events',
    namespace: agent.namespace,
    fieldSelector: `involvedObject.name=${agent.name},involvedObject.kind=Job`,
    signal,
  }
  let refused: MirrordError | undefined
  try {
    for await (const {object} of watch<KubeEvent>(cluster, request)) {
      if (object.reason !== 'FailedCreate') continue
      const text = (object.message ?? '').replace(/^Error creating: /, '')
      const {error, patient} = refusal(text, situationOf(agent), "the agent's pod")
      if (!patient) throw (refused = error)
      told(error)
    }
  } catch (error) {
    signal.throwIfAborted()
    // Who may not read events only learns less: the time limit still ends the wait.
    if (!(error instanceof MirrordError) || error === refused) throw error
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

/** Adds what the cluster knows about the failure, and deletes the Job: nothing stays behind. */
async function withDiagnosis(
  cluster: Cluster,
  agent: Agent,
  pod: Pod | undefined,
  error: unknown,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const name = pod?.metadata?.name
  const worth = error instanceof MirrordError && !signal?.aborted && error.report.exit.startsWith('agent')
  const [events, log] = worth
    ? await Promise.all([
        eventLines(cluster, agent.namespace, name ?? agent.name),
        name && pod && hasLog(pod, agent) ? lastLines(cluster, agent, pod, name) : [],
      ])
    : [[], []]
  const left = await deleteAgent(cluster, agent).then(
    () => undefined,
    () => `The Job "${agent.name}" in the namespace "${agent.namespace}" could not be deleted; it ends by itself.`,
  )
  if (!(error instanceof MirrordError)) return error
  const report = refine(error.report, {events, log}, situationOf(agent))
  const detail = [
    report.detail,
    events.length > 0 ? `Events:\n${events.map((line) => `  ${line}`).join('\n')}` : undefined,
    log.length > 0 ? `Log of the agent:\n${log.map((line) => `  ${line}`).join('\n')}` : undefined,
    left,
  ].filter((part) => part !== undefined)
  return new MirrordError({...report, detail: detail.length > 0 ? detail.join('\n') : undefined}, {cause: error})
}

/**
 * The agent's last lines: its log, else what the kubelet has kept of it in the pod's status (terminationMessagePolicy), which needs
 * neither a right to read logs nor a pod that still exists.
 */
async function lastLines(cluster: Cluster, agent: Agent, pod: Pod, name: string): Promise<string[]> {
  const container = agent.kind === 'job' ? agentContainer : agent.name
  const {lines, failure} = await logTail(cluster, {namespace: agent.namespace, pod: name, container})
  if (lines.length > 0) return lines
  const kept = agentStatus(pod, agent)?.state?.terminated?.message?.trimEnd()
  if (kept) return kept.split('\n')
  return failure === undefined ? ['(It wrote nothing.)'] : [`(It could not be read: ${failure})`]
}
