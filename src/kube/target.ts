import {formatTarget, nearest, type TargetPath} from '../config/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'
import type {Cluster} from './cluster.ts'
import {isStatus} from './errors.ts'
import {didYouMean, existingNames, missingNamespace} from './namespace.ts'
import type {Deployment, List, ObjectMeta, Pod} from './objects.ts'
import {inspectPod, type NotReady, type ReadyPod} from './readiness.ts'
import {selectorText} from './selector.ts'

/** A target with the pod that was chosen for it. */
export interface ResolvedTarget extends ReadyPod {
  /** The target in the grammar of the configuration. */
  target: string
  /** Label `kubernetes.io/hostname` of the node, when the node may be read. */
  nodeHostname?: string
  /** How many pods the target has; only one of them is used. */
  podCount: number
}

interface Options {
  signal?: AbortSignal
}

type NamedTarget = Exclude<TargetPath, {kind: 'targetless'}>

/**
 * Finds the pod of a target: the named one, or the first ready one of a deployment in the server's order.
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
  for (const pod of pods) {
    const result = inspectPod(pod, target.container)
    if ('ready' in result) {
      const nodeHostname = await hostnameOf(cluster, result.ready.node, options)
      return {...result.ready, namespace, target: formatTarget(target), nodeHostname, podCount: pods.length}
    }
    refusals.push({pod: pod.metadata?.name ?? '', notReady: result.notReady})
  }
  const containers = new Set(refusals.flatMap(({notReady}) => notReady.unknownContainer ?? []))
  if (refusals.length > 0 && refusals.every(({notReady}) => notReady.unknownContainer)) {
    throw containerNotFound(target, namespace, [...containers])
  }
  throw notReady(target, namespace, refusals)
}

async function podsOf(cluster: Cluster, target: NamedTarget, namespace: string, {signal}: Options): Promise<Pod[]> {
  const {client} = cluster
  try {
    if (target.kind === 'pod') {
      const operation = {verb: 'get', api: 'v1', resource: 'pods', namespace, name: target.name} as const
      return [await client.json<Pod>({operation, signal})]
    }
    const operation = {verb: 'get', api: 'apps/v1', resource: 'deployments', namespace, name: target.name} as const
    const deployment = await client.json<Deployment>({operation, signal})
    const labelSelector = selectorText(deployment.spec?.selector ?? {})
    const {items} = await client.json<List<Pod>>({
      operation: {verb: 'list', api: 'v1', resource: 'pods', namespace},
      query: {labelSelector},
      signal,
    })
    if (items.length === 0) throw noPods(target, namespace, deployment.spec?.replicas)
    return items
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
    if (isStatus(error, 403, 404)) return undefined
    throw error
  }
}

/** Tells a missing namespace from a missing object, and names what exists instead, as far as the credentials may look. */
async function notFound(cluster: Cluster, target: NamedTarget, namespace: string): Promise<MirrordError> {
  const noNamespace = await missingNamespace(cluster, namespace)
  if (noNamespace) return noNamespace
  const api = target.kind === 'pod' ? 'v1' : 'apps/v1'
  const existing = await existingNames(cluster, api, `${target.kind}s`, namespace)
  const near = nearest(target.name, existing ?? [])
  return new MirrordError({
    code: 'TARGET_NOT_FOUND',
    exit: 'targetNotFound',
    what: `There is no ${target.kind} "${target.name}" in the namespace "${namespace}".`,
    why:
      existing === undefined
        ? undefined
        : existing.length === 0
          ? `The namespace has no ${target.kind} at all.`
          : `The namespace has: ${existing.slice(0, 10).join(', ')}${existing.length > 10 ? ', …' : ''}.`,
    next: [
      ...didYouMean(near.map((name) => `${target.kind}/${name}`)),
      `Check the name, the namespace (--target-namespace) and the context ("${cluster.context}").`,
    ],
  })
}

function containerNotFound(target: NamedTarget, namespace: string, containers: readonly string[]): MirrordError {
  return new MirrordError({
    code: 'CONTAINER_NOT_FOUND',
    exit: 'targetNotFound',
    what: `The ${target.kind} "${target.name}" in the namespace "${namespace}" has no container "${target.container}".`,
    why: `It has: ${containers.join(', ')}. Init containers cannot be a target.`,
    next: [
      ...didYouMean(nearest(target.container ?? '', containers, 1)),
      `Name one of them: ${target.kind}/${target.name}/container/${containers[0]}`,
    ],
  })
}

function noPods(target: NamedTarget, namespace: string, replicas: number | undefined): MirrordError {
  return new MirrordError({
    code: 'TARGET_NOT_READY',
    exit: 'targetNotReady',
    what: `The ${target.kind} "${target.name}" in the namespace "${namespace}" has no pods.`,
    why: replicas === 0 ? 'It is scaled to zero.' : 'Its pods have not been created.',
    next:
      replicas === 0
        ? [`Scale it up: kubectl scale -n ${namespace} deployment/${target.name} --replicas=1`]
        : [`Look at: kubectl describe -n ${namespace} deployment/${target.name}`],
  })
}

function notReady(
  target: NamedTarget,
  namespace: string,
  refusals: readonly {pod: string; notReady: NotReady}[],
): MirrordError {
  const lines = refusals.map(({pod, notReady}) => `pod/${pod}: ${notReady.reason}`)
  const single = target.kind === 'pod'
  return new MirrordError({
    code: 'TARGET_NOT_READY',
    exit: 'targetNotReady',
    what: single
      ? `The pod "${target.name}" in the namespace "${namespace}" is not ready.`
      : `None of the pods of the ${target.kind} "${target.name}" in the namespace "${namespace}" is ready.`,
    why: single ? `The reason: ${refusals[0]?.notReady.reason}.` : undefined,
    next: [
      'Wait until it is ready, for example with: ' +
        (single
          ? `kubectl wait -n ${namespace} pod/${target.name} --for=condition=Ready`
          : `kubectl rollout status -n ${namespace} deployment/${target.name}`),
      `Look at: kubectl describe -n ${namespace} ${target.kind}/${target.name}`,
    ],
    detail: single ? undefined : lines.join('\n'),
  })
}
