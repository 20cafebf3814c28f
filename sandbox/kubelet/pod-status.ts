import {now} from '../api/store.ts'
import type {Condition, Container, ContainerState, ContainerStatus, Pod, PodStatus} from '../api/types.ts'

export type Role = 'init' | 'main' | 'ephemeral'

/** What the kubelet knows of one container of a pod. */
export interface ContainerRecord {
  role: Role
  spec: Container
  id?: string
  state: ContainerState
  lastState: ContainerState
  restartCount: number
  /** The readiness probe's verdict; true when there is no probe. */
  ready: boolean
  started: boolean
}

const imageId = (image: string) => image

/** One entry of containerStatuses. */
export const containerStatus = (record: ContainerRecord): ContainerStatus => ({
  name: record.spec.name,
  image: record.spec.image,
  imageID: record.id ? imageId(record.spec.image) : '',
  ...(record.id && {containerID: `containerd://${record.id}`}),
  ready:
    record.role === 'init'
      ? record.state.terminated?.exitCode === 0
      : record.role === 'main' && Boolean(record.state.running) && record.started && record.ready,
  started: Boolean(record.state.running) && record.started,
  restartCount: record.restartCount,
  state: record.state,
  lastState: record.lastState,
})

/** The pod's phase from its containers, as the kubelet computes it. */
export function phaseOf(pod: Pod, records: ContainerRecord[]): PodStatus['phase'] {
  const policy = pod.spec.restartPolicy ?? 'Always'
  const init = records.filter((r) => r.role === 'init')
  const main = records.filter((r) => r.role === 'main')
  const failedInit = init.some((r) => r.state.terminated && r.state.terminated.exitCode !== 0)
  if (failedInit && policy === 'Never') return 'Failed'
  if (init.some((r) => r.state.terminated?.exitCode !== 0)) return 'Pending'
  const unborn = main.some((r) => r.state.waiting && !r.lastState.terminated && !r.id)
  if (unborn) return 'Pending'
  const over = main.every((r) => r.state.terminated)
  if (!over || policy === 'Always') return 'Running'
  const clean = main.every((r) => r.state.terminated!.exitCode === 0)
  if (clean) return 'Succeeded'
  return policy === 'Never' ? 'Failed' : 'Running'
}

/** Sets one condition, keeping the time of the last transition when the status stays. */
export function setCondition(list: Condition[] | undefined, condition: Condition): Condition[] {
  const old = list?.find((c) => c.type === condition.type)
  const time = old?.status === condition.status ? old.lastTransitionTime : now()
  const next = {...condition, lastTransitionTime: time}
  return old ? list!.map((c) => (c === old ? next : c)) : [...(list ?? []), next]
}

interface Facts {
  hostIP: string
  podIP?: string
  /** Set once the pod is to fail as a whole, for example after its deadline. */
  failure?: {reason: string; message: string}
}

/** The whole status of a pod. */
export function podStatus(pod: Pod, records: ContainerRecord[], facts: Facts): PodStatus {
  const of = (role: Role) => records.filter((r) => r.role === role).map(containerStatus)
  const [init, main, ephemeral] = [of('init'), of('main'), of('ephemeral')]
  const phase = facts.failure ? 'Failed' : phaseOf(pod, records)
  const initialized = init.every((status) => status.state.terminated?.exitCode === 0)
  const ready = phase === 'Running' && main.every((status) => status.ready)
  const over = phase === 'Succeeded' || phase === 'Failed'
  const unready = main.filter((status) => !status.ready).map((status) => status.name)
  const why: Partial<Condition> = over
    ? {reason: phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed'}
    : {reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]`}
  const bool = (value: boolean) => (value ? 'True' : 'False')
  let conditions = pod.status.conditions
  conditions = setCondition(conditions, {
    type: 'PodReadyToStartContainers',
    status: bool(facts.podIP !== undefined && !over),
    lastProbeTime: null,
  })
  conditions = setCondition(conditions, {
    type: 'Initialized',
    status: bool(initialized || phase === 'Succeeded'),
    lastProbeTime: null,
    ...(!initialized && {
      reason: 'ContainersNotInitialized',
      message: `containers with incomplete status: [${init
        .filter((s) => s.state.terminated?.exitCode !== 0)
        .map((s) => s.name)
        .join(' ')}]`,
    }),
  })
  for (const type of ['Ready', 'ContainersReady']) {
    conditions = setCondition(conditions, {type, status: bool(ready), lastProbeTime: null, ...(!ready && why)})
  }
  conditions = setCondition(conditions, {type: 'PodScheduled', status: 'True', lastProbeTime: null})
  return {
    ...pod.status,
    phase,
    conditions,
    hostIP: facts.hostIP,
    hostIPs: [{ip: facts.hostIP}],
    ...(facts.podIP && {podIP: facts.podIP, podIPs: [{ip: facts.podIP}]}),
    startTime: pod.status.startTime ?? now(),
    ...(init.length && {initContainerStatuses: init}),
    containerStatuses: main,
    ...(ephemeral.length && {ephemeralContainerStatuses: ephemeral}),
    qosClass: 'BestEffort',
    ...facts.failure,
  }
}
