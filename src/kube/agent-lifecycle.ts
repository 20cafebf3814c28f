import {MirrordError} from '../errors/mirrord-error.ts'
import {delay} from '../util/time.ts'
import {drawIdentity} from './agent-container.ts'
import {ephemeralAgent} from './agent-ephemeral.ts'
import {agentContainer, agentJobObject, type AgentPlan} from './agent-job.ts'
import {subjectDigest} from './agent-owner.ts'
import type {Cluster} from './cluster.ts'
import {ApiError, isStatus} from './errors.ts'
import type {Situation} from './obstacles/obstacle.ts'
import {lacksRight, refusal} from './obstacles/recognise.ts'
import type {ContainerStatus, List, ObjectMeta, Pod} from './objects.ts'
import {isTransient} from './retry.ts'
import {watch} from './watch.ts'

interface Common {
  /** Name of the Job, or of the ephemeral container. */
  name: string
  namespace: string
  /** Port of the agent inside its pod. */
  port: number
  image: string
}

/** An agent that was created. Plain data: another process can delete it from this alone. */
export type Agent =
  | (Common & {
      kind: 'job'
      uid?: string
      targetless?: true
      /** A node that takes no more pods is waited for (configuration: agent.check_out_of_pods is false). */
      waitsForPlace?: true
    })
  | (Common & {
      kind: 'ephemeral'
      pod: string
      /** A service mesh may keep connections from it (configuration: agent.exclude_from_mesh is false). */
      inMesh?: true
    })

/** What an obstacle in its way is judged by. */
export const situationOf = (agent: Agent): Situation => ({
  mode: agent.kind === 'ephemeral' ? 'ephemeral' : agent.targetless ? 'targetless' : 'job',
  namespace: agent.namespace,
})

/** Between two attempts to add a container to a pod that changes; kubelets report a state every second at most. */
const conflicts = 10

/**
 * Creates the agent: a Job in `namespace`, or an ephemeral container of the target's pod; nothing is waited for. Throws
 * what requests throw; a refusal of what the agent asks for is one of the errors of obstacles/admission.ts (exit agentRefused or
 * agentQuota).
 */
export async function createAgent(
  cluster: Cluster,
  plan: AgentPlan & {namespace: string},
  options: {signal?: AbortSignal} = {},
): Promise<Agent> {
  const identity = plan.identity ?? drawIdentity()
  const {target, agent} = plan
  const common = {name: identity.name, port: identity.port, image: agent.image}
  if (agent.ephemeral && target) {
    const {namespace, name: pod} = target
    const inMesh = target.mesh && !agent.exclude_from_mesh ? {inMesh: true as const} : {}
    const made: Agent = {kind: 'ephemeral', ...common, namespace, pod, ...inMesh}
    await addContainer(cluster, made, (now) => ephemeralAgent(agent, target, now, identity), options.signal)
    return made
  }
  const {namespace} = plan
  const job: Agent = {
    ...{kind: 'job', ...common, namespace},
    ...(target ? {} : {targetless: true}),
    ...(agent.check_out_of_pods ? {} : {waitsForPlace: true}),
  }
  const user = await subjectDigest(cluster, options.signal)
  try {
    const {metadata} = await cluster.client.json<{metadata?: ObjectMeta}>({
      operation: {verb: 'create', api: 'batch/v1', resource: 'jobs', namespace},
      body: agentJobObject(plan, identity, user),
      signal: options.signal,
    })
    return {...job, uid: metadata?.uid}
  } catch (error) {
    // An earlier attempt whose answer was lost has created it: the name is random, so it is ours.
    if (isStatus(error, 409) && error.reason === 'AlreadyExists') return job
    // An abandoned or failed request may have created it all the same; a plain refusal has not.
    if (!(error instanceof ApiError) || error.status >= 500) await deleteAgent(cluster, job).catch(() => undefined)
    throw refused(error, situationOf(job), "the agent's Job")
  }
}

/**
 * Adds an ephemeral container by the calls that upstream makes, so that a role made for it suffices: get and update. A
 * request that was abandoned may have added it all the same: its agent ends when nobody connects (agent.md 2.10).
 */
async function addContainer(
  {client}: Cluster,
  {name, namespace, pod}: {name: string; namespace: string; pod: string},
  make: (pod: Pod) => object,
  signal: AbortSignal | undefined,
): Promise<void> {
  const object = {api: 'v1', resource: 'pods/ephemeralcontainers', namespace, name: pod}
  for (let attempt = 1; ; attempt++) {
    try {
      const now = await client.json<Pod>({operation: {verb: 'get', ...object}, signal})
      const present = now.spec?.ephemeralContainers ?? []
      // An earlier attempt whose answer was lost.
      if (present.some((container) => container.name === name)) return
      const body = {...now, spec: {...now.spec, ephemeralContainers: [...present, make(now)]}}
      await client.json({operation: {verb: 'update', ...object}, body, signal})
      return
    } catch (error) {
      if (isStatus(error, 409) && attempt < conflicts) continue // the pod has changed meanwhile
      throw isStatus(error, 404)
        ? podGone(pod, namespace)
        : refused(error, {mode: 'ephemeral', namespace}, "the agent's container")
    }
  }
}

