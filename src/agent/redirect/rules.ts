/** An address family of the redirect; each has its own rules and listeners. */
export type Family = 4 | 6

/** The rules that one agent owns in the `nat` table of one namespace (agent.md 5.3, 5.4; no mesh). */
export interface ChainNames {
  /** Jumped to from PREROUTING. */
  inbound: string
  /** Jumped to from OUTPUT. */
  standard: string
}

/** A redirected port: connections to `port` arrive at the agent's listener on `listener`. */
export interface PortRule {
  port: number
  listener: number
}

/** Prefixes of every chain an agent of this or an older version may leave behind. */
const legacyNames = ['MIRRORD_INPUT', 'MIRRORD_OUTPUT', 'MIRRORD_STANDARD', 'MIRRORD_EXCLUDE_FROM_MESH']
const prefixes = ['MRDIN_', 'MRDOUT_', 'MRDSTD_', 'MRDMSH_']

/** Chain names of the agent for a container; `id` may be empty (ephemeral without a shared PID namespace). */
export function chainNames(id: string): ChainNames {
  const short = id.slice(0, 20)
  return {inbound: `MRDIN_${short}`, standard: `MRDSTD_${short}`}
}

/** The chains of one agent in one family, and the address in the rule that tells them from those of another one. */
export interface OwnChains extends ChainNames {
  mark: string
}

/**
 * The source address in an agent's mark: a rule behind the chain's end, for packets that there are not. Every agent of a container
 * gives its chains the same names, and one that was cut off may come to its end after another one has taken its place.
 * Addresses of 240.0.0.0/4 are reserved (RFC 1112 4), those of 100::/64 only discarded (RFC 6666); no match extension is needed.
 * @param mark 24 bits
 */
export function markAddress(family: Family, mark: number): string {
  if (family === 4) return `240.${mark >> 16}.${(mark >> 8) & 0xff}.${mark & 0xff}`
  // Groups of four digits: a listing shows them as they are.
  return `100::${(0x1000 + (mark >> 12)).toString(16)}:${(0x1000 + (mark & 0xfff)).toString(16)}`
}

/** Whether a listing (`-S`) shows the mark. */
export function isMarked(listing: string, mark: string): boolean {
  return listing.includes(` ${mark}/`)
}

const markRule = ({inbound, mark}: OwnChains) => `${inbound} -s ${mark} -p 255 -j RETURN`

/** Fails, and with it the transaction, when the chains are not this agent's any more. */
const onlyOwn = (chains: OwnChains) => [`-D ${markRule(chains)}`, `-A ${markRule(chains)}`]

/** Every chain name that counts as a leftover for this container id (agent.md 2.11). */
export function leftoverNames(id: string): string[] {
  return [...legacyNames, ...prefixes.map((prefix) => prefix + id.slice(0, 20))]
}

/** How the OUTPUT side is built. */
export interface OutputOptions {
  gid: number
  /** Pod addresses of the family. */
  podIps: readonly string[]
}

/**
 * Input of `iptables-restore --noflush` that creates the chains and mounts them. One transaction: either all of it is
 * active afterwards or nothing. `-N` and not `:CHAIN`, which would silently flush the chain of a live agent.
 * @param output undefined leaves the OUTPUT side out: loopback traffic is then not captured
 */
export function setupScript(chains: OwnChains, output: OutputOptions | undefined, ports: readonly PortRule[]): string {
  const lines = [`-N ${chains.inbound}`, `-A ${chains.inbound} -j RETURN`, `-A ${markRule(chains)}`]
  if (output) {
    // The agent's own traffic must reach the application. Its calls from the pod's address are the user's program
    // calling its own pod: those stay stealable.
    const source = output.podIps.length > 0 ? ` ! -s ${output.podIps.join(',')}` : ''
    lines.push(
      `-N ${chains.standard}`,
      `-A ${chains.standard} -j RETURN`,
      `-I ${chains.standard} 1 -m owner --gid-owner ${output.gid} -p tcp${source} -j RETURN`,
    )
  }
  lines.push(`-A PREROUTING -j ${chains.inbound}`)
  if (output) lines.push(`-A OUTPUT -j ${chains.standard}`)
  ports.forEach((rule, index) => lines.push(...portLines('insert', chains, output !== undefined, rule, index)))
  return script(lines)
}

