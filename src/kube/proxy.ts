import {BlockList, isIP} from 'node:net'
import type {Environment} from '../config/index.ts'

/**
 * The proxy that the environment names for a server: of its scheme, else ALL_PROXY; lower case first, as curl does. NO_PROXY
 * excepts names with what is below them, addresses, networks, each with or without a port, or everything by `*`.
 */
export function proxyFor(server: string, env: Environment): string | undefined {
  const {protocol, hostname, port} = new URL(server)
  const scheme = protocol === 'https:' ? ['https_proxy', 'HTTPS_PROXY'] : ['http_proxy', 'HTTP_PROXY']
  const proxy = [...scheme, 'all_proxy', 'ALL_PROXY'].map((name) => env[name]).find((value) => value)
  if (!proxy) return undefined
  const host = hostname.replace(/^\[|\]$/g, '')
  const own = port || (protocol === 'https:' ? '443' : '80')
  const exceptions = (env.no_proxy ?? env.NO_PROXY ?? '').split(/[\s,]+/).filter((entry) => entry !== '')
  if (exceptions.some((entry) => excepts(entry, host, own)) || isLocal(host)) return undefined
  return proxy.includes('://') ? proxy : `http://${proxy}`
}

const isLocal = (host: string) => host === 'localhost' || host === '::1' || host.startsWith('127.')

function excepts(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true
  const [, name = '', only] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(isIP(entry) ? `[${entry}]` : entry) ?? []
  if (only !== undefined && only !== port) return false
  const suffix = name.replace(/^\*?\./, '').toLowerCase()
  return host === suffix || host.endsWith(`.${suffix}`) || inNetwork(host, name)
}

/** Whether an address lies in a network given as `a.b.c.d/n` or `x::/n`, the form in which NO_PROXY excepts clusters. */
function inNetwork(host: string, network: string): boolean {
  const [, address = '', bits = ''] = /^([\d.a-f:]+)\/(\d+)$/i.exec(network) ?? []
  const family = isIP(address)
  if (family === 0 || isIP(host) !== family || Number(bits) > (family === 4 ? 32 : 128)) return false
  const list = new BlockList()
  const name = family === 4 ? 'ipv4' : 'ipv6'
  list.addSubnet(address, Number(bits), name)
  return list.check(host, name)
}

const schemes = ['http:', 'https:', 'socks:', 'socks4:', 'socks4a:', 'socks5:', 'socks5h:']

/** Why an address cannot be that of a proxy, in words that do not quote it: it may hold a password. */
export function proxyProblem(proxy: string): string | undefined {
  if (!URL.canParse(proxy)) return 'it is no address'
  const {protocol, hostname} = new URL(proxy)
  if (!schemes.includes(protocol)) return `it has the scheme "${protocol}", of ${schemes.join(', ')}`
  return hostname === '' ? 'it names no host' : undefined
}

/** A proxy for messages: without user and password. */
export const proxyName = (proxy: string): string => proxy.replace(/^([^/]*\/\/)[^/@]*@/, '$1').replace(/\/$/, '')
