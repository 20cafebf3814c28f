import {chmodSync} from 'node:fs'
import net from 'node:net'
import {constants} from 'node:os'
import path from 'node:path'
import {
  UnsupportedRequestError,
  type ClientMessage,
  type ConnectReply,
  type DaemonConnect,
  type OutgoingKind,
  type SocketAddress,
} from '../protocol/index.ts'
import type {UnixConnectAnswer, UnixConnectRequest} from '../trap/types.ts'
import {frame, FrameReader} from '../util/frames.ts'
import type {Owned} from './agent-switch.ts'
import {connectErrno} from './errno.ts'
import type {FlowControl} from './flow.ts'
import {unobserved, type TrafficObserver} from './observer.ts'
import {TunnelStreams} from './tunnel-streams.ts'

const {errno} = constants

type Id = DaemonConnect['connectionId']
type Connect = (address: SocketAddress, accept: (connection: DaemonConnect) => void) => Promise<ConnectReply>

/** What the proxy of unix sockets needs of the rest of the session. */
export interface OutgoingUnixPorts {
  /** A private directory (0700, itself or one above it): each connection's relay listens in it for a moment. */
  directory: string
  /** The program may be another user than this process. */
  shared?: boolean
  /** Connects a unix stream socket of the target; `accept` is called in the turn in which the answer arrives. */
  connectStream: Connect
  /** The same for SOCK_SEQPACKET. Rejects with UnsupportedRequestError where the agent is too old. */
  connectSeqpacket: Connect
  send(message: ClientMessage): boolean
  flow: FlowControl
  warn(text: string): void
  observer?: TrafficObserver
  /** The trap connects to a relay within this time, or never. Default 5,000. */
  acceptMs?: number
}

/** sockaddr_un.sun_path with its terminating zero byte, unix(7). */
const PATH_BYTES = 108

/**
 * Unix sockets of the target: the agent connects first, then the program's own socket is connected to a relay here, so
 * that connect(2) reports what really happened. A relay is a listening socket for that one connection.
 */
export class OutgoingUnixProxy {
  readonly #ports: OutgoingUnixPorts
  readonly #streams: TunnelStreams
  readonly #seqpackets: TunnelStreams
  readonly #relays = new Set<() => void>()
  #relayCount = 0
  #warnedEmpty = false
  #closed = false

  constructor(ports: OutgoingUnixPorts) {
    this.#ports = ports
    const {send, flow} = ports
    this.#streams = new TunnelStreams('TcpOutgoing', {send, flow})
    this.#seqpackets = new TunnelStreams('SeqpacketOutgoing', {send, flow, framing: () => this.#framing()})
  }

