import {ProtocolError} from './errors.ts'

/**
 * Text of an IP address given as 4 or 16 bytes in network order: `10.0.0.1`, or RFC 5952 form for IPv6 (`::1`, lower-case
 * hex, longest run of zero groups shortened; IPv4-mapped addresses stay plain hex groups). Inverse of `parseIp`.
 */
export function ipToString(bytes: Uint8Array): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push((bytes[i]! << 8) | bytes[i + 1]!)
  const {start, length} = longestZeroRun(groups)
  const hex = groups.map((group) => group.toString(16))
  if (length < 2) return hex.join(':')
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`
}

function longestZeroRun(groups: readonly number[]): {start: number; length: number} {
  let best = {start: 0, length: 0}
  for (let start = 0; start < groups.length; start++) {
    let end = start
    while (end < groups.length && groups[end] === 0) end++
    if (end - start > best.length) best = {start, length: end - start}
  }
  return best
}

/**
 * The 4 or 16 bytes of an IP address text, or undefined when it is none. A zone (`fe80::1%eth0`) is dropped: the wire has
 * no place for it (spec protocol.md 1.3).
 */
export function parseIp(text: string): Uint8Array | undefined {
  if (!text.includes(':')) return parseIpv4(text)
  const zone = text.indexOf('%')
  return parseIpv6(zone === -1 ? text : text.slice(0, zone))
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  const bytes = new Uint8Array(4)
  for (const [index, part] of parts.entries()) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined
    bytes[index] = Number(part)
  }
  return bytes
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = parseGroups(halves[0]!, halves.length === 1)
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : []
  if (!head || !tail) return undefined
  const missing = 16 - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined
  const bytes = new Uint8Array(16)
  bytes.set(head)
  bytes.set(tail, 16 - tail.length)
  return bytes
}

/** Colon-separated 16-bit groups as bytes; the last may be a dotted IPv4 address when it ends the whole address. */
function parseGroups(text: string, endsAddress: boolean): number[] | undefined {
  if (text === '') return []
  const bytes: number[] = []
  const groups = text.split(':')
  for (const [index, group] of groups.entries()) {
    if (group.includes('.')) {
      const v4 = endsAddress && index === groups.length - 1 ? parseIpv4(group) : undefined
      if (!v4) return undefined
      bytes.push(...v4)
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined
      const value = parseInt(group, 16)
      bytes.push(value >> 8, value & 0xff)
    }
  }
  return bytes
}

/** As `parseIp`, for addresses on their way to the wire: throws `UNENCODABLE` when the text is no IP address. */
export function requireIp(text: string): Uint8Array {
  const bytes = parseIp(text)
  if (!bytes) throw new ProtocolError('UNENCODABLE', `${JSON.stringify(text)} is not an IP address.`)
  return bytes
}
