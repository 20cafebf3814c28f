import type net from 'node:net'
import type {ClientMessage, DaemonConnect} from '../protocol/index.ts'
import type {Owned} from './agent-switch.ts'
import type {FlowControl} from './flow.ts'
import {uncounted, type ByteCounter} from './observer.ts'
import {TunnelStream} from './tunnel-stream.ts'

type Id = DaemonConnect['connectionId']

/** What travels on a local socket when it is not the connection's own bytes: the messages of a seqpacket socket. */
export interface Framing {
  /** The messages that are complete with this chunk from the program. @throws Error for what is no frame */
  fromProgram(chunk: Uint8Array): Uint8Array[]
  toProgram(message: Uint8Array): Uint8Array
}

/** What `TunnelStreams` needs of the rest of the session. */
export interface TunnelStreamsPorts {
  send(message: ClientMessage): boolean
  flow: FlowControl
  /** Makes the framing of one connection; absent: bytes are bytes. */
  framing?: () => Framing
}

interface Entry {
  stream: TunnelStream | EarlyData
  framing: Framing | undefined
  bytes: ByteCounter
}

/**
 * The agent's stream connections of one kind and the local sockets they are spliced with. Between the agent's word that
 * a connection exists and the arrival of its socket, what the agent sends is kept.
 */
export class TunnelStreams {
  readonly #kind: 'TcpOutgoing' | 'SeqpacketOutgoing'
  readonly #ports: TunnelStreamsPorts
  readonly #streams = new Map<Id, Entry>()

  constructor(kind: 'TcpOutgoing' | 'SeqpacketOutgoing', ports: TunnelStreamsPorts) {
    this.#kind = kind
    this.#ports = ports
  }

  /** The agent has made a connection; its socket follows, or `abandon`. */
  expect(connectionId: Id, bytes: ByteCounter = uncounted): void {
    this.#streams.set(connectionId, {stream: new EarlyData(), framing: this.#ports.framing?.(), bytes})
  }

  /** Splices an expected connection with its local socket (paused, half-open allowed). */
  attach(connectionId: Id, socket: net.Socket): void {
    const early = this.#streams.get(connectionId)
    const framing = early ? early.framing : this.#ports.framing?.()
    const counter = early?.bytes ?? uncounted
    const write = (bytes: Uint8Array) => {
      counter.out(bytes.length)
      return this.#send({type: 'Write', value: {connectionId, bytes}})
    }
    const stream: TunnelStream = new TunnelStream(
      socket,
      {
        data: (bytes) => {
          // The end of a side is the end of messages too.
          if (!framing || bytes.length === 0) return write(bytes)
          try {
            return framing.fromProgram(bytes).reduce((_, message) => write(message), true)
          } catch {
            stream.reset()
            return true
          }
        },
        close: () => this.#send({type: 'Close', value: {connectionId}}),
        ended: () => this.#streams.delete(connectionId),
      },
      this.#ports.flow,
    )
    this.#streams.set(connectionId, {stream, framing, bytes: counter})
    if (!(early?.stream instanceof EarlyData)) return
    if (early.stream.lost) return stream.reset()
    for (const bytes of early.stream.chunks) stream.receive(bytes)
    if (early.stream.closed) stream.close()
  }

  /** No socket comes for an expected connection: the agent is told. */
  abandon(connectionId: Id): void {
    const early = this.#streams.get(connectionId)
    this.#streams.delete(connectionId)
    if (early?.stream instanceof EarlyData && !early.stream.closed) this.#send({type: 'Close', value: {connectionId}})
  }

  /** Bytes of a connection from the agent; empty bytes end this direction. False: it is none of these. */
  read(connectionId: Id, bytes: Uint8Array): boolean {
    const entry = this.#streams.get(connectionId)
    if (!entry) return false
    entry.bytes.in(bytes.length)
    entry.stream.receive(entry.framing && bytes.length > 0 ? entry.framing.toProgram(bytes) : bytes)
    return true
  }

  /** The agent's side of a connection is over. False: it is none of these. */
  closed(connectionId: Id): boolean {
    const entry = this.#streams.get(connectionId)
    entry?.stream.close()
    return entry !== undefined
  }

  /** Resets what is still connected, or what of it is lost. */
  reset(lost: Owned = () => true): void {
    for (const [id, {stream}] of this.#streams) if (lost(id)) stream.reset()
  }

  #send(value: Extract<ClientMessage, {type: 'SeqpacketOutgoing'}>['value']): boolean {
    const message: ClientMessage =
      this.#kind === 'TcpOutgoing'
        ? {type: 'TcpOutgoing', value: value as Extract<ClientMessage, {type: 'TcpOutgoing'}>['value']}
        : {type: 'SeqpacketOutgoing', value}
    return this.#ports.send(message)
  }
}

/** What the agent sends before the program's socket has arrived. */
class EarlyData {
  readonly chunks: Uint8Array[] = []
  closed = false
  lost = false

  receive(bytes: Uint8Array): void {
    this.chunks.push(bytes)
  }

  close(): void {
    this.closed = true
  }

  reset(): void {
    this.closed = this.lost = true
  }
}
