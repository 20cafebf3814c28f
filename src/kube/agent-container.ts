import {randomInt} from 'node:crypto'
import type {AgentConfig} from '../config/index.ts'
import type {ResolvedTarget} from './target.ts'

/** What is drawn for one agent. */
export interface AgentIdentity {
  /** Name of the Job, or of the ephemeral container. */
  name: string
  /** Port on which the agent listens, inside its own pod. */
  port: number
  /** Group id by which redirect rules tell the agent's own traffic apart. */
  gid: number
}

const nameAlphabet = 'abcdefghijklmnopqrstuvwxyz0123456789'
const capabilities = ['SYS_ADMIN', 'SYS_PTRACE', 'NET_ADMIN'] as const
const defaultFirstClientSeconds = 30

/** Draws name, port and group id in upstream's ranges (agent.md 2.1). */
export function drawIdentity(): AgentIdentity {
  const suffix = Array.from({length: 10}, () => nameAlphabet[randomInt(nameAlphabet.length)]).join('')
  return {name: `mirrord-agent-${suffix}`, port: randomInt(30_000, 65_536), gid: randomInt(3000, 65_535)}
}

/** What is the same of every agent's container; `mode` is its subcommand with arguments (agent.md 2.5). */
export function agentProgram(agent: AgentConfig, {port}: AgentIdentity, mode: readonly string[]) {
  return {
    image: agent.image,
    imagePullPolicy: agent.image_pull_policy,
    // Static command, and arguments that begin with -l and -t: allowlists of GKE Autopilot match on that prefix.
    command: ['./mirrord-agent'],
    args: ['-l', `${port}`, '-t', `${agent.communication_timeout ?? defaultFirstClientSeconds}`, ...mode],
    // Its last lines stay in the pod's status when it fails, also for who may not read logs.
    terminationMessagePolicy: 'FallbackToLogsOnError',
  }
}

/** The rights that an agent beside a target needs, and the group that its traffic is known by. */
export function agentSecurity(agent: AgentConfig, {gid}: AgentIdentity) {
  const disabled = new Set<string>(agent.disabled_capabilities)
  return {
    runAsGroup: gid,
    privileged: agent.privileged,
    capabilities: {add: capabilities.filter((name) => !disabled.has(name))},
  }
}

/** The variables of agent.md 2.6, in its order; those that only an operator sets are left out. */
export function agentVariables(
  agent: AgentConfig,
  target: ResolvedTarget | undefined,
): {name: string; value: string}[] {
  const ips = target?.ips ?? []
  const variables: [string, string | number | boolean | undefined][] = [
    ['RUST_LOG', agent.log_level],
    ['MIRRORD_AGENT_STEALER_FLUSH_CONNECTIONS', agent.flush_connections],
    ['MIRRORD_AGENT_JSON_LOG', agent.json_log],
    ['MIRRORD_AGENT_PASSTHROUGH_MIRRORING', true],
    ['MIRRORD_MAX_BODY_BUFFER_SIZE', agent.max_body_buffer_size],
    ['MIRRORD_MAX_BODY_BUFFER_TIMEOUT', agent.max_body_buffer_timeout],
    ['MIRRORD_AGENT_HTTP_DETECTION_TIMEOUT', agent.http_detection_timeout],
    ['MIRRORD_JAQ_TIME_LIMIT', agent.jaq_time_limit],
    ['MIRRORD_AGENT_NFTABLES', agent.nftables],
    ['MIRRORD_AGENT_DNS_ATTEMPTS', agent.dns.attempts],
    ['MIRRORD_AGENT_DNS_TIMEOUT', agent.dns.timeout],
    ['MIRRORD_AGENT_POD_IPS', ips.length > 0 ? ips.join(',') : undefined],
    ['MIRRORD_AGENT_METRICS', agent.metrics],
    ['MIRRORD_AGENT_INJECT_HEADERS', agent.inject_headers || undefined],
    ['MIRRORD_AGENT_CLEAN_IPTABLES_ON_START', agent.clean_iptables_on_start],
    ['MIRRORD_AGENT_EXTERNAL_IP_FIX', agent.external_ip_fix],
    ['MIRRORD_AGENT_OVERRIDE_CACHE_CONTROL', agent.override_cache_control],
    ['MIRRORD_AGENT_IN_SERVICE_MESH', target?.mesh ? true : undefined],
    ['MIRRORD_AGENT_ISTIO_CNI', target?.mesh === 'istio-cni' ? true : undefined],
  ]
  return variables.flatMap(([name, value]) => (value === undefined ? [] : [{name, value: String(value)}]))
}
