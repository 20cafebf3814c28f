import type {Config} from '../config/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'
import {isAlive, whereabouts, type ProcessId} from '../util/process.ts'
import {
  ciLabel,
  hostLabel,
  jobLabel,
  processAnnotation,
  sessionLabel,
  startAnnotation,
  subjectDigest,
  userLabel,
} from './agent-owner.ts'
import {deleteAgent} from './agent-lifecycle.ts'
import type {Cluster} from './cluster.ts'
import {listAll} from './list.ts'
import type {ObjectMeta, Pod} from './objects.ts'

/** Of a Job what is read here. */
export interface AgentJob {
  metadata?: ObjectMeta
  spec?: {ttlSecondsAfterFinished?: number}
  status?: {conditions?: {type: string; status: string; lastTransitionTime?: string}[]}
}

/** An agent's Job that some session has made. */
export interface FoundAgent {
  name: string
  namespace: string
  /** What is known of its maker, in words. */
  owner: string
  /** Since it was made. */
  seconds: number
  /** Why its session is known to be dead; undefined where it may live. */
  dead?: string
}

/** What became of the agents that were found. */
export interface OrphanReport {
  namespaces: string[]
  removed: FoundAgent[]
  /** Whose sessions may live. */
  kept: FoundAgent[]
  /** Those that could not be deleted, each with the reason. */
  failed: {agent: FoundAgent; error: MirrordError}[]
}

/** Beyond the times that a session and the TTL controller take, for slow clusters. */
const MARGIN_SECONDS = 60

/**
 * Where the Jobs of a run with this configuration are: in the namespace of agents, and of an agent without a target in the
 * target's. `current` is the context's.
 */
export function agentNamespaces({agent, target}: Pick<Config, 'agent' | 'target'>, current: string): string[] {
  const targeted = target.path !== undefined && target.path.kind !== 'targetless'
  return [...new Set([agent.namespace ?? current, ...(targeted ? [] : [target.namespace ?? current])])]
}

/**
 * Deletes the agents' Jobs that dead sessions of this user have left in these namespaces. A session is dead only where that is
 * proven (`deathOf`): those of other jobs, machines and users are never ended. Throws what requests throw (exit forbidden where
 * jobs or pods may not be listed).
 */
export async function removeOrphans(
  cluster: Cluster,
  namespaces: readonly string[],
  signal?: AbortSignal,
): Promise<OrphanReport> {
  const [user, clock] = await Promise.all([subjectDigest(cluster, signal), cluster.client.clock()])
  const found = await Promise.all(
    namespaces.map((namespace) => agentsIn(cluster, namespace, user, clock ?? Date.now(), signal)),
  )
  const agents = found.flat()
  const report: OrphanReport = {
    namespaces: [...namespaces],
    removed: [],
    kept: agents.filter(({dead}) => dead === undefined),
    failed: [],
  }
  for (const agent of agents.filter(({dead}) => dead !== undefined)) {
    try {
      await deleteAgent(cluster, {kind: 'job', ...agent}, {signal})
      report.removed.push(agent)
    } catch (error) {
      if (!(error instanceof MirrordError)) throw error
      report.failed.push({agent, error})
    }
  }
  return report
}

async function agentsIn(
  cluster: Cluster,
  namespace: string,
  user: string | undefined,
  now: number,
  signal: AbortSignal | undefined,
): Promise<FoundAgent[]> {
  // Without a word on who we are, what is ours is known only by its process.
  const mine = user === undefined ? '' : `,${userLabel}=${user}`
  const labelSelector = `app=mirrord,${sessionLabel}${mine}`
  const request = {namespace, labelSelector, signal}
  const jobs = await listAll(cluster, {api: 'batch/v1', resource: 'jobs', ...request}, (job: AgentJob) =>
    job.metadata?.name === undefined || job.metadata.deletionTimestamp ? [] : [job],
  )
  if (jobs.length === 0) return []
  // After the Jobs: a pod that is not there now was not there when its Job was listed, or is gone.
  const pods = await listAll(cluster, {api: 'v1', resource: 'pods', ...request}, (pod: Pod) => [pod])
  return jobs.map((job) => {
    const name = job.metadata!.name!
    const seconds = (now - Date.parse(job.metadata?.creationTimestamp ?? '')) / 1000
    const own = pods.filter(({metadata}) => metadata?.labels?.['job-name'] === name)
    return {name, namespace, owner: ownerOf(job), seconds, dead: deathOf(job, own, now, user !== undefined)}
  })
}

/**
 * Why the session of a Job is dead, or undefined where it may live. A session whose process is on this machine is looked at.
 * Elsewhere it is dead when its agent has never run although the time of its start is over (a living one has given up by then and
 * deleted it), or when the agent has ended and its Job was to be gone (a living one would have noticed). An agent that runs is
 * left alone: it ends by itself when its last client leaves.
 */
export function deathOf(job: AgentJob, pods: readonly Pod[], now: number, mine = true): string | undefined {
  const process = processOf(job)
  if (process && whereabouts(process) === 'here') {
    return isAlive(process) ? undefined : 'its session ran on this machine and has died'
  }
  if (!mine) return undefined
  const since = (time: string | undefined) => (now - Date.parse(time ?? '')) / 1000
  const over = job.status?.conditions?.find(
    ({type, status}) => status === 'True' && (type === 'Complete' || type === 'Failed'),
  )
  if (over) {
    const ttl = job.spec?.ttlSecondsAfterFinished ?? 0
    return since(over.lastTransitionTime) > ttl + MARGIN_SECONDS ? 'it has ended and was not cleared away' : undefined
  }
  const start = Number(job.metadata?.annotations?.[startAnnotation] || NaN)
  const ran = pods.some(({status}) =>
    status?.containerStatuses?.some(({state, lastState}) =>
      Boolean(state?.running ?? state?.terminated ?? lastState?.terminated),
    ),
  )
  const late = since(job.metadata?.creationTimestamp) > start + MARGIN_SECONDS
  return !ran && late ? 'its pod never started, and nobody waits for it any more' : undefined
}

function processOf({metadata}: AgentJob): ProcessId | undefined {
  try {
    const value = JSON.parse(metadata?.annotations?.[processAnnotation] ?? '') as Partial<ProcessId>
    const {pid, startTime, bootId, namespace, host} = value
    // Without the namespace of its number it could be taken for one of ours.
    if (typeof pid !== 'number' || ![startTime, bootId, namespace].every((part) => typeof part === 'string'))
      return undefined
    return {pid, startTime: startTime!, bootId: bootId!, namespace, host}
  } catch {
    return undefined // made by another version, or changed by somebody
  }
}

function ownerOf({metadata}: AgentJob): string {
  const labels = metadata?.labels ?? {}
  const parts = [
    labels[sessionLabel] && `session ${labels[sessionLabel]}`,
    labels[jobLabel] && `job ${labels[jobLabel]}`,
    labels[ciLabel],
    labels[hostLabel] && `on ${labels[hostLabel]}`,
  ]
  return parts.filter(Boolean).join(', ')
}
