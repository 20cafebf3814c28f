import type {Infer} from '../schema/codec.ts'
import {list, struct, variants} from '../schema/composites.ts'
import {ipAddr} from '../schema/net.ts'
import {i32, string, u16, unit} from '../schema/primitives.ts'
import {result} from './errors.ts'

/** `Any`: IPv4, then IPv6 if there is none; `Both`: A and AAAA. The last variant must not be sent (spec 6.13). */
export const AddressFamily = variants({
  Ipv4Only: unit,
  Ipv6Only: unit,
  Both: unit,
  Any: unit,
  UnknownAddressFamilyFromNewerClient: unit,
})
export type AddressFamily = Infer<typeof AddressFamily>

/** The last variant must not be sent (spec 6.13). */
export const SockType = variants({Stream: unit, Dgram: unit, Any: unit, UnknownSockTypeFromNewerClient: unit})
export type SockType = Infer<typeof SockType>

/** IPv4 lookup of old clients. */
export const GetAddrInfoRequest = struct({node: string})
export type GetAddrInfoRequest = Infer<typeof GetAddrInfoRequest>

/** Lookup by family; `servicePort`, `flags` and `protocol` are ignored by the agent (spec protocol.md 3.7). */
export const GetAddrInfoRequestV2 = struct({
  node: string,
  servicePort: u16,
  family: AddressFamily,
  socktype: SockType,
  flags: i32,
  protocol: i32,
})
export type GetAddrInfoRequestV2 = Infer<typeof GetAddrInfoRequestV2>

/** One address; `name` is the owner of the record and may end in a dot. */
export const LookupRecord = struct({name: string, ip: ipAddr})
export type LookupRecord = Infer<typeof LookupRecord>

/** Answers both request versions. */
export const GetAddrInfoResponse = result(list(LookupRecord))
export type GetAddrInfoResponse = Infer<typeof GetAddrInfoResponse>

/** The inner result is the lookup's own, the outer one the request's. */
export const ReverseDnsLookupResponse = result(struct({hostname: result(string)}))
export type ReverseDnsLookupResponse = Infer<typeof ReverseDnsLookupResponse>
