import type {TargetPath} from '../config/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'
import type {Cluster} from './cluster.ts'
import {isStatus} from './errors.ts'
import type {LabelSelector, ObjectMeta} from './objects.ts'
import {selectorText} from './selector.ts'

/** The kinds of target that are objects with pods of their own. */
export type WorkloadKind = Exclude<TargetPath['kind'], 'pod' | 'label' | 'targetless'>

/** What is read here of any workload. */
export interface Workload {
  metadata?: ObjectMeta
  spec?: {
    replicas?: number
    /** Of a service a plain map of labels. */
    selector?: LabelSelector | Record<string, string>
    suspend?: boolean
    type?: string
    workloadRef?: {apiVersion?: string; kind?: string; name?: string}
  }
  status?: {
    availableReplicas?: number
    /** Of a daemon set. */
    desiredNumberScheduled?: number
    numberAvailable?: number
    /** Of a job: its pods; of a cron job: its jobs. */
    active?: {name?: string}[] | number
    ready?: number
    conditions?: {type: string; status: string; message?: string}[]
  }
}

/** How the pods of a workload are found, or why it cannot have any now and what to do. */
type Selection = {labelSelector: string} | {none: string; next?: string}

interface Kind {
  api: string
  /** Plural, as in paths. */
  resource: string
  select(object: Workload, place: Place): Selection | Promise<Selection>
}

interface Place {
  cluster: Cluster
  namespace: string
  name: string
  signal?: AbortSignal
}

/** Where each kind is in the API, and how its pods are found (agent.md 1.3; expressions of selectors count here too). */
export const workloadKinds: Readonly<Record<WorkloadKind, Kind>> = {
  deployment: {api: 'apps/v1', resource: 'deployments', select: scaled('deployment')},
  replicaset: {api: 'apps/v1', resource: 'replicasets', select: scaled('replicaset')},
  statefulset: {api: 'apps/v1', resource: 'statefulsets', select: scaled('statefulset')},
  daemonset: {
    api: 'apps/v1',
    resource: 'daemonsets',
    select: (object) =>
      object.status?.desiredNumberScheduled === 0 ? {none: 'No node is eligible for its pods.'} : byLabels(object),
  },
  rollout: {api: 'argoproj.io/v1alpha1', resource: 'rollouts', select: ofRollout},
  job: {
    api: 'batch/v1',
    resource: 'jobs',
    select: (object) => {
      const over = object.status?.conditions?.find(
        ({type, status}) => status === 'True' && (type === 'Complete' || type === 'Failed'),
      )
      if (over) return {none: over.type === 'Complete' ? 'It has completed.' : 'It has failed.'}
      return object.spec?.suspend ? {none: 'It is suspended.'} : byLabels(object)
    },
  },
  cronjob: {api: 'batch/v1', resource: 'cronjobs', select: ofCronJob},
  service: {
    api: 'v1',
    resource: 'services',
    select: (object) => {
      const labelSelector = selectorText({matchLabels: (object.spec?.selector ?? {}) as Record<string, string>})
      if (labelSelector !== '') return {labelSelector}
      return {
        none:
          object.spec?.type === 'ExternalName'
            ? 'It is only another name for something outside the cluster.'
            : 'It has no selector: its endpoints are made by somebody else.',
      }
    },
  },
}

/**
 * The label selector of a workload's pods. Throws what the request throws (404 when it does not exist), or
 * TARGET_NOT_READY (exit targetNotReady) when it can have no pods now.
 */
export async function podSelector(
  cluster: Cluster,
  target: {kind: WorkloadKind; name: string},
  namespace: string,
  signal?: AbortSignal,
): Promise<string> {
  const {kind, name} = target
  const place = {cluster, namespace, name, signal}
  const selection = await workloadKinds[kind].select(await read(place, kind), place)
  if ('labelSelector' in selection) return selection.labelSelector
  throw new MirrordError({
    code: 'TARGET_NOT_READY',
    exit: 'targetNotReady',
    what: `The ${kind} "${name}" in the namespace "${namespace}" has no pods.`,
    why: selection.none,
    next: [selection.next ?? `Look at: kubectl describe -n ${namespace} ${kind}/${name}`],
  })
}

function read({cluster, namespace, name, signal}: Place, kind: WorkloadKind): Promise<Workload> {
  const {api, resource} = workloadKinds[kind]
  return cluster.client.json<Workload>({operation: {verb: 'get', api, resource, namespace, name}, signal})
}

function byLabels({spec}: Workload): Selection {
  const labelSelector = selectorText(spec?.selector ?? {})
  // An empty selector would take every pod of the namespace.
  return labelSelector === '' ? {none: 'It has no selector.'} : {labelSelector}
}

function scaled(kind: WorkloadKind) {
  return (object: Workload, {namespace, name}: Place): Selection =>
    object.spec?.replicas === 0
      ? {
          none: 'It is scaled to zero.',
          next: `Scale it up: kubectl scale -n ${namespace} ${kind}/${name} --replicas=1`,
        }
      : byLabels(object)
}

/** The kinds that a rollout may refer to; anything else it cannot run either (Argo's RolloutSpec). */
const referred: Readonly<Record<string, WorkloadKind>> = {
  Deployment: 'deployment',
  ReplicaSet: 'replicaset',
  StatefulSet: 'statefulset',
}

/**
 * A rollout's own selector, else that of the workload or pod template that it refers to. The reference scales to zero
 * when the rollout takes over, so only the rollout's own replicas count.
 */
async function ofRollout(object: Workload, place: Place): Promise<Selection> {
  const own = scaled('rollout')(object, place)
  if (!('none' in own) || object.spec?.replicas === 0) return own
  const {apiVersion, kind = '', name} = object.spec?.workloadRef ?? {}
  if (name === undefined) return {none: 'It has neither a selector nor a workloadRef.'}
  const known = apiVersion === 'apps/v1' && Object.hasOwn(referred, kind) ? referred[kind] : undefined
  try {
    if (known) return byLabels(await read({...place, name}, known))
    if (apiVersion !== 'v1' || kind !== 'PodTemplate') return {none: `Its workloadRef is of an unknown kind: ${kind}.`}
    const {cluster, namespace, signal} = place
    const operation = {verb: 'get', api: 'v1', resource: 'podtemplates', namespace, name} as const
    const {template} = await cluster.client.json<{template?: {metadata?: ObjectMeta}}>({operation, signal})
    return byLabels({spec: {selector: {matchLabels: template?.metadata?.labels ?? {}}}})
  } catch (error) {
    if (isStatus(error, 404)) return {none: `Its workloadRef names the ${kind} "${name}", which does not exist.`}
    throw error
  }
}

/** The pods of the jobs that run now; a cron job itself names none. */
function ofCronJob(object: Workload, {namespace, name}: Place): Selection {
  const active = Array.isArray(object.status?.active) ? object.status.active : []
  const names = active.flatMap((job) => (job.name === undefined ? [] : [job.name]))
  if (names.length > 0) return {labelSelector: `job-name in (${names.join(',')})`}
  return {
    none: `None of its jobs runs now${object.spec?.suspend ? ', and it is suspended' : ''}.`,
    next: `Run one: kubectl create job -n ${namespace} --from=cronjob/${name} ${name}-mirrord, and name that: job/${name}-mirrord`,
  }
}
