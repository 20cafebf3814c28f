import {namedKinds} from '../config/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'
import type {Cluster} from './cluster.ts'
import {missingApi} from './discovery.ts'
import {isStatus} from './errors.ts'
import {listAll, type ListRequest} from './list.ts'
import {missingNamespace} from './namespace.ts'
import type {ObjectMeta, Pod} from './objects.ts'
import {applicationContainers} from './readiness.ts'
import {workloadKinds, type Workload, type WorkloadKind} from './workloads.ts'

/** The kinds that are listed unless others are asked for, in the order in which upstream lists them (agent.md 1.10). */
export const listedKinds = ['pod', 'deployment', 'rollout'] as const
/** A kind that can be listed. */
export type ListedKind = (typeof namedKinds)[number]

/** A target that a session could be started on. */
export interface ListedTarget {
  /** In the grammar of `target.path`. */
  path: string
  kind: ListedKind
  /** Pods that can be taken, of those that there should be: `2/3`; of a pod, containers that are ready; `-` where that is not known. */
  ready: string
  /** When the object was made: RFC 3339. */
  createdAt?: string
}

/** What a namespace holds. */
export interface TargetList {
  namespace: string
  targets: ListedTarget[]
  /** Kinds that the credentials may not list and that were not asked for by name. */
  refused: MirrordError[]
}

/** Neither agents nor what the operator makes for itself. */
const labelSelector = 'app!=mirrord,!operator.metalbear.co/owner'

/**
 * Every target of a namespace (the context's by default) that is there to be taken: ready pods, each container of those
 * with several, then workloads with an available pod. `kinds` names others than the default ones; a kind named there must be
 * listable, while of the default ones only pods must. Throws NAMESPACE_NOT_FOUND (exit targetNotFound) and what requests throw.
 */
export async function listTargets(
  cluster: Cluster,
  options: {namespace?: string; kinds?: readonly ListedKind[]; signal?: AbortSignal} = {},
): Promise<TargetList> {
  const {namespace = cluster.namespace, kinds, signal} = options
  const wanted = namedKinds.filter((kind) => (kinds ?? listedKinds).some((one) => one === kind))
  const lists = await Promise.all(
    wanted.map((kind) =>
      list(cluster, kind, {namespace, labelSelector, signal}).catch(async (error: unknown) => {
        // A cluster without Argo Rollouts has none, whatever the credentials may do.
        if (kind === 'rollout' && isStatus(error, 403, 404) && (await missingApi(cluster, workloadKinds.rollout.api)))
          return []
        if (kinds === undefined && kind !== 'pod' && isStatus(error, 403)) return error
        throw error
      }),
    ),
  )
  const targets = lists.flatMap((list) => (list instanceof MirrordError ? [] : list))
  const missing = targets.length === 0 ? await missingNamespace(cluster, namespace) : undefined
  if (missing) throw missing
  return {namespace, targets, refused: lists.filter((list) => list instanceof MirrordError)}
}

/** The names of all namespaces; undefined when the credentials may not list them. */
export async function listNamespaces(cluster: Cluster): Promise<string[] | undefined> {
  try {
    return await listAll(cluster, {api: 'v1', resource: 'namespaces'}, ({metadata}: {metadata?: ObjectMeta}) =>
      metadata?.name === undefined ? [] : [metadata.name],
    )
  } catch (error) {
    if (isStatus(error, 403)) return undefined
    throw error
  }
}

type Scope = Pick<ListRequest, 'namespace' | 'labelSelector' | 'signal'>

function list(cluster: Cluster, kind: ListedKind, scope: Scope): Promise<ListedTarget[]> {
  if (kind === 'pod')
    return listAll(
      cluster,
      {api: 'v1', resource: 'pods', fieldSelector: 'status.phase=Running', ...scope},
      targetsOfPod,
    )
  const {api, resource} = workloadKinds[kind]
  return listAll(cluster, {api, resource, ...scope}, (object: Workload) => targetOfWorkload(kind, object))
}

function targetsOfPod({metadata, status}: Pod): ListedTarget[] {
  const ready = status?.conditions?.some(({type, status}) => type === 'Ready' && status === 'True')
  if (!ready || metadata?.deletionTimestamp || !metadata?.name) return []
  const statuses = status?.containerStatuses ?? []
  const containers = applicationContainers(statuses)
  const pod = {
    path: `pod/${metadata.name}`,
    kind: 'pod' as const,
    ready: `${statuses.filter((container) => container.ready).length}/${statuses.length}`,
    createdAt: metadata.creationTimestamp,
  }
  if (containers.length < 2) return [pod]
  return containers.map(({name}) => ({...pod, path: `${pod.path}/container/${name}`}))
}

function targetOfWorkload(kind: WorkloadKind, {metadata, spec, status}: Workload): ListedTarget[] {
  const counts = available[kind]({spec, status})
  if (!counts || metadata?.deletionTimestamp || !metadata?.name) return []
  return [{path: `${kind}/${metadata.name}`, kind, ready: counts, createdAt: metadata.creationTimestamp}]
}

type Counting = (object: Pick<Workload, 'spec' | 'status'>) => string | undefined

/** Pods that are available of those that there should be, in one text; undefined when there is none to take. */
const replicas: Counting = ({spec, status}) =>
  status?.availableReplicas ? `${status.availableReplicas}/${spec?.replicas ?? 1}` : undefined

const available: Record<WorkloadKind, Counting> = {
  deployment: replicas,
  rollout: replicas,
  replicaset: replicas,
  statefulset: replicas,
  daemonset: ({status}) =>
    status?.numberAvailable ? `${status.numberAvailable}/${status.desiredNumberScheduled ?? 0}` : undefined,
  job: ({status}) => (status?.ready ? `${status.ready}/${Number(status.active ?? 0)}` : undefined),
  cronjob: ({status}) => (Array.isArray(status?.active) && status.active.length > 0 ? '-' : undefined),
  // Its pods are not counted: that would be a question for each.
  service: ({spec}) => (Object.keys(spec?.selector ?? {}).length > 0 ? '-' : undefined),
}
