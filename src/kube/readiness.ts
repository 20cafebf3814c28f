import {isIP} from 'node:net'
import type {ContainerStatus, Pod} from './objects.ts'

/** Container runtimes whose containers an agent can enter. */
export type Runtime = 'docker' | 'containerd' | 'cri-o'
/** A service mesh found on a pod. */
export type Mesh = 'istio-ambient' | 'istio-cni' | 'istio' | 'linkerd' | 'kuma'

/** A pod that an agent can be attached to. */
export interface ReadyPod {
  name: string
  namespace: string
  uid?: string
  ips: string[]
  node: string
  container: string
  /** The container was not named, and others would have been possible. */
  containerGuessed: boolean
  /** All containers of the pod that have a status. */
  containers: string[]
  /** Without the runtime's prefix. */
  containerId: string
  runtime: Runtime
  mesh?: Mesh
  shareProcessNamespace: boolean
  /** Ports of HTTP and gRPC readiness and liveness probes of all containers: an unfiltered steal takes these too. */
  probePorts: number[]
}

/** Why a pod cannot be a target. `unknownContainer`: the named container does not exist, the others are listed. */
export interface NotReady {
  reason: string
  unknownContainer?: string[]
}

/** Containers of meshes and secret injectors; never the application (agent.md 1.6). */
const helpers = new Set([
  'kuma-sidecar',
  'kuma-init',
  'istio-proxy',
  'istio-init',
  'linkerd-proxy',
  'linkerd-init',
  'vault-agent',
  'vault-agent-init',
  'queue-proxy',
  'traffic-agent',
])
const runtimes: readonly string[] = ['docker', 'containerd', 'cri-o'] satisfies Runtime[]

/** Whether a pod can be a target, by the checks of agent.md 1.5 in their order, and if not, why in words. */
export function inspectPod(pod: Pod, wantedContainer?: string): {ready: ReadyPod} | {notReady: NotReady} {
  const {metadata, spec, status} = pod
  const no = (reason: string) => ({notReady: {reason}})
  if (status?.phase !== 'Running') return no(phaseReason(pod))
  if (metadata?.deletionTimestamp) return no('it is being deleted')
  if (!spec?.nodeName) return no('it is not assigned to a node')
  if (!status.podIPs) return no('it has no address yet')
  const statuses = status.containerStatuses ?? []
  if (statuses.length === 0) return no('none of its containers has a status yet')
  const choice = chooseContainer(statuses, metadata?.annotations, wantedContainer)
  if (!choice) {
    const names = statuses.map(({name}) => name)
    return {
      notReady: {
        reason: `it has no container "${wantedContainer}" (it has ${names.join(', ')})`,
        unknownContainer: names,
      },
    }
  }
  const {chosen, guessed} = choice
  if (!chosen.ready) return no(`its container "${chosen.name}" is not ready: ${containerReason(chosen)}`)
  const [runtime = '', id] = (chosen.containerID ?? '').split('://')
  if (!id) return no(`its container "${chosen.name}" has no id yet`)
  if (!runtimes.includes(runtime)) return no(`its container runtime "${runtime}" is not supported`)
  return {
    ready: {
      name: metadata?.name ?? '',
      namespace: metadata?.namespace ?? '',
      uid: metadata?.uid,
      ips: status.podIPs.flatMap(({ip}) => (ip && isIP(ip) ? [ip] : [])),
      node: spec.nodeName,
      container: chosen.name,
      containerGuessed: guessed,
      containers: statuses.map(({name}) => name),
      containerId: id,
      runtime: runtime as Runtime,
      mesh: detectMesh(pod),
      shareProcessNamespace: spec.shareProcessNamespace ?? false,
      probePorts: probePorts(pod),
    },
  }
}

/**
 * The container to attach to: the named one, else the pod's default-container annotation, else the first that is no
 * helper, else the first (agent.md 1.6). Undefined when the named one does not exist.
 */
export function chooseContainer(
  statuses: readonly ContainerStatus[],
  annotations: Readonly<Record<string, string>> = {},
  wanted?: string,
): {chosen: ContainerStatus; guessed: boolean} | undefined {
  if (wanted !== undefined) {
    const named = statuses.find(({name}) => name === wanted)
    return named && {chosen: named, guessed: false}
  }
  const annotated = statuses.find(({name}) => name === annotations['kubectl.kubernetes.io/default-container'])
  if (annotated) return {chosen: annotated, guessed: false}
  const candidates = applicationContainers(statuses)
  const [chosen] = candidates
  return chosen && {chosen, guessed: candidates.length > 1}
}

/** The containers that are no helpers of a mesh or secret injector; all of them when nothing else is there. */
export function applicationContainers<C extends {name: string}>(containers: readonly C[]): readonly C[] {
  const applications = containers.filter(({name}) => !helpers.has(name))
  return applications.length > 0 ? applications : containers
}

/** The mesh of a pod, by agent.md 1.8; also when a pod has no init containers, where upstream looks no further. */
export function detectMesh(pod: Pod): Mesh | undefined {
  if (pod.metadata?.annotations?.['ambient.istio.io/redirection'] === 'enabled') return 'istio-ambient'
  const {containerStatuses = [], initContainerStatuses = []} = pod.status ?? {}
  const names = new Set([...containerStatuses, ...initContainerStatuses].map(({name}) => name))
  if (names.has('istio-proxy') && names.has('istio-validation')) return 'istio-cni'
  if (names.has('istio-proxy') || names.has('istio-init')) return 'istio'
  if (names.has('linkerd-proxy') || names.has('linkerd-init')) return 'linkerd'
  if (names.has('kuma-sidecar') || names.has('kuma-init')) return 'kuma'
  return undefined
}

function probePorts(pod: Pod): number[] {
  const ports = new Set<number>()
  for (const {readinessProbe, livenessProbe, ports: named = []} of pod.spec?.containers ?? []) {
    for (const probe of [readinessProbe, livenessProbe]) {
      const port = probe?.httpGet?.port ?? probe?.grpc?.port
      const number = typeof port === 'string' ? named.find(({name}) => name === port)?.containerPort : port
      if (number !== undefined) ports.add(number)
    }
  }
  return [...ports]
}

/** Why a pod does not run: its phase and the most telling reason that its status holds. */
function phaseReason({status}: Pod): string {
  const phase = `it is ${status?.phase ?? 'without a phase'}`
  const scheduled = status?.conditions?.find(({type}) => type === 'PodScheduled')
  if (scheduled?.status === 'False') return `${phase}: ${scheduled.message ?? scheduled.reason ?? 'not scheduled'}`
  if (status?.reason || status?.message)
    return `${phase}: ${[status.reason, status.message].filter(Boolean).join(': ')}`
  const statuses = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
  const telling = statuses.find(({state}) => state?.waiting?.reason ?? (state?.terminated?.exitCode ?? 0) !== 0)
  return telling ? `${phase}: container "${telling.name}" ${containerReason(telling)}` : phase
}

/** The state of a container in words, with the reason of its last end. */
export function containerReason({state, lastState, ready}: ContainerStatus): string {
  const {waiting, running, terminated} = state ?? {}
  const last = lastState?.terminated
  const before = last ? ` (it last ended with exit code ${last.exitCode}${last.reason ? `, ${last.reason}` : ''})` : ''
  if (waiting) return `waits${waiting.reason ? `: ${waiting.reason}` : ''}${before}`
  if (terminated)
    return `ended with exit code ${terminated.exitCode}${terminated.reason ? `, ${terminated.reason}` : ''}`
  if (running) return ready ? 'runs' : `runs, but its readiness probe has not succeeded${before}`
  return 'has no state yet'
}
