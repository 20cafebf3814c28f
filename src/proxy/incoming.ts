import net from 'node:net'
import type {ClientMessage, IncomingTraffic, NewTcpConnection} from '../protocol/index.ts'
import {within} from '../util/time.ts'
import type {Endpoint} from './addresses.ts'
import type {Owned} from './agent-switch.ts'
import {dial, readToEnd, type DialPorts} from './dial.ts'
import type {FlowControl} from './flow.ts'
import {HttpDelivery} from './http-delivery.ts'
import {HttpWatch} from './http-watch.ts'
import {unobserved, type ByteCounter, type TrafficObserver} from './observer.ts'
import {TunnelStream} from './tunnel-stream.ts'

type Id = NewTcpConnection['connectionId']

/** A socket of the program that listens. */
export interface LocalListener {
  id: number
  /** The port of the pod that it stands for. */
  port: number
  /** Where it listens on this machine. */
  actual: Endpoint
}

/** What the incoming proxy needs of the rest of the session. */
export interface IncomingPorts extends DialPorts {
  send(message: ClientMessage): boolean
  flow: FlowControl
  /** Resolves when the agent has the redirection in place; rejects when it refuses. */
  subscribe(port: number): Promise<void>
  unsubscribe(port: number): void
  warn(text: string): void
  observer?: TrafficObserver
}

/** A raw connection and who follows it. */
interface Followed {
  stream: TunnelStream | PendingStream
  bytes: ByteCounter
  http: HttpWatch
  /** Once it is dialled. */
  socket?: net.Socket
}

/** What a program that has ended had written is read within this time, unless the tunnel is full. */
const LAST_BYTES_MS = 500

/** Stolen TCP connections: subscriptions follow the program's listeners, each connection is dialled to its listener. */
export class IncomingProxy {
  readonly #ports: IncomingPorts
  /** Listeners by pod port; the most recent one gets the connections. */
  readonly #listeners = new Map<number, LocalListener[]>()
  readonly #streams = new Map<Id, Followed>()
  readonly #subscribed = new Map<number, Promise<void>>()
  readonly #observer: TrafficObserver
  readonly #http: HttpDelivery

