import {formatTarget} from '../config/index.ts'
import type {Cluster} from './cluster.ts'
import {ApiError, isStatus} from './errors.ts'
import {listAll} from './list.ts'
import type {ObjectMeta, Pod} from './objects.ts'
import {inspectPod, type NotReady, type ReadyPod} from './readiness.ts'
import {selectorText} from './selector.ts'
import {containerNotFound, noPods, notFound, notReady, type NamedTarget} from './target-refusals.ts'
import {podSelector, type WorkloadKind} from './workloads.ts'

/** A target with the pod that was chosen for it. */
export interface ResolvedTarget extends ReadyPod {
  /** The target in the grammar of the configuration. */
  target: string
  /** Label `kubernetes.io/hostname` of the node, when the node may be read. */
  nodeHostname?: string
  /** The other pods of the target that could be taken: only one is used. */
  others: readonly string[]
}

interface Options {
  signal?: AbortSignal
  /** Names of pods that are not to be taken. */
  avoid?: readonly string[]
}

/**
 * Finds the pod of a target: the named one, or of a workload, a service or labels the first ready one in the server's order.
 * `namespace` is the context's by default. Throws a MirrordError: TARGET_NOT_FOUND, NAMESPACE_NOT_FOUND,
 * CONTAINER_NOT_FOUND (exit targetNotFound, with what exists instead), TARGET_NOT_READY (exit targetNotReady, with the
 * reason of every pod), and those of requests.
 */
export async function resolveTarget(
  cluster: Cluster,
  target: NamedTarget,
  namespace = cluster.namespace,
  options: Options = {},
): Promise<ResolvedTarget> {
  const pods = await podsOf(cluster, target, namespace, options)
  const refusals: {pod: string; notReady: NotReady}[] = []
  const candidates: ReadyPod[] = []
  for (const pod of pods) {
    const result = inspectPod(pod, target.container)
    if ('notReady' in result) refusals.push({pod: pod.metadata?.name ?? '', notReady: result.notReady})
    else if (!options.avoid?.includes(result.ready.name)) candidates.push(result.ready)
  }
  const [chosen, ...rest] = candidates
  if (chosen) {
    const nodeHostname = await hostnameOf(cluster, chosen.node, options)
    return {...chosen, namespace, target: formatTarget(target), nodeHostname, others: rest.map(({name}) => name)}
  }
  const containers = new Set(refusals.flatMap(({notReady}) => notReady.unknownContainer ?? []))
  if (refusals.length > 0 && refusals.every(({notReady}) => notReady.unknownContainer)) {
    throw containerNotFound(target, namespace, [...containers])
  }
  throw notReady(target, namespace, refusals)
}

async function podsOf(cluster: Cluster, target: NamedTarget, namespace: string, {signal}: Options): Promise<Pod[]> {
  try {
    if (target.kind === 'pod') {
      const operation = {verb: 'get', api: 'v1', resource: 'pods', namespace, name: target.name} as const
      return [await cluster.client.json<Pod>({operation, signal})]
    }
    const labelSelector =
      target.kind === 'label'
        ? selectorText({matchLabels: target.labels})
        : await podSelector(cluster, target as {kind: WorkloadKind; name: string}, namespace, signal)
    const pods = await listAll(
      cluster,
      {api: 'v1', resource: 'pods', namespace, labelSelector, signal},
      (pod: Pod): Pod[] => [pod],
    )
    if (pods.length > 0) return pods
    throw target.kind === 'label' ? await notFound(cluster, target, namespace) : noPods(target, namespace)
  } catch (error) {
    if (isStatus(error, 404)) throw await notFound(cluster, target, namespace)
    throw error
  }
}

/** The hostname label of a node; a pod pinned by it still passes the scheduler. Undefined when it may not be read. */
async function hostnameOf(cluster: Cluster, node: string, {signal}: Options): Promise<string | undefined> {
  try {
    const {metadata} = await cluster.client.json<{metadata?: ObjectMeta}>({
      operation: {verb: 'get', api: 'v1', resource: 'nodes', name: node},
      accept: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json',
      signal,
    })
    // vcluster shows nodes that do not exist: their labels must not pin anything (agent.md 1.7).
    if (metadata?.labels?.['vcluster.loft.sh/fake-node'] === 'true') return undefined
    return metadata?.labels?.['kubernetes.io/hostname']
  } catch (error) {
    signal?.throwIfAborted()
    // The label is a refinement: without it the agent is pinned by the name of the node.
    if (error instanceof ApiError) return undefined
    throw error
  }
}
