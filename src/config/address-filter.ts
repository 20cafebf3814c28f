import {isIPv4, isIPv6} from 'node:net'

/** Which connections or names an entry of a filter means; a part that is left out means any. */
export interface AddressFilter {
  protocol?: 'tcp' | 'udp'
  /** A name that is compared as a whole, in small letters. */
  name?: string
  ip?: string
  /** Length of the network's prefix; only with `ip`. */
  prefix?: number
  port?: number
}

/** Any address at all. */
const unspecified = new Set(['0.0.0.0', '::'])

/**
 * Reads `[<protocol>://]<address>[/<prefix>][:<port>]` (config.md 5.4.2): a name, an IPv4, an IPv6 in brackets, or nothing
 * where a protocol or port is given. Throws a plain Error that says what is wrong.
 */
export function parseAddressFilter(text: string): AddressFilter {
  const [, scheme, rest] = /^(?:([^:/]*):\/\/)?(.*)$/s.exec(text) as unknown as [string, string | undefined, string]
  const protocol = scheme?.toLowerCase()
  if (protocol !== undefined && !['tcp', 'udp', 'any'].includes(protocol)) {
    throw new Error('what stands before "://" is no protocol here: tcp, udp or any')
  }
  const parts = /^(\[[^\]]*\]|[^:/[\]]*)(?:\/(\d{1,3}))?(?::(\d{1,5}))?$/.exec(rest)
  if (!parts)
    throw new Error(`expected ${grammar}${rest.split(':').length > 2 ? '; an IPv6 address stands in brackets' : ''}`)
  const [, address = '', prefixText, portText] = parts
  const port = portText === undefined ? 0 : Number(portText)
  if (port > 65_535) throw new Error('a port is at most 65535')
  if (address === '' && (prefixText !== undefined || (scheme === undefined && portText === undefined))) {
    throw new Error(`expected ${grammar}`)
  }
  return {
    ...(protocol === 'tcp' || protocol === 'udp' ? {protocol} : {}),
    ...(address === '' ? {} : host(address, prefixText)),
    ...(port === 0 ? {} : {port}),
  }
}

const grammar = '[tcp://|udp://]ADDRESS[/PREFIX][:PORT]'

function host(address: string, prefixText: string | undefined): AddressFilter {
  const bracketed = address.startsWith('[')
  const ip = bracketed ? address.slice(1, -1) : address
  if (bracketed && !isIPv6(ip)) throw new Error('an IPv6 address stands in the brackets')
  if (bracketed || isIPv4(ip)) {
    const longest = bracketed ? 128 : 32
    const prefix = prefixText === undefined ? undefined : Number(prefixText)
    if (prefix !== undefined && prefix > longest) throw new Error(`a prefix is at most ${longest} here`)
    if (prefix === undefined) return unspecified.has(ip) ? {} : {ip}
    return {ip, prefix}
  }
  if (!/^[A-Za-z0-9._-]+$/.test(ip)) throw new Error(`expected ${grammar}`)
  if (prefixText !== undefined) throw new Error('a name has no prefix: only an IP address has')
  return {name: ip.toLowerCase()}
}
