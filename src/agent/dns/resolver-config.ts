import {isIP, isIPv4, isIPv6} from 'node:net'

/** What /etc/resolv.conf says, with the resolver's defaults filled in (resolv.conf(5)). */
export interface ResolverConfig {
  /** `ip` or `[ip%scope]`, as `dns.Resolver.setServers` takes them. */
  servers: string[]
  search: string[]
  ndots: number
  /** Milliseconds for one attempt. */
  timeout: number
  attempts: number
}

/** Parses resolv.conf. The last of several `search` or `domain` lines wins; unknown lines are skipped. */
export function parseResolvConf(text: string): ResolverConfig {
  const config: ResolverConfig = {servers: [], search: [], ndots: 1, timeout: 5000, attempts: 2}
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/)
    if (keyword === 'nameserver' && values[0] !== undefined) {
      const [address = '', scope] = values[0].split('%')
      if (isIP(address)) config.servers.push(isIPv6(address) ? `[${address}${scope ? `%${scope}` : ''}]` : address)
    } else if (keyword === 'search' || keyword === 'domain') {
      config.search = (keyword === 'domain' ? values.slice(0, 1) : values).map((name) => name.replace(/\.$/, ''))
    } else if (keyword === 'options') for (const option of values) applyOption(config, option)
  }
  // Without a server line the resolver asks the local host.
  if (config.servers.length === 0) config.servers.push('127.0.0.1')
  return config
}

function applyOption(config: ResolverConfig, option: string): void {
  const [name, text = ''] = option.split(':')
  if (!/^\d{1,5}$/.test(text)) return
  const value = Number(text)
  // Upper bounds as in the C library.
  if (name === 'ndots') config.ndots = Math.min(value, 15)
  else if (name === 'timeout') config.timeout = Math.min(Math.max(value, 1), 30) * 1000
  else if (name === 'attempts') config.attempts = Math.min(Math.max(value, 1), 5)
}

/** Addresses by lower-case name, in file order, from /etc/hosts. */
export function parseHosts(text: string): Map<string, string[]> {
  const hosts = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*$/, '').trim().split(/\s+/)
    const plain = address.split('%')[0]!
    if (!isIPv4(plain) && !isIPv6(plain)) continue
    for (const name of names) {
      const key = name.toLowerCase().replace(/\.$/, '')
      hosts.set(key, [...(hosts.get(key) ?? []), plain])
    }
  }
  return hosts
}

/**
 * The absolute names to ask for, in order: a name with at least `ndots` dots is tried as it is first, others after the
 * search list; a trailing dot switches the list off.
 */
export function candidateNames(name: string, config: Pick<ResolverConfig, 'search' | 'ndots'>): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)]
  const dots = name.split('.').length - 1
  const expanded = config.search.filter((domain) => domain !== '').map((domain) => `${name}.${domain}`)
  return dots >= config.ndots ? [name, ...expanded] : [...expanded, name]
}
