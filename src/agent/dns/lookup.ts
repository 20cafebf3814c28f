import {Resolver} from 'node:dns/promises'
import {isIP, isIPv4} from 'node:net'
import {candidateNames, parseHosts, parseResolvConf, type ResolverConfig} from './resolver-config.ts'

/** Which addresses are wanted; `any` is IPv4, and IPv6 only when there is none. */
export type Wanted = 'v4' | 'v6' | 'both' | 'any'

/** One address of a name. */
export interface AddressRecord {
  name: string
  ip: string
}

/** A lookup without a usable answer. */
export class LookupError extends Error {
  readonly kind: LookupFailure

  constructor(kind: LookupFailure) {
    super(kind.type === 'message' ? kind.text : kind.type)
    this.kind = kind
  }
}

/** Why a lookup failed; `code` is a DNS response code. */
export type LookupFailure =
  | {type: 'noRecords'; code: number}
  | {type: 'timeout' | 'noConnections' | 'notFound' | 'permissionDenied'}
  | {type: 'message'; text: string}

/** Reads one configuration file of the target, for example `/etc/hosts`. */
export type ReadConfig = (path: string) => Promise<string>

/** Overrides of resolv.conf; milliseconds and a count. */
export interface LookupOptions {
  timeout: number | undefined
  attempts: number | undefined
}

const NXDOMAIN = 3
const NOERROR = 0

/**
 * Resolves a name as the target would: literal addresses, its hosts file, then its name servers with its search list.
 * Queries leave from the process's own network namespace, which must be the target's.
 * @throws LookupError
 */
export async function lookup(
  node: string,
  wanted: Wanted,
  readConfig: ReadConfig,
  options: LookupOptions,
): Promise<AddressRecord[]> {
  const literal = node.replace(/^\[(.*)\]$/, '$1')
  if (isIP(literal)) return matching([{name: node, ip: literal}], wanted)
  const [hostsText, resolvText] = await Promise.all([
    read(readConfig, '/etc/hosts'),
    read(readConfig, '/etc/resolv.conf'),
  ])

  const known = parseHosts(hostsText).get(node.toLowerCase().replace(/\.$/, ''))
  const local = matching(known?.map((ip) => ({name: node, ip})) ?? [], wanted)
  if (local.length > 0) return local

  const config = parseResolvConf(resolvText)
  const resolver = makeResolver(config, options)
  let failure: LookupFailure = {type: 'noRecords', code: NXDOMAIN}
  for (const name of candidateNames(node, config)) {
    try {
      return await query(resolver, name, wanted)
    } catch (error) {
      if (!(error instanceof LookupError)) throw error
      const {kind} = error
      // A dead server would be asked again for every name of the list.
      if (kind.type === 'timeout' || kind.type === 'noConnections') throw error
      // What counts at the end: a server's failure, then "the name exists without such addresses", then "no such name".
      if (kind.type !== 'noRecords' || (failure.type === 'noRecords' && kind.code === NOERROR)) failure = kind
    }
  }
  throw new LookupError(failure)
}

/**
 * The name of an address, from the target's name servers.
 * @throws LookupError
 */
export async function reverseLookup(ip: string, readConfig: ReadConfig, options: LookupOptions): Promise<string> {
  for (const [name, addresses] of parseHosts(await read(readConfig, '/etc/hosts')))
    if (addresses.includes(ip)) return name
  const resolver = makeResolver(parseResolvConf(await read(readConfig, '/etc/resolv.conf')), options)
  const [name] = await ask(() => resolver.reverse(ip))
  if (name === undefined) throw new LookupError({type: 'noRecords', code: NOERROR})
  return name
}

async function query(resolver: Resolver, name: string, wanted: Wanted): Promise<AddressRecord[]> {
  const v4 = () => ask(() => resolver.resolve4(name))
  const v6 = () => ask(() => resolver.resolve6(name))
  const records = (ips: string[]) => ips.map((ip) => ({name, ip}))
  if (wanted === 'v4') return records(await v4())
  if (wanted === 'v6') return records(await v6())
  if (wanted === 'any')
    return records(
      await v4().catch((error: unknown) => {
        if (error instanceof LookupError && error.kind.type === 'noRecords') return v6()
        throw error
      }),
    )
  const results = await Promise.allSettled([v4(), v6()])
  const ips = results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []))
  if (ips.length > 0) return records(ips)
  // Both failed: a failure says more than an absence.
  const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as LookupError] : []))
  throw errors.find((error) => error.kind?.type !== 'noRecords') ?? errors[0]!
}

async function ask(request: () => Promise<string[]>): Promise<string[]> {
  try {
    const answers = await request()
    if (answers.length === 0) throw new LookupError({type: 'noRecords', code: NOERROR})
    return answers
  } catch (error) {
    if (error instanceof LookupError) throw error
    throw new LookupError(toFailure(error as NodeJS.ErrnoException))
  }
}

/** Codes of `node:dns` (c-ares). */
function toFailure(error: NodeJS.ErrnoException): LookupFailure {
  switch (error.code) {
    case 'ENOTFOUND':
      return {type: 'noRecords', code: NXDOMAIN}
    case 'ENODATA':
      return {type: 'noRecords', code: NOERROR}
    case 'ETIMEOUT':
      return {type: 'timeout'}
    case 'ECONNREFUSED':
      return {type: 'noConnections'}
    default:
      return {type: 'message', text: error.message}
  }
}

function makeResolver(config: ResolverConfig, options: LookupOptions): Resolver {
  const timeout = options.timeout ?? config.timeout
  const tries = Math.max(options.attempts ?? config.attempts, 1)
  const resolver = new Resolver({timeout, tries})
  resolver.setServers(config.servers)
  return resolver
}

function matching(records: AddressRecord[], wanted: Wanted): AddressRecord[] {
  const v4 = records.filter((record) => isIPv4(record.ip))
  const v6 = records.filter((record) => !isIPv4(record.ip))
  if (wanted === 'v4') return v4
  if (wanted === 'v6') return v6
  if (wanted === 'any') return v4.length > 0 ? v4 : v6
  return records
}

async function read(readConfig: ReadConfig, path: string): Promise<string> {
  try {
    return await readConfig(path)
  } catch (error) {
    const {code, message} = error as NodeJS.ErrnoException
    if (code === 'ENOENT') throw new LookupError({type: 'notFound'})
    if (code === 'EACCES' || code === 'EPERM') throw new LookupError({type: 'permissionDenied'})
    throw new LookupError({type: 'message', text: `${path}: ${message}`})
  }
}
