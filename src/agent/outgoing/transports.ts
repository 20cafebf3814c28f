import type {Socket as Datagrams} from 'node:dgram'
import type {SocketAddress} from '../../protocol/index.ts'
import type {RootedFiles} from '../files/rooted.ts'
import {SocketRelay} from '../flow/relay.ts'
import type {PeerBudget, WriteBudget} from '../flow/budget.ts'
import type {Tunnel} from '../flow/tunnel.ts'
import {addressesOf, connectDatagrams, CONNECT_TIMEOUT, connectStream} from './connect.ts'
import type {Connector, OutgoingConnection, OutgoingEvents} from './outgoing.ts'

/** TCP and unix streams. @param files the target's files, for unix path names */
export function streamConnector(files: RootedFiles, tunnel: Tunnel, budget: WriteBudget): Connector {
  return async (address) => {
    const socket = await connectStream(address, files, CONNECT_TIMEOUT)
    return {
      ...describe(address, () => addressesOf(socket)),
      discard: () => socket.destroy(),
      start: (events) => {
        const relay: SocketRelay = new SocketRelay(socket, tunnel, budget, {
          ...events,
          // When the client has shut down its side already, the end of the other closes the connection.
          end: () => {
            if (!relay.ended) events.end()
          },
        })
        return relay
      },
    }
  }
}

/** UDP, one datagram a message. */
export function datagramConnector(budget: WriteBudget): Connector {
  return async (address) => {
    const socket = await connectDatagrams(address)
    const remote = socket.remoteAddress()
    const local = socket.address()
    return {
      remoteAddress: {type: 'Ip', value: {ip: remote.address, port: remote.port}},
      localAddress: {type: 'Ip', value: {ip: local.address, port: local.port}},
      discard: () => socket.close(),
      start: (events) => new DatagramConnection(socket, budget, events),
    }
  }
}

function describe(address: SocketAddress, ofSocket: () => ReturnType<typeof addressesOf>) {
  if (address.type === 'Unix')
    return {remoteAddress: address, localAddress: {type: 'Unix', value: {type: 'Unnamed'}} as SocketAddress}
  const {remoteAddress, localAddress} = ofSocket()
  return {
    remoteAddress: {type: 'Ip', value: remoteAddress} as SocketAddress,
    localAddress: {type: 'Ip', value: localAddress} as SocketAddress,
  }
}

/**
 * A connected UDP socket. An empty message is an empty datagram, in both directions. Upstream takes it for a shut-down
 * (protocol.md 4.8), which would end a flow at the first keep-alive; upstream's clients close such a flow by themselves.
 */
class DatagramConnection implements OutgoingConnection {
  readonly #socket: Datagrams
  readonly #budget: PeerBudget
  readonly #events: OutgoingEvents
  #open = true

  constructor(socket: Datagrams, budget: WriteBudget, events: OutgoingEvents) {
    this.#socket = socket
    this.#events = events
    this.#budget = budget.peer(() => this.#close(new Error('datagrams cannot be sent')))
    socket.on('message', (bytes) => events.data(bytes))
    // A refused port is known from the ICMP answer to an earlier datagram.
    socket.on('error', (error) => this.#close(error))
  }

  write(bytes: Uint8Array): void {
    if (!this.#open) return
    this.#budget.charge(bytes.length)
    this.#socket.send(bytes, (error) => {
      if (!this.#open) return
      this.#budget.discharge(bytes.length)
      if (error) this.#close(error)
    })
  }

  /** Never called: an empty message is an empty datagram. */
  end(): void {}

  finish(): void {
    this.#release()
  }

  abort(): void {
    this.#release()
  }

  #close(error: Error | undefined): void {
    if (this.#release()) this.#events.closed(error)
  }

  #release(): boolean {
    if (!this.#open) return false
    this.#open = false
    this.#budget.close()
    this.#socket.removeAllListeners('message')
    this.#socket.close()
    return true
  }
}