/** The error for a pod that was chosen and is not there any more. */
export function podGone(pod: string, namespace: string): MirrordError {
  return new MirrordError({
    code: 'TARGET_NOT_READY',
    exit: 'targetNotReady',
    what: `The pod "${pod}" in the namespace "${namespace}" went away while the agent started.`,
    why: 'It was deleted or replaced meanwhile.',
    next: ['Start again when the roll-out is over.'],
  })
}

/** A refusal that is about the agent's content, not about a missing permission. */
function refused(error: unknown, situation: Situation, object: string): unknown {
  if (!(error instanceof ApiError)) return error
  const why = error.report.why ?? ''
  if (error.status === 404) {
    return new MirrordError({
      code: 'NAMESPACE_NOT_FOUND',
      exit: 'targetNotFound',
      what: `The agent cannot be created: there is no namespace "${situation.namespace}".`,
      next: ['Name an existing one as agent.namespace (--agent-namespace).'],
    })
  }
  const content =
    [400, 422].includes(error.status) ||
    (error.status === 403 && why !== '' && !lacksRight(why)) ||
    (error.status === 500 && why.includes('failed calling webhook'))
  if (!content) return error
  return new MirrordError(refusal(why, situation, object).error.report, {cause: error})
}

/** Between two looks at an agent that is being deleted while the cluster fails. */
const UNSEEN_MS = 1000
/** No attempt to delete an agent begins later than this after the first. */
const DELETE_MS = 10_000

/**
 * Deletes the agent's Job; its pod follows in the background and its guard removes the redirect rules on SIGTERM.
 * A Job that is gone already is no error. Nobody can delete an ephemeral container: it ends with its last connection.
 * `timeoutMs` of each attempt is 5 s by default.
 */
export async function deleteAgent(
  cluster: Cluster,
  agent: Pick<Agent, 'kind' | 'name' | 'namespace'>,
  options: {timeoutMs?: number; signal?: AbortSignal} = {},
): Promise<void> {
  if (agent.kind === 'ephemeral') return
  try {
    await cluster.client.json({
      operation: {verb: 'delete', api: 'batch/v1', resource: 'jobs', namespace: agent.namespace, name: agent.name},
      body: {apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background', gracePeriodSeconds: 0},
      timeoutMs: options.timeoutMs ?? 5000,
      // A stop has only so much time for it.
      withinMs: DELETE_MS,
      signal: options.signal,
    })
  } catch (error) {
    if (!isStatus(error, 404)) throw error
  }
}

/**
 * Waits until no pod of the agent's Job is left, or its ephemeral container has ended: from then on its redirect rules are
 * gone. Returns false when that is not so, or not seen, within `timeoutMs` (30 s by default).
 */
export async function waitForAgentGone(
  cluster: Cluster,
  agent: Agent,
  options: {timeoutMs?: number} = {},
): Promise<boolean> {
  const signal = AbortSignal.timeout(options.timeoutMs ?? 30_000)
  const {labelSelector, fieldSelector, ...object} = podsOf(agent)
  const there = (pod: Pod) => agent.kind === 'job' || agentStatus(pod, agent)?.state?.running !== undefined
  for (;;) {
    try {
      const {items, metadata} = await cluster.client.json<List<Pod>>({
        operation: {verb: 'list', ...object},
        query: {labelSelector, fieldSelector},
        signal,
      })
      if (!items.some((pod) => there(pod))) return true
      const {resourceVersion} = metadata ?? {}
      for await (const {type, object: pod} of watch<Pod>(cluster, {...podsOf(agent), resourceVersion, signal})) {
        if (type === 'DELETED' || !there(pod)) break
      }
    } catch (error) {
      if (signal.aborted) return false
      if (!isTransient(error)) throw error
      // It is being deleted all the same: only what became of it is not seen now.
      await delay(UNSEEN_MS, signal)
    }
  }
}

/** The pods in which an agent may be: those of its Job, or the target's. */
export function podsOf(agent: Agent) {
  const pods = {api: 'v1', resource: 'pods', namespace: agent.namespace}
  return agent.kind === 'job'
    ? {...pods, labelSelector: `job-name=${agent.name}`, fieldSelector: undefined}
    : {...pods, labelSelector: undefined, fieldSelector: `metadata.name=${agent.pod}`}
}

/** What a pod tells about the agent in it. */
export function agentStatus({status}: Pod, agent: Agent): ContainerStatus | undefined {
  return agent.kind === 'job'
    ? status?.containerStatuses?.find(({name}) => name === agentContainer)
    : status?.ephemeralContainerStatuses?.find(({name}) => name === agent.name)
}
