import {connect, type Socket} from 'node:net'
import {clientConnection, type ClientConnection} from '../../../src/protocol/connection.ts'
import {socketChannel} from '../../../src/protocol/socket-channel.ts'
import type {
  ClientMessage,
  ConnectReply,
  DaemonConnect,
  DaemonMessage,
  FileRequest,
  FsMetadataV2,
  Metadata,
  OutgoingKind,
  SocketAddress,
} from '../../../src/protocol/index.ts'

/** What a successful reply to a file request may hold; each request has its own part of it. */
export interface FileReply {
  fd: number
  bytes: Uint8Array
  readAmount: number
  writtenAmount: number
  resultOffset: number
  metadata: Metadata & FsMetadataV2
  dirEntries: {name: string; fileType: number; inode: number | bigint; position: number}[]
  entries: {name: string; inode: number | bigint; position: number}[]
  resultSize: number
}

/** A client of the agent that records what arrives and waits for it. */
export class Peer {
  readonly connection: ClientConnection
  readonly socket: Socket
  readonly received: DaemonMessage[] = []
  #waiting: (() => void)[] = []
  #uid = 1_000_000n

  private constructor(socket: Socket) {
    this.socket = socket
    this.connection = clientConnection(socketChannel(socket))
    this.connection.onMessage = (message) => {
      this.received.push(message)
      for (const wake of this.#waiting.splice(0)) wake()
    }
    this.connection.onClose = () => {
      for (const wake of this.#waiting.splice(0)) wake()
    }
  }

  static async connect(port: number, version = '1.29.0', host = '127.0.0.1'): Promise<Peer> {
    const socket = await dial(host, port)
    const peer = new Peer(socket)
    peer.send({type: 'SwitchProtocolVersion', value: version})
    await peer.next('SwitchProtocolVersionResponse')
    peer.send({type: 'ReadyForLogs'})
    return peer
  }

  send(message: ClientMessage): void {
    this.connection.send(message)
  }

  /** Takes the first received message that fits, waiting for it if need be. */
  async take<T>(pick: (message: DaemonMessage) => T | undefined, what: string, timeout = 10_000): Promise<T> {
    const end = this.connection.closed
    let over = false
    void end.then(() => {
      over = true
    })
    const deadline = Date.now() + timeout
    for (;;) {
      for (const [index, message] of this.received.entries()) {
        const found = pick(message)
        if (found === undefined) continue
        this.received.splice(index, 1)
        return found
      }
      if (over) throw new Error(`the connection ended before ${what}; left: ${show(this.received)}`)
      if (Date.now() > deadline) throw new Error(`${what} did not come; left: ${show(this.received)}`)
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
        setTimeout(resolve, 1000)
      })
    }
  }

  next<K extends DaemonMessage['type']>(type: K): Promise<Extract<DaemonMessage, {type: K}>> {
    return this.take(
      (message) => (message.type === type ? (message as Extract<DaemonMessage, {type: K}>) : undefined),
      type,
    )
  }

  /** Sends a file request and takes its reply's content. @throws Error with the reply's error as JSON */
  async file(request: FileRequest): Promise<FileReply> {
    this.send({type: 'FileRequest', value: request})
    return this.fileReply()
  }

  /** The next reply to a file request. */
  async fileReply(): Promise<FileReply> {
    const {value} = (await this.next('File')).value
    if (value.type === 'Err') throw new Error(JSON.stringify(value.value))
    return value.value as never
  }

  /** Asks for an outgoing connection and waits for the answer. */
  async outgoing(kind: OutgoingKind, remoteAddress: SocketAddress): Promise<ConnectReply> {
    const uid = ++this.#uid
    this.send({type: kind, value: {type: 'ConnectV2', value: {uid, remoteAddress}}})
    return this.take(
      (message) =>
        message.type === kind && message.value.type === 'ConnectV2' && message.value.value.uid === uid
          ? message.value.value.connect
          : undefined,
      'ConnectV2',
    )
  }

