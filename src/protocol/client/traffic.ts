import type {ConnectionError} from '../connection-error.ts'
import type {LogMessage} from '../messages/daemon.ts'
import type {DaemonConnect} from '../messages/outgoing.ts'
import type {Result} from '../messages/errors.ts'
import type {FileRequest, FileResponse, fileResponses} from '../messages/files.ts'
import type {DaemonTcp} from '../messages/tcp.ts'
import type {Int64} from '../schema/primitives.ts'

/** The three families of outgoing connections; each has connection ids of its own (spec protocol.md 6.1). */
export type OutgoingKind = 'TcpOutgoing' | 'UdpOutgoing' | 'SeqpacketOutgoing'

/** Mirrored or stolen traffic: everything but the answers to subscriptions. */
export type IncomingTraffic = Exclude<DaemonTcp, {type: 'SubscribeResult'}>

/** A file request that has a reply: all but the two closes. */
export type AnsweredFileRequest = Exclude<FileRequest, {type: 'Close' | 'CloseDir'}>

/** The reply to a file request of type `T`. */
export type FileReply<T extends AnsweredFileRequest['type']> = Extract<
  FileResponse,
  {type: (typeof fileResponses)[T]}
>['value']

/** The reply to a connect. */
export type ConnectReply = Result<DaemonConnect>

/**
 * Receivers of what the agent sends unasked, called synchronously in the order of the wire. Payloads are views into the
 * received chunk.
 */
export interface ClientHandlers {
  /** Mirrored traffic. */
  mirror(message: IncomingTraffic): void
  /** Stolen traffic. */
  steal(message: IncomingTraffic): void
  /** Bytes of an outgoing connection; empty bytes: the peer has shut down its side. May come late for closed ones. */
  outgoingRead(kind: OutgoingKind, connectionId: Int64, bytes: Uint8Array): void
  /** An outgoing connection was closed by the agent's side; final. */
  outgoingClosed(kind: OutgoingKind, connectionId: Int64): void
  log(message: LogMessage): void
  /** Called exactly once, when the session has ended; waiting requests have been rejected before. */
  end(reason: ConnectionError): void
}
