import {formatTarget, nearest, type TargetPath} from '../config/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'
import type {Cluster} from './cluster.ts'
import {missingApi} from './discovery.ts'
import {didYouMean, existingNames, missingNamespace} from './namespace.ts'
import type {NotReady} from './readiness.ts'
import {workloadKinds} from './workloads.ts'

/** A target that is something in the cluster. */
export type NamedTarget = Exclude<TargetPath, {kind: 'targetless'}>

/** The words for a target: `deployment "web"`, `pod with the labels app=web`. */
function describe(target: NamedTarget): string {
  return target.kind === 'label'
    ? `pod with the labels ${formatTarget({...target, container: undefined}).slice('label/'.length)}`
    : `${target.kind} "${target.name}"`
}

/** How kubectl is asked about a target. */
function inKubectl(target: NamedTarget, namespace: string): string {
  const object =
    target.kind === 'label'
      ? `pods -l ${formatTarget({...target, container: undefined}).slice('label/'.length)}`
      : `${target.kind}/${target.name}`
  return `kubectl describe -n ${namespace} ${object}`
}

/** Tells a missing namespace or kind from a missing object, and names what exists instead, as far as the credentials may look. */
export async function notFound(cluster: Cluster, target: NamedTarget, namespace: string): Promise<MirrordError> {
  const noNamespace = await missingNamespace(cluster, namespace)
  if (noNamespace) return noNamespace
  const check = `Check the name, the namespace (--target-namespace) and the context ("${cluster.context}").`
  const report = (why: string | undefined, next: readonly string[] = []) =>
    new MirrordError({
      code: 'TARGET_NOT_FOUND',
      exit: 'targetNotFound',
      what: `There is no ${describe(target)} in the namespace "${namespace}".`,
      why,
      next: [...next, check],
    })
  if (target.kind === 'label')
    return report(undefined, [`See which labels there are: kubectl get pods -n ${namespace} --show-labels`])
  const {api, resource} = target.kind === 'pod' ? {api: 'v1', resource: 'pods'} : workloadKinds[target.kind]
  const existing = await existingNames(cluster, api, resource, namespace)
  if (existing === undefined && target.kind === 'rollout' && (await missingApi(cluster, api)))
    return report('The cluster knows no rollouts: Argo Rollouts is not installed there.')
  const near = nearest(target.name, existing ?? [])
  const listed = existing?.slice(0, 10).join(', ')
  const why = existing?.length === 0 ? `The namespace has no ${target.kind} at all.` : `The namespace has: ${listed}`
  return report(
    existing && (existing.length > 10 ? `${why}, …` : existing.length > 0 ? `${why}.` : why),
    didYouMean(near.map((name) => `${target.kind}/${name}`)),
  )
}

/** The error CONTAINER_NOT_FOUND (exit targetNotFound), with the containers that there are. */
export function containerNotFound(target: NamedTarget, namespace: string, containers: readonly string[]): MirrordError {
  return new MirrordError({
    code: 'CONTAINER_NOT_FOUND',
    exit: 'targetNotFound',
    what: `The ${describe(target)} in the namespace "${namespace}" has no container "${target.container}".`,
    why: `It has: ${containers.join(', ')}. Init containers cannot be a target.`,
    next: [
      ...didYouMean(nearest(target.container ?? '', containers, 1)),
      `Name one of them: ${formatTarget({...target, container: containers[0]})}`,
    ],
  })
}

/** The error TARGET_NOT_READY (exit targetNotReady) of a workload whose pods have not been made. */
export function noPods(target: NamedTarget, namespace: string): MirrordError {
  return new MirrordError({
    code: 'TARGET_NOT_READY',
    exit: 'targetNotReady',
    what: `The ${describe(target)} in the namespace "${namespace}" has no pods.`,
    why: target.kind === 'service' ? 'No pod has the labels that it selects.' : 'Its pods have not been created.',
    next: [`Look at: ${inKubectl(target, namespace)}`],
  })
}

/** Kinds whose roll-out kubectl can wait for. */
const rolledOut = ['deployment', 'statefulset', 'daemonset']

/** The error TARGET_NOT_READY (exit targetNotReady), with the reason of every pod. */
export function notReady(
  target: NamedTarget,
  namespace: string,
  refusals: readonly {pod: string; notReady: NotReady}[],
): MirrordError {
  const lines = refusals.map(({pod, notReady}) => `pod/${pod}: ${notReady.reason}`)
  const single = target.kind === 'pod'
  const wait = single
    ? `kubectl wait -n ${namespace} pod/${target.name} --for=condition=Ready`
    : rolledOut.includes(target.kind)
      ? `kubectl rollout status -n ${namespace} ${target.kind}/${target.name}`
      : `kubectl wait -n ${namespace} pod/${refusals[0]?.pod} --for=condition=Ready`
  return new MirrordError({
    code: 'TARGET_NOT_READY',
    exit: 'targetNotReady',
    what: single
      ? `The pod "${target.name}" in the namespace "${namespace}" is not ready.`
      : `None of the pods of the ${describe(target)} in the namespace "${namespace}" is ready.`,
    why: single ? `The reason: ${refusals[0]?.notReady.reason}.` : undefined,
    next: [`Wait until it is ready, for example with: ${wait}`, `Look at: ${inKubectl(target, namespace)}`],
    detail: single ? undefined : lines.join('\n'),
  })
}
