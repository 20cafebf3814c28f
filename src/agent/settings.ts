import {isIP} from 'node:net'

/** The agent's settings from its environment (agent.md 3.2). Durations in milliseconds unless the name says otherwise. */
export interface AgentSettings {
  jsonLog: boolean
  logFilter: string
  /** Kill established connections to a port when its redirect is added. */
  flushConnections: boolean
  /** Whether that includes deleting conntrack entries. */
  flushConntrack: boolean
  /** True forces the nft backend, false the legacy one, undefined detects. */
  nftables: boolean | undefined
  podIps: readonly string[]
  /** Pass through to the original destination first; otherwise to loopback first. */
  externalIpFix: boolean
  unusedPortLinger: number
  dnsTimeout: number | undefined
  dnsAttempts: number | undefined
  idleTtl: number
  /** The target's container id in ephemeral mode when the pod shares its PID namespace. */
  ephemeralContainerId: string
}

/** A line about a variable for the log. */
export interface SettingsProblem {
  level: 'error' | 'warn'
  text: string
}

type Env = Readonly<Record<string, string | undefined>>

/** Variables that upstream knows and this version accepts without acting on them, with what that means for the user. */
const unsupported: Readonly<Record<string, {active: (value: string) => boolean; consequence: string}>> = {
  MIRRORD_AGENT_STEAL_TLS_CONFIG: {active: () => true, consequence: 'stolen TLS connections are delivered encrypted'},
  MIRRORD_AGENT_EXCLUDE_FROM_MESH: {active: (v) => v === 'true', consequence: 'the agent port stays inside the mesh'},
  MIRRORD_AGENT_ISTIO_CNI: {active: (v) => v === 'true', consequence: 'mesh rules are not considered'},
}

/** Variables that are accepted and need no action in this version. */
const inert = new Set([
  'AGENT_OPERATOR_CERT_ENV',
  'MIRRORD_AGENT_CHILD_PROCESS',
  'MIRRORD_AGENT_CLEAN_IPTABLES_ON_START',
  'MIRRORD_AGENT_HTTP_DETECTION_TIMEOUT',
  'MIRRORD_AGENT_INJECT_HEADERS',
  'MIRRORD_AGENT_IN_SERVICE_MESH',
  'MIRRORD_AGENT_METRICS',
  'MIRRORD_AGENT_OVERRIDE_CACHE_CONTROL',
  'MIRRORD_AGENT_PASSTHROUGH_MIRRORING',
  'MIRRORD_JAQ_TIME_LIMIT',
  'MIRRORD_MAX_BODY_BUFFER_SIZE',
  'MIRRORD_MAX_BODY_BUFFER_TIMEOUT',
])

/**
 * Reads the settings. A malformed value falls back to its default and is reported, as upstream does; so is a variable
 * with the prefix `MIRRORD_AGENT_` that nobody knows.
 * @returns the settings and what to log about them
 */
export function readSettings(env: Env): {settings: AgentSettings; problems: SettingsProblem[]} {
  const problems: SettingsProblem[] = []
  const known = new Set([...inert, ...Object.keys(unsupported)])

  const read = <T>(name: string, fallback: T, parse: (text: string) => T | undefined): T => {
    known.add(name)
    const text = env[name]
    if (text === undefined) return fallback
    const value = parse(text)
    if (value !== undefined) return value
    problems.push({level: 'error', text: `${name} has the malformed value '${text}', the default is used`})
    return fallback
  }
  const boolean = (text: string) => (text === 'true' ? true : text === 'false' ? false : undefined)
  const number = (limit: number) => (text: string) =>
    /^\d{1,15}$/.test(text) && Number(text) <= limit ? Number(text) : undefined
  const u32 = number(0xff_ff_ff_ff)
  const seconds = (text: string) => {
    const value = number(Number.MAX_SAFE_INTEGER)(text)
    // Timers hold 31 bits of milliseconds; 24 days are for ever here.
    return value === undefined ? undefined : Math.min(value * 1000, 0x7f_ff_ff_ff)
  }
  const text = (value: string) => value

  const settings: AgentSettings = {
    jsonLog: read('MIRRORD_AGENT_JSON_LOG', false, boolean),
    logFilter: read('RUST_LOG', 'error', text),
    flushConnections: read('MIRRORD_AGENT_STEALER_FLUSH_CONNECTIONS', false, boolean),
    flushConntrack: read('MIRRORD_AGENT_STEALER_FLUSH_CONNECTIONS_CONNTRACK', true, boolean),
    nftables: read<boolean | undefined>('MIRRORD_AGENT_NFTABLES', undefined, boolean),
    podIps: read('MIRRORD_AGENT_POD_IPS', [], parseIps),
    externalIpFix: read('MIRRORD_AGENT_EXTERNAL_IP_FIX', false, boolean),
    unusedPortLinger: read('MIRRORD_AGENT_UNUSED_PORT_LINGER_SECS', 0, seconds),
    dnsTimeout: read<number | undefined>('MIRRORD_AGENT_DNS_TIMEOUT', undefined, (value) => {
      const parsed = u32(value)
      return parsed === undefined ? undefined : Math.min(parsed * 1000, 0x7f_ff_ff_ff)
    }),
    dnsAttempts: read<number | undefined>('MIRRORD_AGENT_DNS_ATTEMPTS', undefined, u32),
    idleTtl: read('MIRRORD_AGENT_IDLE_TTL', 0, seconds),
    ephemeralContainerId: read('MIRRORD_AGENT_EPHEMERAL_TARGET_CONTAINER_ID', '', text),
  }

  for (const [name, {active, consequence}] of Object.entries(unsupported)) {
    const value = env[name]
    if (value !== undefined && value !== '' && active(value))
      problems.push({level: 'warn', text: `${name} is not supported by this agent: ${consequence}`})
  }
  for (const name of Object.keys(env))
    if (name.startsWith('MIRRORD_AGENT_') && !known.has(name))
      problems.push({level: 'warn', text: `${name} is unknown and ignored`})
  return {settings, problems}
}

function parseIps(text: string): readonly string[] | undefined {
  const parts = text.split(',').filter((part) => part !== '')
  return parts.every((part) => isIP(part) !== 0) ? parts : undefined
}