/** Input of `iptables-restore --noflush` that adds one port to the agent's own chains, behind `existing` others. */
export function addPortScript(chains: OwnChains, withOutput: boolean, rule: PortRule, existing: number): string {
  return script([...onlyOwn(chains), ...portLines('insert', chains, withOutput, rule, existing)])
}

/** Input of `iptables-restore --noflush` that removes one port and leaves the agent's own chains. */
export function removePortScript(chains: OwnChains, withOutput: boolean, rule: PortRule, passing: boolean): string {
  const lines = passing ? passLines('delete', chains, withOutput, rule.port) : []
  return script([...onlyOwn(chains), ...lines, ...portLines('delete', chains, withOutput, rule, 0)])
}

/**
 * Input of `iptables-restore --noflush` that lets new connections to these ports pass by their redirects, or not any
 * more. Connections that were redirected go on: only the first packet of each is compared with the rules.
 */
export function passScript(
  action: 'insert' | 'delete',
  chains: OwnChains,
  withOutput: boolean,
  ports: readonly number[],
): string {
  return script([...onlyOwn(chains), ...ports.flatMap((port) => passLines(action, chains, withOutput, port))])
}

function passLines(action: 'insert' | 'delete', chains: ChainNames, withOutput: boolean, port: number): string[] {
  const match = `-m tcp -p tcp --dport ${port} -j RETURN`
  // In front of all redirects, and in the OUTPUT chain behind the gid rule.
  const at = (chain: string, position: number) => (action === 'insert' ? `-I ${chain} ${position}` : `-D ${chain}`)
  const lines = [`${at(chains.inbound, 1)} ${match}`]
  if (withOutput) lines.push(`${at(chains.standard, 2)} -o lo ${match}`)
  return lines
}

function portLines(
  action: 'insert' | 'delete',
  chains: ChainNames,
  withOutput: boolean,
  rule: PortRule,
  index: number,
): string[] {
  // Only what begins: a connection that the kernel did not track before it had these rules would be taken for a new one in the
  // middle of a request, led to a listener that knows nothing of it, and reset.
  const match = `-m tcp -p tcp --dport ${rule.port} --syn -j REDIRECT --to-ports ${rule.listener}`
  // Rules are inserted before the final RETURN, and in the OUTPUT chain behind the gid rule.
  const at = (chain: string, position: number) => (action === 'insert' ? `-I ${chain} ${position}` : `-D ${chain}`)
  const lines = [`${at(chains.inbound, index + 1)} ${match}`]
  if (withOutput) lines.push(`${at(chains.standard, index + 2)} -o lo ${match}`)
  return lines
}

/** One deletion command each, in an order in which each can succeed. For jumps and chains that a listing shows. */
export function removalCommands(listing: string, names: readonly string[]): string[] {
  const lines = listing.split('\n').map((line) => line.trim())
  const ours = new Set(
    lines.flatMap((line) => {
      const name = /^-N (\S+)$/.exec(line)?.[1]
      return name !== undefined && names.includes(name) ? [name] : []
    }),
  )
  const jumps = lines.filter((line) => {
    const target = /^-A \S+ .*-[jg] (\S+)/.exec(line)?.[1]
    return target !== undefined && ours.has(target)
  })
  return [
    ...jumps.map((line) => `-D ${line.slice(3)}`),
    ...[...ours].map((name) => `-F ${name}`),
    ...[...ours].map((name) => `-X ${name}`),
  ]
}

/** Lines of a listing (`iptables -t nat -S`) that mention one of the names: the dirty check of agent.md 2.11. */
export function mentioning(listing: string, names: readonly string[]): string[] {
  return listing.split('\n').filter((line) => names.some((name) => line.includes(name)))
}

/** Wraps commands of the `nat` table for `iptables-restore --noflush`. */
export function script(lines: readonly string[]): string {
  return `*nat\n${lines.join('\n')}\nCOMMIT\n`
}
