import type {AddressFamily, DaemonMessage, ResolveErrorKind} from '../../protocol/index.ts'
import {OrderedReplies} from '../flow/ordered.ts'
import type {Tunnel} from '../flow/tunnel.ts'
import {lookup, LookupError, reverseLookup, type LookupOptions, type ReadConfig, type Wanted} from './lookup.ts'

/** The DNS features of one client: lookups run at the same time, answers keep the order of the requests. */
export class NameRequests {
  readonly #tunnel: Tunnel
  readonly #readConfig: ReadConfig
  readonly #options: LookupOptions
  readonly #replies = new OrderedReplies()
  readonly #reverseReplies = new OrderedReplies()

  /** @param readConfig reads a file of the target */
  constructor(tunnel: Tunnel, readConfig: ReadConfig, options: LookupOptions) {
    this.#tunnel = tunnel
    this.#readConfig = readConfig
    this.#options = options
  }

  /** Both versions of the request; the first asks for IPv4 only. */
  resolve(node: string, family: AddressFamily): void {
    const work = lookup(node, wantedBy[family.type], this.#readConfig, this.#options)
    this.#replies.add(work, (error, records) =>
      this.#tunnel.send({
        type: 'GetAddrInfoResponse',
        value: records ? {type: 'Ok', value: records} : {type: 'Err', value: toResponse(error)},
      }),
    )
  }

  reverse(ip: string): void {
    this.#reverseReplies.add(reverseLookup(ip, this.#readConfig, this.#options), (error, name) => {
      const hostname =
        name === undefined ? {type: 'Err' as const, value: toResponse(error)} : {type: 'Ok' as const, value: name}
      const message: DaemonMessage = {type: 'ReverseDnsLookup', value: {type: 'Ok', value: {hostname}}}
      this.#tunnel.send(message)
    })
  }
}

const wantedBy: Readonly<Record<AddressFamily['type'], Wanted>> = {
  Ipv4Only: 'v4',
  Ipv6Only: 'v6',
  Both: 'both',
  Any: 'any',
  UnknownAddressFamilyFromNewerClient: 'both',
}

function toResponse(error: unknown): {type: 'DnsLookup'; value: {kind: ResolveErrorKind}} {
  return {type: 'DnsLookup', value: {kind: toKind(error)}}
}

function toKind(error: unknown): ResolveErrorKind {
  if (!(error instanceof LookupError))
    return {type: 'Message', value: error instanceof Error ? error.message : String(error)}
  const {kind} = error
  switch (kind.type) {
    case 'noRecords':
      return {type: 'NoRecordsFound', value: kind.code}
    case 'message':
      return {type: 'Message', value: kind.text}
    case 'timeout':
      return {type: 'Timeout'}
    case 'noConnections':
      return {type: 'NoConnections'}
    case 'notFound':
      return {type: 'NotFound'}
    case 'permissionDenied':
      return {type: 'PermissionDenied'}
  }
}