  constructor(ports: IncomingPorts) {
    this.#ports = ports
    const {send, flow, warn, observer = unobserved} = ports
    this.#observer = observer
    this.#http = new HttpDelivery({
      send,
      flow,
      warn,
      observer,
      dial: (port, peer) => this.#dialForRequest(port, peer),
    })
  }

  /** The pod's ports whose traffic is delivered now. */
  get subscribedPorts(): number[] {
    return [...this.#subscribed.keys()].sort((a, b) => a - b)
  }

  /** The same ports, with the address of the listener that gets the connections. */
  get delivered(): {port: number; local: string}[] {
    return this.subscribedPorts.flatMap((port) => {
      const actual = this.#listeners.get(port)?.at(-1)?.actual
      if (!actual) return []
      return {port, local: `${net.isIPv6(actual.address) ? `[${actual.address}]` : actual.address}:${actual.port}`}
    })
  }

  /** Makes the listener reachable from the cluster; resolves when the traffic arrives here. Rejects when refused. */
  async listen(listener: LocalListener): Promise<void> {
    const {port} = listener
    this.#listeners.set(port, [...(this.#listeners.get(port) ?? []), listener])
    let subscription = this.#subscribed.get(port)
    if (!subscription) {
      subscription = this.#ports.subscribe(port)
      this.#subscribed.set(port, subscription)
    }
    try {
      await subscription
    } catch (error) {
      if (this.#subscribed.get(port) === subscription) this.#subscribed.delete(port)
      this.#forget(listener.id)
      throw error
    }
  }

  /** The listener is gone; the deployed program gets the port's traffic again once no other listener has it. */
  close(listenerId: number): void {
    const port = this.#forget(listenerId)
    if (port !== undefined && !this.#listeners.has(port) && this.#subscribed.delete(port)) this.#ports.unsubscribe(port)
  }

  /** Another agent has taken over: it gets every subscription too. Resolves with the ports that it refuses, and why. */
  async resubscribe(): Promise<{port: number; error: unknown}[]> {
    const refused = await Promise.all(
      this.subscribedPorts.map(async (port) => {
        try {
          await this.#ports.subscribe(port)
          // Unsubscribed meanwhile, perhaps before the question.
          if (!this.#subscribed.has(port)) this.#ports.unsubscribe(port)
          return []
        } catch (error) {
          return this.#subscribed.has(port) ? [{port, error}] : []
        }
      }),
    )
    return refused.flat()
  }

  /** The agent of these connections is gone: they are reset, so that the program does not take them for complete ones. */
  lost(lost: Owned): void {
    for (const [id, {stream}] of [...this.#streams]) if (lost(id)) stream.reset()
    this.#http.lost(lost)
  }

  /** Ends every subscription; connections that are under way go on. */
  unsubscribeAll(): void {
    for (const port of this.#subscribed.keys()) this.#ports.unsubscribe(port)
    this.#subscribed.clear()
    this.#listeners.clear()
  }

  /**
   * The program has ended: reads what it had still written, then tells of every request that it has left without an answer.
   * Nothing else would: a caller that keeps its side open keeps the connection from ending.
   */
  async end(): Promise<void> {
    const sockets = [...this.#streams.values()].flatMap(({socket}) => socket ?? [])
    await within(LAST_BYTES_MS, Promise.all([...sockets.map((socket) => readToEnd(socket)), this.#http.lastBytes()]))
    for (const {http} of this.#streams.values()) http.end()
    this.#http.end()
  }

  /** Stolen traffic from the agent. */
  receive(message: IncomingTraffic): void {
    if (this.#http.receive(message)) return
    switch (message.type) {
      case 'NewConnectionV1':
        return this.#connect(message.value)
      case 'NewConnectionV2':
        if (message.value.transport.type === 'Tls') this.#ports.warn('a TLS connection arrives here in plain text')
        return this.#connect(message.value.connection)
      case 'Data':
        return this.#data(message.value)
      case 'Close':
        return this.#streams.get(message.value.connectionId)?.stream.close()
    }
  }

  #data({connectionId, bytes}: {connectionId: Id; bytes: Uint8Array}): void {
    const followed = this.#streams.get(connectionId)
    if (!followed) return
    followed.bytes.in(bytes.length)
    followed.http.toProgram(bytes)
    followed.stream.receive(bytes)
  }

  #connect(connection: NewTcpConnection): void {
    const {connectionId, destinationPort: port} = connection
    const listener = this.#listeners.get(port)?.at(-1)
    if (!listener) {
      this.#ports.send({type: 'TcpSteal', value: {type: 'ConnectionUnsubscribe', value: connectionId}})
      return
    }
    const pending = new PendingStream()
    const followed = {
      stream: pending,
      bytes: this.#observer.incoming(port),
      http: new HttpWatch(port, this.#observer),
    }
    this.#streams.set(connectionId, followed)
    const peer = {address: connection.remoteAddress, port: connection.sourcePort}
    const local = {address: connection.localAddress, port}
    dial(listener.actual, peer, local, this.#ports).then(
      ({socket, source}) => this.#join(connectionId, {...followed, pending}, socket, source),
      (error: Error) => {
        this.#streams.delete(connectionId)
        followed.http.end()
        if (!pending.closed)
          this.#ports.send({type: 'TcpSteal', value: {type: 'ConnectionUnsubscribe', value: connectionId}})
        this.#ports.warn(`a stolen connection to port ${port} could not be delivered: ${error.message}`)
      },
    )
  }

  #join(
    connectionId: Id,
    {pending, bytes: counter, http}: Omit<Followed, 'stream'> & {pending: PendingStream},
    socket: net.Socket,
    source: Endpoint,
  ): void {
    const {send, flow, forgetPeer} = this.#ports
    const stream = new TunnelStream(
      socket,
      {
        data: (bytes) => {
          counter.out(bytes.length)
          http.fromProgram(bytes)
          return send({type: 'TcpSteal', value: {type: 'Data', value: {connectionId, bytes}}})
        },
        close: () => send({type: 'TcpSteal', value: {type: 'ConnectionUnsubscribe', value: connectionId}}),
        ended: () => {
          this.#streams.delete(connectionId)
          http.end()
          forgetPeer?.(source)
        },
      },
      flow,
    )
    this.#streams.set(connectionId, {stream, bytes: counter, http, socket})
    if (pending.lost) return stream.reset()
    for (const bytes of pending.chunks) stream.receive(bytes)
    if (pending.closed) stream.close()
  }

  /** A connection for one HTTP request; agents that parse HTTP do not say at which address of the pod it arrived. */
  async #dialForRequest(port: number, peer: Endpoint | undefined): Promise<{socket: net.Socket; release(): void}> {
    const listener = this.#listeners.get(port)?.at(-1)
    if (!listener) throw new Error(`nothing listens on port ${port} any more`)
    const shown = peer ?? {address: '127.0.0.1', port: 0}
    const {socket, source} = await dial(listener.actual, shown, {address: listener.actual.address, port}, this.#ports)
    return {socket, release: () => this.#ports.forgetPeer?.(source)}
  }

  #forget(listenerId: number): number | undefined {
    for (const [port, listeners] of this.#listeners) {
      const left = listeners.filter((listener) => listener.id !== listenerId)
      if (left.length === listeners.length) continue
      if (left.length > 0) this.#listeners.set(port, left)
      else this.#listeners.delete(port)
      return port
    }
    return undefined
  }
}

/** Holds what arrives while the dial is under way. */
class PendingStream {
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
