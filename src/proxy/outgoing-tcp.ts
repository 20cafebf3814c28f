import net from 'node:net'
import {constants} from 'node:os'
import type {ClientMessage, ConnectReply, DaemonConnect} from '../protocol/index.ts'
import type {ConnectAnswer, ConnectRequest} from '../trap/types.ts'
import type {Owned} from './agent-switch.ts'
import {showEndpoint, type Endpoint} from './addresses.ts'
import {connectErrno} from './errno.ts'
import type {FlowControl} from './flow.ts'
import {unobserved, type TrafficObserver} from './observer.ts'
import {TunnelStreams} from './tunnel-streams.ts'

type Id = DaemonConnect['connectionId']

/**
 * Connects from the pod. `accept` is called with the success in the very turn in which it arrives: data of the connection
 * may follow in the same chunk, before a promise could tell.
 */
export type RemoteConnect = (remote: Endpoint, accept: (connection: DaemonConnect) => void) => Promise<ConnectReply>

/** What the outgoing TCP proxy needs of the rest of the session. */
export interface OutgoingTcpPorts {
  /** The session's own loopback address: its relay listens there. */
  address: string
  connect: RemoteConnect
  send(message: ClientMessage): boolean
  flow: FlowControl
  warn(text: string): void
  observer?: TrafficObserver
  /** A program's socket that is connected to the relay appears there within this time, or never. Default 10,000. */
  acceptMs?: number
  /** The same when the connect had been under way for long: up to the next retransmission of the kernel. Default 70,000. */
  laterMs?: number
  /** The pod connects within this time, or connect(2) fails with ETIMEDOUT; below the 90 s of the trap. Default 75,000. */
  connectMs?: number
}

/**
 * Outgoing TCP: the agent connects from the pod first, then the program's own socket is connected to the relay here, so
 * that connect(2) reports what really happened. The relay's accepted sockets are matched by the program's source address,
 * which nobody else can have.
 */
export class OutgoingTcpProxy {
  readonly #ports: OutgoingTcpPorts
  readonly #relays = new Map<4 | 6, Promise<{server: net.Server; at: Endpoint}>>()
  readonly #streams: TunnelStreams
  /** Connections of the agent whose program's socket has not been accepted yet, by source address. */
  readonly #expected = new Map<string, (socket: net.Socket | undefined) => void>()
  /** Accepted sockets whose source has not been announced yet. */
  readonly #accepted = new Map<string, {socket: net.Socket; timer: NodeJS.Timeout}>()
  readonly #acceptMs: number

  constructor(ports: OutgoingTcpPorts) {
    this.#ports = ports
    this.#streams = new TunnelStreams('TcpOutgoing', ports)
    this.#acceptMs = ports.acceptMs ?? 10_000
  }

  /** Answers the trap's question for one connect(2). */
  async connect(request: ConnectRequest): Promise<ConnectAnswer> {
    const {at: relay} = await this.#relay(request.relayFamily)
    const remote = this.#connect(request.remote)
    const first = await this.#first(remote, request.hurry)
    if (first === 'late') {
      remote.then(
        (result) => result.type === 'Ok' && this.#settle(result.value.connectionId, undefined),
        () => {}, // the agent is gone: the session ends anyway
      )
      return {errno: constants.errno.ETIMEDOUT}
    }
    if (first !== 'hurried') return this.#answer(relay, first)
    const onConnected = (source: Endpoint | undefined) => this.#joinLater(remote, source)
    if (!request.nonBlocking) return {relay, onConnected}
    const later = remote.then(
      (result) => this.#answer(relay, result, this.#ports.laterMs ?? 70_000),
      () => ({errno: constants.errno.ECONNRESET}), // the agent is gone: the session ends anyway
    )
    return {relay, onConnected, later}
  }