  /** The same for one that must succeed. */
  async connected(kind: OutgoingKind, remoteAddress: SocketAddress): Promise<DaemonConnect> {
    const result = await this.outgoing(kind, remoteAddress)
    if (result.type === 'Err') throw new Error(JSON.stringify(result))
    return result.value
  }

  write(kind: OutgoingKind, connectionId: number | bigint, bytes: string | Uint8Array): void {
    const data = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
    this.send({type: kind, value: {type: 'Write', value: {connectionId, bytes: data}}})
  }

  /** The next bytes of an outgoing connection. */
  read(kind: OutgoingKind, id: number | bigint): Promise<Buffer> {
    return this.take((message) => {
      if (message.type !== kind || message.value.type !== 'Read' || message.value.value.type !== 'Ok') return undefined
      const {connectionId, bytes} = message.value.value.value
      return connectionId === id ? Buffer.from(bytes) : undefined
    }, `Read of ${id}`)
  }

  /** Waits until the agent has closed an outgoing connection. */
  closed(kind: OutgoingKind, id: number | bigint): Promise<true> {
    return this.take(
      (message) =>
        message.type === kind && message.value.type === 'Close' && message.value.value === id ? true : undefined,
      `Close of ${id}`,
    )
  }

  /** Subscribes to a port and waits for the confirmation. */
  async steal(port: number): Promise<void> {
    this.send({type: 'TcpSteal', value: {type: 'PortSubscribe', value: {type: 'All', value: port}}})
    await this.take(
      (message) =>
        message.type === 'TcpSteal' && message.value.type === 'SubscribeResult' ? message.value.value : undefined,
      'SubscribeResult',
    )
  }

  /** The next stolen connection. */
  stolen() {
    return this.take(
      (message) =>
        message.type === 'TcpSteal' && message.value.type === 'NewConnectionV2'
          ? message.value.value.connection
          : undefined,
      'NewConnectionV2',
    )
  }

  /** Data of a stolen connection; empty at its half close. */
  stolenData(id: number | bigint): Promise<string> {
    return this.take(
      (message) =>
        message.type === 'TcpSteal' && message.value.type === 'Data' && message.value.value.connectionId === id
          ? Buffer.from(message.value.value.bytes).toString()
          : undefined,
      `Data of ${id}`,
    )
  }

  answer(connectionId: number | bigint, text: string): void {
    this.send({type: 'TcpSteal', value: {type: 'Data', value: {connectionId, bytes: Buffer.from(text)}}})
  }

  /** Answers every stolen connection's data with `local:<data>` from now on. */
  serve(): void {
    const record = this.connection.onMessage
    this.connection.onMessage = (message) => {
      if (message.type === 'TcpSteal' && message.value.type === 'Data') {
        const {connectionId, bytes} = message.value.value
        this.answer(connectionId, bytes.length > 0 ? `local:${Buffer.from(bytes).toString()}` : '')
      } else record(message)
    }
  }

  close(): void {
    this.connection.close()
  }
}

/** Only the kinds: payloads would drown the message. */
function show(messages: readonly DaemonMessage[]): string {
  return JSON.stringify(messages.slice(0, 10), (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value instanceof Uint8Array ? `${value.length} bytes` : value,
  )
}

export function dial(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({host, port, allowHalfOpen: true, noDelay: true})
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      socket.on('error', () => {})
      resolve(socket)
    })
  })
}

/** Sends one text over a new connection and returns the first answer. */
export async function ask(host: string, port: number, text: string): Promise<string> {
  const socket = await dial(host, port)
  try {
    return await exchange(socket, text)
  } finally {
    socket.destroy()
  }
}

/** Sends one text and returns the next data; rejects when the connection ends instead. */
export function exchange(socket: Socket, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.once('data', (data: Buffer) => resolve(data.toString()))
    socket.once('close', () => reject(new Error('closed without an answer')))
    socket.once('end', () => reject(new Error('ended without an answer')))
    socket.write(text)
  })
}