  /** Answers the trap's question for one connect(2). @throws Error when no relay can be made here */
  async connect(request: UnixConnectRequest): Promise<UnixConnectAnswer> {
    const address = addressOf(request.path)
    if (!address) {
      this.#ports.warn(`a unix socket's path is no UTF-8 and cannot be sent to the pod: ${showPath(request.path)}`)
      return {errno: errno.ENOENT}
    }
    const [streams, connect] = request.seqpacket
      ? [this.#seqpackets, this.#ports.connectSeqpacket]
      : [this.#streams, this.#ports.connectStream]
    const observer = this.#ports.observer ?? unobserved
    const tell = (failed: boolean) => observer.connection({protocol: 'unix', address: showPath(request.path), failed})
    let result: ConnectReply
    try {
      result = await connect(address, ({connectionId}) => streams.expect(connectionId, tell(false)))
    } catch (error) {
      if (!(error instanceof UnsupportedRequestError)) throw error
      this.#ports.warn(`${showPath(request.path)} is not connected: ${error.message}`)
      return {errno: errno.EPROTONOSUPPORT}
    }
    if (result.type === 'Err') {
      tell(true)
      if (result.value.type !== 'NotImplemented') return {errno: connectErrno(result.value)}
      this.#ports.warn(`${showPath(request.path)} is not connected: the agent cannot connect such sockets`)
      return {errno: errno.EPROTONOSUPPORT}
    }
    const {connectionId} = result.value
    if (this.#closed || request.gone.aborted) {
      streams.abandon(connectionId)
      return {errno: errno.ECONNABORTED}
    }
    try {
      return {relay: await this.#listen(streams, connectionId, request.gone)}
    } catch (error) {
      streams.abandon(connectionId)
      throw error
    }
  }

  /** Bytes of a connection from the agent. False: it is none of these, perhaps one of TCP. */
  read(kind: OutgoingKind, connectionId: Id, bytes: Uint8Array): boolean {
    return this.#of(kind)?.read(connectionId, bytes) ?? false
  }

  /** The agent's side of a connection is over. False: it is none of these. */
  closed(kind: OutgoingKind, connectionId: Id): boolean {
    return this.#of(kind)?.closed(connectionId) ?? false
  }

  /** The agent of these connections is gone. */
  lost(lost: Owned): void {
    this.#streams.reset(lost)
    this.#seqpackets.reset(lost)
  }

  /** Removes the relays and ends what is still connected. */
  close(): void {
    this.#closed = true
    for (const give of [...this.#relays]) give()
    this.#streams.reset()
    this.#seqpackets.reset()
  }

  #of(kind: OutgoingKind): TunnelStreams | undefined {
    return kind === 'TcpOutgoing' ? this.#streams : kind === 'SeqpacketOutgoing' ? this.#seqpackets : undefined
  }

  /** A relay for one connection: gone after its one accept, after `acceptMs`, or when the caller is gone. */
  #listen(streams: TunnelStreams, connectionId: Id, gone: AbortSignal): Promise<string> {
    const file = path.join(this.#ports.directory, `u${(this.#relayCount++).toString(36)}`)
    if (Buffer.byteLength(file) >= PATH_BYTES)
      throw new Error(`the session's directory has too long a name for unix sockets: ${this.#ports.directory}`)
    const server = net.createServer({allowHalfOpen: true, pauseOnConnect: true})
    // The relay's file is removed with the server.
    const finish = (socket?: net.Socket) => {
      if (!this.#relays.delete(give)) return void socket?.destroy()
      clearTimeout(timer)
      gone.removeEventListener('abort', give)
      server.close()
      if (socket) streams.attach(connectionId, socket)
      else streams.abandon(connectionId)
    }
    const give = () => finish()
    const timer = setTimeout(give, this.#ports.acceptMs ?? 5000)
    this.#relays.add(give)
    gone.addEventListener('abort', give)
    server.on('connection', finish)
    return new Promise((resolve, reject) => {
      server.once('error', (error) => {
        give()
        reject(error)
      })
      server.listen(file, () => {
        if (this.#ports.shared) chmodSync(file, 0o666)
        resolve(file)
      })
    })
  }

  #framing() {
    const reader = new FrameReader()
    return {
      fromProgram: (chunk: Uint8Array) => {
        const messages = reader.push(chunk)
        const full = messages.filter((message) => message.length > 0)
        if (full.length < messages.length && !this.#warnedEmpty) {
          this.#warnedEmpty = true
          this.#ports.warn(
            'empty messages of seqpacket sockets are left out: the protocol of the agent cannot carry them',
          )
        }
        return full
      },
      toProgram: frame,
    }
  }
}

/** The protocol's form of a sun_path; undefined when it cannot be written in it. */
function addressOf(bytes: Uint8Array): SocketAddress | undefined {
  if (bytes.length === 0) return undefined
  if (bytes[0] === 0) return {type: 'Unix', value: {type: 'Abstract', value: bytes.subarray(1)}}
  try {
    const value = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes)
    return {type: 'Unix', value: {type: 'Pathname', value}}
  } catch {
    return undefined
  }
}

function showPath(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8').replaceAll('\0', '@')
}
