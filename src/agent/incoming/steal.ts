import type {DaemonTcp, Int64, LayerTcpSteal, StealType} from '../../protocol/index.ts'
import {SocketRelay} from '../flow/relay.ts'
import type {WriteBudget} from '../flow/budget.ts'
import type {Tunnel} from '../flow/tunnel.ts'
import {OrderedReplies} from '../flow/ordered.ts'
import type {IncomingConnection, PortOwner, Redirector} from '../redirect/redirector.ts'

/** Redirecting, or why there is none. */
export type Redirecting = {type: 'usable'; redirector: Redirector} | {type: 'unusable'; reason: string}

interface Subscription extends PortOwner {
  port: number
  /** Connections that came before the client knew that it is subscribed; undefined from then on. */
  held: IncomingConnection[] | undefined
}

/** The steal feature of one client (protocol.md 4.5): unfiltered ports, delivered as raw TCP connections. */
export class Stealing {
  readonly #redirecting: Redirecting
  readonly #tunnel: Tunnel
  readonly #budget: WriteBudget
  readonly #announceTransport: () => boolean
  readonly #subscriptions = new Map<number, Subscription>()
  readonly #connections = new Map<Int64, SocketRelay>()
  readonly #replies = new OrderedReplies()
  #nextId = 0
  #closed = false

  /** @param announceTransport whether the client understands `NewConnectionV2` (protocol 1.19.4) */
  constructor(redirecting: Redirecting, tunnel: Tunnel, budget: WriteBudget, announceTransport: () => boolean) {
    this.#redirecting = redirecting
    this.#tunnel = tunnel
    this.#budget = budget
    this.#announceTransport = announceTransport
  }

  /** Handles one message. @throws Error with a text for the client when the whole connection must end */
  receive(message: LayerTcpSteal): void {
    switch (message.type) {
      case 'PortSubscribe':
        return this.#subscribe(message.value)
      case 'PortUnsubscribe':
        return this.#unsubscribe(message.value)
      case 'Data': {
        const {connectionId, bytes} = message.value
        const connection = this.#connections.get(connectionId)
        if (bytes.length > 0) connection?.write(bytes)
        else connection?.end()
        return
      }
      case 'ConnectionUnsubscribe': {
        const connection = this.#connections.get(message.value)
        this.#connections.delete(message.value)
        // After its own shutdown the client is finished properly; before it, it could not serve the connection.
        if (connection?.ended) connection.finish()
        else connection?.abort()
        return
      }
      default:
      // HTTP responses belong to HTTP requests, which this agent does not send; unknown ids are ignored.
    }
  }

  /** The client is gone: its connections are reset, its ports given up. Resolves when their rules are gone. */
  async close(): Promise<void> {
    this.#closed = true
    for (const connection of this.#connections.values()) connection.abort()
    this.#connections.clear()
    await Promise.all([...this.#subscriptions.values()].map((subscription) => this.#drop(subscription)))
  }

  #subscribe(wanted: StealType): void {
    const reply = (value: Extract<DaemonTcp, {type: 'SubscribeResult'}>['value']) =>
      this.#send({type: 'SubscribeResult', value})
    if (wanted.type !== 'All') {
      this.#replies.add(Promise.resolve(), () => {
        this.#tunnel.log('Error', 'HTTP filters are not supported by this version of the agent')
        reply({type: 'Err', value: {type: 'NotImplemented'}})
      })
      return
    }
    const port = wanted.value
    if (this.#redirecting.type === 'unusable') {
      const text = `incoming traffic cannot be redirected: ${this.#redirecting.reason}`
      return this.#tunnel.send({type: 'Close', value: text})
    }
    const subscription: Subscription = {
      port,
      held: [],
      accept: (connection) => {
        if (subscription.held) subscription.held.push(connection)
        else this.#deliver(connection)
      },
    }
    this.#subscriptions.set(port, subscription)
    this.#replies.add(this.#redirecting.redirector.subscribe(port, subscription), (error) => {
      if (error) {
        if (this.#subscriptions.get(port) === subscription) this.#subscriptions.delete(port)
        const text = error instanceof Error ? error.message : 'unknown reason'
        return this.#tunnel.send({type: 'Close', value: `port ${port} cannot be stolen: ${text}`})
      }
      reply({type: 'Ok', value: port})
      const held = subscription.held ?? []
      subscription.held = undefined
      for (const connection of held) this.#deliver(connection)
    })
  }

  #unsubscribe(port: number): void {
    const subscription = this.#subscriptions.get(port)
    if (!subscription) return
    this.#subscriptions.delete(port)
    void this.#drop(subscription)
  }

  async #drop(subscription: Subscription): Promise<void> {
    if (this.#redirecting.type === 'usable')
      await this.#redirecting.redirector.unsubscribe(subscription.port, subscription)
  }

  #deliver({socket, port, destination}: IncomingConnection): void {
    const {remoteAddress, remotePort} = socket
    // A peer that has gone already has no address any more.
    if (this.#closed || remoteAddress === undefined || remotePort === undefined) return void socket.resetAndDestroy()
    const connectionId = this.#nextId++
    const connection = {
      connectionId,
      remoteAddress,
      destinationPort: port,
      sourcePort: remotePort,
      localAddress: destination,
    }
    this.#send(
      this.#announceTransport()
        ? {type: 'NewConnectionV2', value: {connection, transport: {type: 'Tcp'}}}
        : {type: 'NewConnectionV1', value: connection},
    )
    const relay = new SocketRelay(socket, this.#tunnel, this.#budget, {
      data: (bytes) => this.#send({type: 'Data', value: {connectionId, bytes}}),
      end: () => this.#send({type: 'Data', value: {connectionId, bytes: new Uint8Array()}}),
      closed: (error) => {
        this.#connections.delete(connectionId)
        if (error) this.#tunnel.log('Warn', `stolen connection ${connectionId} failed: ${error.message}`)
        this.#send({type: 'Close', value: {connectionId}})
      },
    })
    this.#connections.set(connectionId, relay)
  }

  #send(value: DaemonTcp): void {
    this.#tunnel.send({type: 'TcpSteal', value})
  }
}
