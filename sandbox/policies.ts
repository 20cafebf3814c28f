import {R} from './api/resources.ts'
import {refused} from './api/status.ts'
import type {Store} from './api/store.ts'
import type {Container, Obj, Pod} from './api/types.ts'

/** What the levels of Pod Security leave to a container (pod-security-admission/policy). */
const BASELINE_CAPABILITIES = new Set(
  'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT'.split(
    ' ',
  ),
)

/** Refuses a pod that the namespace's Pod Security level or its resource quotas do not admit, in the API server's words. */
export function enforcePolicies(store: Store, pod: Pod): void {
  enforcePodSecurity(store, pod)
  enforceQuotas(store, pod)
}

/** Of the checks those that a workload of the sandbox can fail. */
function enforcePodSecurity(store: Store, pod: Pod): void {
  const {namespace = '', name} = pod.metadata
  const labels = store.find(R.namespaces, undefined, namespace)?.metadata.labels
  const level = labels?.['pod-security.kubernetes.io/enforce'] ?? 'privileged'
  const failed = [
    ...(level === 'privileged' ? [] : baselineFaults(pod)),
    ...(level === 'restricted' ? restrictedFaults(pod) : []),
  ]
  if (failed.length > 0) throw refused(R.pods, name, `violates PodSecurity "${level}:latest": ${failed.join(', ')}`)
}

function baselineFaults(pod: Pod): string[] {
  const {hostPID, hostNetwork, volumes = []} = pod.spec
  const host = [...(hostNetwork ? ['hostNetwork=true'] : []), ...(hostPID ? ['hostPID=true'] : [])]
  const paths = volumes.flatMap((volume) => (volume.hostPath ? [`"${volume.name}"`] : []))
  return [
    ...(host.length > 0 ? [`host namespaces (${host.join(', ')})`] : []),
    ...(paths.length > 0 ? [`hostPath volumes (${plural('volume', paths)})`] : []),
    ...containers(pod).flatMap(({name, securityContext: {capabilities, privileged} = {}}) => {
      const added = (capabilities?.add ?? []).filter((capability) => !BASELINE_CAPABILITIES.has(capability))
      const listed = added.map((capability) => `"${capability}"`).join(', ')
      return [
        ...(privileged ? [`privileged (container "${name}" must not set securityContext.privileged=true)`] : []),
        ...(added.length > 0
          ? [
              `non-default capabilities (container "${name}" must not include ${listed} in securityContext.capabilities.add)`,
            ]
          : []),
      ]
    }),
  ]
}

const restrictedFaults = (pod: Pod): string[] =>
  containers(pod)
    .filter(({securityContext}) => !(securityContext?.runAsNonRoot ?? pod.spec.securityContext?.runAsNonRoot))
    .map(({name}) => `runAsNonRoot != true (pod or container "${name}" must set securityContext.runAsNonRoot=true)`)

const containers = ({spec}: Pod): Container[] => [...(spec.initContainers ?? []), ...spec.containers]

const plural = (word: string, names: readonly string[]) => `${word}${names.length > 1 ? 's' : ''} ${names.join(', ')}`

interface Quota extends Obj {
  spec: {hard?: Record<string, string | number>}
}

/** Quotas count pods here, nothing else. */
function enforceQuotas(store: Store, pod: Pod): void {
  const {namespace, name} = pod.metadata
  const used = store.list<Pod>(R.pods, namespace).filter(({status}) => !['Succeeded', 'Failed'].includes(status.phase))
  for (const quota of store.list<Quota>(R.resourcequotas, namespace)) {
    const hard = quota.spec.hard?.pods
    if (hard === undefined || used.length < Number(hard)) continue
    const counts = `requested: pods=1, used: pods=${used.length}, limited: pods=${hard}`
    throw refused(R.pods, name, `exceeded quota: ${quota.metadata.name}, ${counts}`)
  }
}