  #answer(relay: Endpoint, result: ConnectReply, acceptMs = this.#acceptMs) {
    if (result.type === 'Err') return {errno: connectErrno(result.value)}
    const {connectionId, localAddress} = result.value
    const onConnected = (source: Endpoint | undefined) => this.#join(connectionId, source, acceptMs)
    return {relay, local: endpointOf(localAddress), onConnected}
  }

  /** Connects an accepted local socket (paused, half-open allowed) with `remote` as seen from the pod. */
  async splice(socket: net.Socket, remote: Endpoint): Promise<void> {
    const result = await this.#connect(remote)
    if (result.type === 'Err') return void socket.resetAndDestroy()
    this.#streams.attach(result.value.connectionId, socket)
  }

  /** Bytes of a connection from the agent; empty bytes end this direction. */
  read(connectionId: Id, bytes: Uint8Array): void {
    this.#streams.read(connectionId, bytes)
  }

  /** The agent's side of a connection is over. */
  closed(connectionId: Id): void {
    this.#streams.closed(connectionId)
  }

  /** The agent of these connections is gone. */
  lost(lost: Owned): void {
    this.#streams.reset(lost)
  }

  /** Closes the relays and resets what is still connected. */
  close(): void {
    for (const relay of this.#relays.values())
      void relay.then(
        ({server}) => server.close(),
        () => {},
      )
    this.#streams.reset()
    for (const {socket} of this.#accepted.values()) socket.destroy()
    for (const settle of [...this.#expected.values()]) settle(undefined)
  }

  /** What comes first: the agent's word, the end of the caller's patience, or the time limit. */
  #first(remote: Promise<ConnectReply>, hurry: AbortSignal): Promise<ConnectReply | 'hurried' | 'late'> {
    return new Promise((resolve, reject) => {
      if (hurry.aborted) return resolve('hurried')
      const clear = () => {
        clearTimeout(timer)
        hurry.removeEventListener('abort', hurried)
      }
      const end = (word: ConnectReply | 'hurried' | 'late') => {
        clear()
        resolve(word)
      }
      const hurried = () => end('hurried')
      const timer = setTimeout(end, this.#ports.connectMs ?? 75_000, 'late')
      hurry.addEventListener('abort', hurried)
      remote.then(end, (error: Error) => {
        clear()
        reject(error)
      })
    })
  }

  #connect(remote: Endpoint): Promise<ConnectReply> {
    const observer = this.#ports.observer ?? unobserved
    const tell = (failed: boolean) => observer.connection({protocol: 'tcp', address: showEndpoint(remote), failed})
    const reply = this.#ports.connect(remote, ({connectionId}) => this.#streams.expect(connectionId, tell(false)))
    reply.then(
      ({type}) => type === 'Err' && tell(true),
      () => {}, // the agent is gone: the session ends anyway
    )
    return reply
  }

  #relay(family: 4 | 6): Promise<{server: net.Server; at: Endpoint}> {
    let relay = this.#relays.get(family)
    if (!relay) {
      relay = this.#listen(family === 4 ? this.#ports.address : '::1')
      this.#relays.set(family, relay)
    }
    return relay
  }

  #listen(host: string): Promise<{server: net.Server; at: Endpoint}> {
    const server = net.createServer({noDelay: true, allowHalfOpen: true, pauseOnConnect: true}, (socket) => {
      const key = keyOf({address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0})
      socket.on('error', () => {}) // a reset before the stream exists; 'close' cleans up
      const expected = this.#expected.get(key)
      if (expected) return expected(socket)
      const accepted = {socket, timer: setTimeout(() => socket.destroy(), this.#acceptMs)}
      this.#accepted.set(key, accepted)
      socket.once('close', () => {
        clearTimeout(accepted.timer)
        if (this.#accepted.get(key) === accepted) this.#accepted.delete(key)
      })
    })
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen({host, port: 0, backlog: 4096}, () => {
        const {address, port} = server.address() as net.AddressInfo
        resolve({server, at: {address, port}})
      })
    })
  }

  /** Waits for the socket that comes from `source`; undefined when it never appears. */
  #acceptFrom(source: Endpoint, ms = this.#acceptMs): Promise<net.Socket | undefined> {
    const key = keyOf(source)
    const accepted = this.#accepted.get(key)
    if (accepted) {
      this.#accepted.delete(key)
      clearTimeout(accepted.timer)
      return Promise.resolve(accepted.socket)
    }
    return new Promise((resolve) => {
      const settle = (socket: net.Socket | undefined) => {
        clearTimeout(timer)
        this.#expected.delete(key)
        resolve(socket)
      }
      const timer = setTimeout(() => settle(undefined), ms)
      this.#expected.get(key)?.(undefined) // closed before it appeared: its port was used again
      this.#expected.set(key, settle)
    })
  }

  #join(connectionId: Id, source: Endpoint | undefined, acceptMs: number): void {
    const socket = source ? this.#acceptFrom(source, acceptMs) : Promise.resolve(undefined)
    void socket.then((accepted) => this.#settle(connectionId, accepted))
  }

  /** Splices the connection with the program's socket, or closes it when there is none. */
  #settle(connectionId: Id, socket: net.Socket | undefined): void {
    if (socket) this.#streams.attach(connectionId, socket)
    else this.#streams.abandon(connectionId)
  }

  /** The program could not be held longer: its socket is connected already, and is reset if the remote end refuses. */
  #joinLater(remote: Promise<ConnectReply>, source: Endpoint | undefined): void {
    const socket = source ? this.#acceptFrom(source) : Promise.resolve(undefined)
    void remote.then(
      (result) => {
        if (result.type === 'Err') return void socket.then((accepted) => accepted?.resetAndDestroy())
        void socket.then((accepted) => this.#settle(result.value.connectionId, accepted))
      },
      () => void socket.then((accepted) => accepted?.resetAndDestroy()),
    )
  }
}

function keyOf({address, port}: Endpoint): string {
  return `${address.replace(/^::ffff:/, '')}|${port}`
}

/** The IP endpoint of a protocol address; undefined for unix addresses. */
export function endpointOf(address: DaemonConnect['localAddress']): Endpoint | undefined {
  return address.type === 'Ip' ? {address: address.value.ip, port: address.value.port} : undefined
}
