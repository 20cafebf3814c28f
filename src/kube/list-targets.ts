import {MirrordError} from '../errors/mirrord-error.ts'
import type {Cluster} from './cluster.ts'
import {isStatus} from './errors.ts'
import {listAll, type ListRequest} from './list.ts'
import {missingNamespace} from './namespace.ts'
import type {Deployment, ObjectMeta, Pod} from './objects.ts'
import {applicationContainers} from './readiness.ts'

/** The kinds that can be listed, in the order in which upstream lists them (agent.md 1.10). */
export const listedKinds = ['pod', 'deployment'] as const
export type ListedKind = (typeof listedKinds)[number]

/** A target that a session could be started on. */
export interface ListedTarget {
  /** In the grammar of `target.path`. */
  path: string
  kind: ListedKind
  /** Pods that can be taken, of those that there should be: `2/3`; of a pod, containers that are ready. */
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
 * with several, then deployments with an available pod. `kinds` limits it; a kind named there must be listable, while of
 * the default ones only pods must. Throws NAMESPACE_NOT_FOUND (exit targetNotFound) and what requests throw.
 */
export async function listTargets(
  cluster: Cluster,
  options: {namespace?: string; kinds?: readonly ListedKind[]; signal?: AbortSignal} = {},
): Promise<TargetList> {
  const {namespace = cluster.namespace, kinds, signal} = options
  const wanted = listedKinds.filter((kind) => (kinds ?? listedKinds).includes(kind))
  const lists = await Promise.all(
    wanted.map((kind) =>
      listers[kind](cluster, {namespace, labelSelector, signal}).catch((error: unknown) => {
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

const listers: Record<ListedKind, (cluster: Cluster, scope: Scope) => Promise<ListedTarget[]>> = {
  pod: (cluster, scope) =>
    listAll(cluster, {api: 'v1', resource: 'pods', fieldSelector: 'status.phase=Running', ...scope}, targetsOfPod),
  deployment: (cluster, scope) =>
    listAll(cluster, {api: 'apps/v1', resource: 'deployments', ...scope}, targetsOfDeployment),
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

function targetsOfDeployment({metadata, spec, status}: Deployment): ListedTarget[] {
  const available = status?.availableReplicas ?? 0
  if (available < 1 || metadata?.deletionTimestamp || !metadata?.name) return []
  return [
    {
      path: `deployment/${metadata.name}`,
      kind: 'deployment',
      ready: `${available}/${spec?.replicas ?? 1}`,
      createdAt: metadata.creationTimestamp,
    },
  ]
}
