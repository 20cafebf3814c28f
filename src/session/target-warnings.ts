import type {Config} from '../config/index.ts'
import type {ResolvedTarget} from '../kube/index.ts'

/** What the user should know of the pod that was chosen, before the agent is made. */
export function targetWarnings(target: ResolvedTarget, config: Config): string[] {
  const {mode} = config.feature.network.incoming
  return [
    ...container(target),
    ...(mode === 'steal' ? [...otherPods(target), ...probes(target, config)] : []),
    ...(mode === 'off' ? [] : mesh(target, config)),
  ]
}

function container({containerGuessed, container, containers}: ResolvedTarget): string[] {
  const others = containers.filter((name) => name !== container)
  return containerGuessed ? [`container "${container}" was chosen; the pod also has ${others.join(', ')}`] : []
}

/** Tests that call the workload through its Service may meet a pod whose traffic nobody takes, and are green for the wrong reason. */
function otherPods({name, target, others}: ResolvedTarget): string[] {
  if (others.length === 0) return []
  const more = others.length === 1 ? 'another ready pod' : `${others.length} more ready pods`
  return [`only the traffic of pod ${name} is stolen: ${target} has ${more}, and a Service spreads requests over all`]
}

/** A steal without a filter takes the kubelet's questions too (agent.md 1.5). */
function probes({probePorts}: ResolvedTarget, config: Config): string[] {
  const {ports, http_filter: filter} = config.feature.network.incoming
  const {header_filter, path_filter, method_filter, body_filter, header_filter_jq, all_of, any_of} = filter
  const filtered = [header_filter, path_filter, method_filter, body_filter, header_filter_jq, all_of, any_of]
  if (filtered.some((one) => one !== undefined)) return []
  const asked = probePorts.filter((port) => ports === undefined || ports.includes(port))
  if (asked.length === 0) return []
  const which = asked.length === 1 ? `port ${asked[0]}` : `the ports ${asked.join(', ')}`
  return [
    `the readiness or liveness probes of the pod ask ${which}: once stolen, the local program has to answer them, ` +
      'or the pod leaves its Service or is started anew',
  ]
}

/** The agent has to write to /proc/sys there (agent.md 5.5). */
function mesh({mesh}: ResolvedTarget, {agent}: Config): string[] {
  if (mesh !== 'istio-ambient' || agent.privileged) return []
  return [
    'the pod is in an ambient mesh of Istio, where the agent cannot redirect traffic without agent.privileged: true',
  ]
}
