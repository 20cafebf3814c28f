import {isIP} from 'node:net'

/** A TCP port that accepts a connection. `host` is `localhost` when only a port was given. */
export interface TcpProbe {
  host: string
  port: number
}

/** A URL that answers with a status within one of the ranges, bounds included. */
export interface HttpProbe {
  url: string
  status: [number, number][]
}

/** Any 2xx and 3xx: redirects are answers, they are not followed. */
const defaultStatus: [number, number][] = [[200, 399]]

/** Reads `[HOST:]PORT`, an IPv6 host in brackets. Throws a plain Error that says what is expected. */
export function parseTcp(text: string): TcpProbe {
  const parts = /^(?:(?:\[([^\]]+)\]|([^:[\]/]+)):|:)?(\d{1,5})$/.exec(text.trim())
  const port = Number(parts?.[3])
  const host = parts?.[1] ?? parts?.[2] ?? 'localhost'
  if (!parts || port < 1 || port > 65_535 || (parts[1] !== undefined && isIP(parts[1]) !== 6))
    throw new Error('expected [HOST:]PORT, such as 8080, 127.0.0.1:8080 or [::1]:8080')
  return {host, port}
}

/**
 * Reads `URL[=STATUS]`; `:PORT/path` stands for `http://localhost:PORT/path`. A last `=` followed by statuses always means
 * them, also in a query; there, give `=2xx` at the end, or use the object form of the file. Throws a plain Error.
 */
export function parseHttp(text: string): HttpProbe {
  const parts = /^(.*?)=((?:[1-5](?:\d\d|xx)(?:,|$))+)$/i.exec(text.trim())
  return parts ? httpProbe(parts[1]!, parts[2]) : httpProbe(text.trim())
}

/** The same from its parts. Throws a plain Error. */
export function httpProbe(address: string, status?: string | number): HttpProbe {
  const expected = 'expected a URL such as http://localhost:8080/health, or :8080/health'
  const short = /^:?(\d{1,5})(\/.*)?$/.exec(address)
  const full = short ? `http://localhost:${short[1]}${short[2] ?? '/'}` : address
  if (!URL.canParse(full)) throw new Error(expected)
  const {protocol, hostname, href} = new URL(full)
  if ((protocol !== 'http:' && protocol !== 'https:') || hostname === '') throw new Error(expected)
  return {url: href, status: status === undefined ? defaultStatus : parseStatus(String(status))}
}

function parseStatus(text: string): [number, number][] {
  return text.split(',').map((part) => {
    const [, first, rest] = /^([1-5])(\d\d|xx)$/i.exec(part.trim()) ?? []
    if (first === undefined || rest === undefined)
      throw new Error('expected a status such as 200, a class such as 2xx, or several separated by commas')
    const from = Number(first) * 100
    return /x/i.test(rest) ? [from, from + 99] : [from + Number(rest), from + Number(rest)]
  })
}

/** The probe as `parseTcp` reads it. */
export function formatTcp({host, port}: TcpProbe): string {
  return `${isIP(host) === 6 ? `[${host}]` : host}:${port}`
}

/** The probe as a file says it; `status` is a range of one or of a hundred for each part, and absent by default. */
export function formatHttp({url, status}: HttpProbe): {url: string; status?: string} {
  const parts = status.map(([from, to]) =>
    from === to ? String(from) : to - from === 99 ? `${from / 100}xx` : undefined,
  )
  return parts.includes(undefined) ? {url} : {url, status: parts.join(',')}
}

/** Whether a host means this machine itself, so that the program's own listener is meant. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '')
  return /^(localhost|127(\.\d{1,3}){3}|0\.0\.0\.0|::1?)$/i.test(bare)
}
