import {MirrordError} from '../errors/mirrord-error.ts'
import {agentJobObject, drawIdentity, type AgentPlan} from './agent-job.ts'
import type {Cluster} from './cluster.ts'
import {ApiError, isStatus} from './errors.ts'
import type {List, ObjectMeta, Pod} from './objects.ts'
import {watch} from './watch.ts'

/** An agent Job that was created. Plain data: another process can delete it from this alone. */
export interface AgentJob {
  name: string
  namespace: string
  uid?: string
  /** Port of the agent inside its pod. */
  port: number
  image: string
}

/**
 * Creates the agent's Job in `namespace`; nothing is waited for. Throws what requests throw; a refusal by an admission
 * policy or a quota is AGENT_REFUSED (exit agentScheduling).
 */
export async function createAgentJob(
  cluster: Cluster,
  plan: AgentPlan & {namespace: string},
  options: {signal?: AbortSignal} = {},
): Promise<AgentJob> {
  const identity = plan.identity ?? drawIdentity()
  const {namespace} = plan
  const job = {name: identity.name, namespace, port: identity.port, image: plan.agent.image}
  try {
    const {metadata} = await cluster.client.json<{metadata?: ObjectMeta}>({
      operation: {verb: 'create', api: 'batch/v1', resource: 'jobs', namespace},
      body: agentJobObject(plan, identity),
      signal: options.signal,
    })
    return {...job, uid: metadata?.uid}
  } catch (error) {
    // An earlier attempt whose answer was lost has created it: the name is random, so it is ours.
    if (isStatus(error, 409) && error.reason === 'AlreadyExists') return job
    // An abandoned or failed request may have created it all the same.
    if (!(error instanceof ApiError)) await deleteAgentJob(cluster, job).catch(() => undefined)
    throw refused(error, namespace)
  }
}

/** A 403 that names a policy or quota, or a 422, is about the Job's content, not about a missing permission. */
function refused(error: unknown, namespace: string): unknown {
  if (!(error instanceof ApiError)) return error
  const why = error.report.why ?? ''
  const policy = error.status === 403 && /admission|denied|PodSecurity|quota|policy/i.test(why)
  if (error.status === 404) {
    return new MirrordError({
      code: 'NAMESPACE_NOT_FOUND',
      exit: 'targetNotFound',
      what: `The agent cannot be created: there is no namespace "${namespace}".`,
      next: ['Name an existing one as agent.namespace (--agent-namespace).'],
    })
  }
  if (!policy && error.status !== 422 && error.status !== 400) return error
  return new MirrordError(
    {
      code: 'AGENT_REFUSED',
      exit: 'agentScheduling',
      what: `The cluster refused the agent's Job in the namespace "${namespace}".`,
      why,
      next: ['Correct the section "agent" of the configuration, or choose an agent.namespace whose policy admits it.'],
    },
    {cause: error},
  )
}

/**
 * Deletes the agent's Job; its pod follows in the background and its guard removes the redirect rules on SIGTERM.
 * A Job that is gone already is no error. `timeoutMs` is 10 s by default.
 */
export async function deleteAgentJob(
  cluster: Cluster,
  job: Pick<AgentJob, 'name' | 'namespace'>,
  options: {timeoutMs?: number; signal?: AbortSignal} = {},
): Promise<void> {
  try {
    await cluster.client.json({
      operation: {verb: 'delete', api: 'batch/v1', resource: 'jobs', namespace: job.namespace, name: job.name},
      body: {apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background', gracePeriodSeconds: 0},
      timeoutMs: options.timeoutMs ?? 10_000,
      signal: options.signal,
    })
  } catch (error) {
    if (!isStatus(error, 404)) throw error
  }
}

/**
 * Waits until no pod of the agent's Job is left: from then on its redirect rules are gone. Returns false when that is not
 * so within `timeoutMs` (30 s by default).
 */
export async function waitForAgentGone(
  cluster: Cluster,
  job: Pick<AgentJob, 'name' | 'namespace'>,
  options: {timeoutMs?: number} = {},
): Promise<boolean> {
  const signal = AbortSignal.timeout(options.timeoutMs ?? 30_000)
  const {namespace} = job
  const labelSelector = `job-name=${job.name}`
  const operation = {verb: 'list', api: 'v1', resource: 'pods', namespace} as const
  try {
    for (;;) {
      const {items, metadata} = await cluster.client.json<List<Pod>>({operation, query: {labelSelector}, signal})
      if (items.length === 0) return true
      const {resourceVersion} = metadata ?? {}
      const request = {api: 'v1', resource: 'pods', namespace, labelSelector, resourceVersion, signal}
      for await (const {type} of watch<Pod>(cluster, request)) {
        if (type === 'DELETED') break
      }
    }
  } catch (error) {
    if (signal.aborted) return false
    throw error
  }
}
