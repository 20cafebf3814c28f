import {ProtocolError} from '../errors.ts'
import {ipToString, requireIp} from '../ip.ts'
import type {Codec, Infer} from './codec.ts'
import {struct, variants} from './composites.ts'
import {string, u16, bytes, u128, unit} from './primitives.ts'

/**
 * An IP address as text (`10.0.0.1`, `::1`; RFC 5952 when decoded). Lossless: a text with a colon is V6, also when it is
 * an IPv4-mapped one. Addresses occur once a connection, never per data message, so text costs nothing that matters.
 */
export const ipAddr: Codec<string> = {
  shape: {kind: 'ip'},
  read: (reader) => {
    const family = reader.varint32(252)
    if (family > 1) throw new ProtocolError('BAD_TAG', `Address family ${family} is unknown.`)
    return ipToString(reader.view(family === 0 ? 4 : 16))
  },
  write: (writer, value) => {
    const address = requireIp(value)
    writer.byte(address.length === 4 ? 0 : 1)
    writer.raw(address)
  },
}

/** Internet address and port. Flow info and scope id do not travel (spec protocol.md 1.3). */
export const SocketAddr = struct({ip: ipAddr, port: u16})
export type SocketAddr = Infer<typeof SocketAddr>

/** Address of a unix socket; `Abstract` is without the leading NUL. */
export const UnixAddr = variants({Pathname: string, Abstract: bytes, Unnamed: unit})
export type UnixAddr = Infer<typeof UnixAddr>

/** What outgoing connections connect to (spec protocol.md 3.6). */
export const SocketAddress = variants({Ip: SocketAddr, Unix: UnixAddr})
export type SocketAddress = Infer<typeof SocketAddress>

/** A uuid as its big-endian number; chosen by the client, only compared (spec protocol.md 1.3). */
export const uid = u128
