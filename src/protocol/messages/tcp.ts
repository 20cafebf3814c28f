import type {Infer} from '../schema/codec.ts'
import {struct, variants} from '../schema/composites.ts'
import {ipAddr} from '../schema/net.ts'
import {streamBytes, u16, u64} from '../schema/primitives.ts'
import {result} from './errors.ts'
import {HttpFilter, StealType} from './filters.ts'
import {
  ChunkedRequest,
  ChunkedResponse,
  HttpRequest,
  HttpRequestFramed,
  HttpResponse,
  HttpResponseFramed,
} from './http.ts'
import {IncomingTransport} from './transport.ts'

/** Bytes of a connection; empty bytes mean that the sender has shut down its side. */
export const TcpData = struct({connectionId: u64, bytes: streamBytes})
export type TcpData = Infer<typeof TcpData>

/** Mirror feature, client to agent (spec protocol.md 3.5.1). */
export const LayerTcp = variants({
  PortSubscribe: u16,
  ConnectionUnsubscribe: u64,
  PortUnsubscribe: u16,
  PortSubscribeFilteredHttp: struct({port: u16, filter: HttpFilter}),
})
export type LayerTcp = Infer<typeof LayerTcp>

/** Steal feature, client to agent (spec protocol.md 3.5.1). */
export const LayerTcpSteal = variants({
  PortSubscribe: StealType,
  ConnectionUnsubscribe: u64,
  PortUnsubscribe: u16,
  Data: TcpData,
  HttpResponse,
  HttpResponseFramed,
  HttpResponseChunked: ChunkedResponse,
})
export type LayerTcpSteal = Infer<typeof LayerTcpSteal>

/** A raw connection: peer address and port, original destination port, address of the accepting socket. */
export const NewTcpConnection = struct({
  connectionId: u64,
  remoteAddress: ipAddr,
  destinationPort: u16,
  sourcePort: u16,
  localAddress: ipAddr,
})
export type NewTcpConnection = Infer<typeof NewTcpConnection>

/** Mirrored and stolen traffic, agent to client (spec protocol.md 3.5.2). */
export const DaemonTcp = variants({
  NewConnectionV1: NewTcpConnection,
  Data: TcpData,
  Close: struct({connectionId: u64}),
  SubscribeResult: result(u16),
  HttpRequest,
  HttpRequestFramed,
  HttpRequestChunked: ChunkedRequest,
  NewConnectionV2: struct({connection: NewTcpConnection, transport: IncomingTransport}),
})
export type DaemonTcp = Infer<typeof DaemonTcp>
