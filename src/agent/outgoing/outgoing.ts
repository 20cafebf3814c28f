import type {
  DaemonConnect,
  DaemonMessage,
  DaemonOutgoing,
  Int64,
  LayerOutgoing,
  LayerSeqpacket,
  OutgoingKind,
  ResponseError,
  SocketAddress,
} from '../../protocol/index.ts'
import type {Tunnel} from '../flow/tunnel.ts'
import {syntheticFailure} from '../os-error.ts'
import {ConnectError} from './connect.ts'

/** A connection made for a client, whatever its transport. */
export interface OutgoingConnection {
  /** `bytes` is empty only for datagrams, where it is an empty one: a shut-down of UDP does not exist. */
  write(bytes: Uint8Array): void
  /** The client shuts down its side. */
  end(): void
  /** The client has closed: deliver what is queued, report nothing any more. */
  finish(): void
  /** The client is gone. */
  abort(): void
}

/** What a connection reports; nothing after `closed`. */
export interface OutgoingEvents {
  data(bytes: Uint8Array): void
  end(): void
  closed(error: Error | undefined): void
}

/** A connected transport that is not reading yet. */
export interface Connected {
  remoteAddress: SocketAddress
  localAddress: SocketAddress
  /** Starts reading. */
  start(events: OutgoingEvents): OutgoingConnection
  /** Drops the connection before it was started. */
  discard(): void
}

/** Connects one transport; @throws ConnectError */
export type Connector = (address: SocketAddress) => Promise<Connected>

/** The outgoing feature of one client for one kind of transport (protocol.md 4.8): ids, both request forms, closing. */
export class Outgoing {
  readonly #kind: OutgoingKind
  readonly #connect: Connector
  readonly #tunnel: Tunnel
  readonly #connections = new Map<Int64, OutgoingConnection>()
  /** Requests of the first form have no id: they are performed and answered one after the other. */
  #oneByOne: Promise<void> = Promise.resolve()
  #nextId = 0
  #closed = false

  constructor(kind: OutgoingKind, connect: Connector, tunnel: Tunnel) {
    this.#kind = kind
    this.#connect = connect
    this.#tunnel = tunnel
  }

  receive(message: LayerOutgoing | LayerSeqpacket): void {
    switch (message.type) {
      case 'ConnectV2': {
        const {uid, remoteAddress} = message.value
        void this.#make(remoteAddress, (connect) => this.#send({type: 'ConnectV2', value: {uid, connect}}))
        return
      }
      case 'Connect': {
        const {remoteAddress} = message.value
        this.#oneByOne = this.#oneByOne.then(() =>
          this.#make(remoteAddress, (value) => this.#send({type: 'Connect', value})),
        )
        return
      }
      case 'Write': {
        const {connectionId, bytes} = message.value
        const connection = this.#connections.get(connectionId)
        if (bytes.length > 0 || this.#kind === 'UdpOutgoing') connection?.write(bytes)
        else connection?.end()
        return
      }
      case 'Close': {
        const connection = this.#connections.get(message.value.connectionId)
        this.#connections.delete(message.value.connectionId)
        connection?.finish()
      }
    }
  }

  /** The client is gone: all its connections end at once. */
  close(): void {
    this.#closed = true
    for (const connection of this.#connections.values()) connection.abort()
    this.#connections.clear()
  }

  async #make(
    address: SocketAddress,
    answer: (result: {type: 'Ok'; value: DaemonConnect} | {type: 'Err'; value: ResponseError}) => void,
  ): Promise<void> {
    let connected: Connected
    try {
      connected = await this.#connect(address)
    } catch (error) {
      const value = error instanceof ConnectError ? error.response : syntheticFailure('Other')
      return answer({type: 'Err', value})
    }
    if (this.#closed) return connected.discard()
    const {remoteAddress, localAddress} = connected
    const connectionId = this.#nextId++
    // The answer first: data of the connection must not overtake it.
    answer({type: 'Ok', value: {connectionId, remoteAddress, localAddress}})
    this.#connections.set(connectionId, connected.start(this.#events(connectionId)))
  }

  #events(connectionId: number): OutgoingEvents {
    const read = (bytes: Uint8Array): DaemonOutgoing => ({
      type: 'Read',
      value: {type: 'Ok', value: {connectionId, bytes}},
    })
    return {
      data: (bytes) => {
        const message = this.#message(read(bytes))
        if (this.#kind === 'UdpOutgoing') this.#tunnel.sendOrDrop(message, bytes.length)
        else this.#tunnel.send(message)
      },
      end: () => this.#send(read(new Uint8Array())),
      closed: (error) => {
        this.#connections.delete(connectionId)
        if (error) this.#tunnel.log('Warn', `outgoing connection ${connectionId} failed: ${error.message}`)
        this.#send({type: 'Close', value: connectionId})
      },
    }
  }

  #send(value: DaemonOutgoing): void {
    this.#tunnel.send(this.#message(value))
  }

  /** A seqpacket has no first form of requests, so all that is sent for it is among its messages. */
  #message(value: DaemonOutgoing): DaemonMessage {
    return {type: this.#kind, value} as DaemonMessage
  }
}
