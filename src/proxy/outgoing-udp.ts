import dgram from 'node:dgram'
import {readFileSync} from 'node:fs'
import type {ClientMessage, DaemonConnect} from '../protocol/index.ts'
import type {ConnectAnswer, ConnectRequest} from '../trap/types.ts'
import type {Endpoint} from './addresses.ts'
import {connectErrno} from './errno.ts'
import {endpointOf, type RemoteConnect} from './outgoing-tcp.ts'

type Id = DaemonConnect['connectionId']

/** What the outgoing UDP proxy needs of the rest of the session. */
export interface OutgoingUdpPorts {
  /** The session's own loopback address: its relays are bound there. */
  address: string
  connect: RemoteConnect
  send(message: ClientMessage): boolean
  warn(text: string): void
}

/** A connected UDP socket of the agent. */
export interface RemoteDatagrams {
  local?: Endpoint
  send(datagram: Uint8Array): void
  close(): void
}

/** How often the relays of sockets that are gone are looked for. */
const SWEEP_MS = 30_000
/** A flow of an unconnected socket ends after this long without a datagram either way. */
const IDLE_MS = 60_000

interface Flow {
  remote: Promise<RemoteDatagrams | undefined>
  lastUsed: number
}

/**
 * Outgoing UDP: one local relay for each remote address that a program's socket is connected to, one connected socket of
 * the agent behind each source address. An answer therefore comes from the address that the program sent to.
 */
export class OutgoingUdpProxy {
  readonly #ports: OutgoingUdpPorts
  readonly #receivers = new Map<Id, {datagram(bytes: Uint8Array): void; closed(): void}>()
  readonly #relays = new Set<UdpRelay>()
  readonly #sweeper: NodeJS.Timeout

  constructor(ports: OutgoingUdpPorts) {
    this.#ports = ports
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref()
  }

  /** Answers the trap's question for a connect(2) of a datagram socket, or for a first datagram to a remote address. */
  async connect(request: ConnectRequest): Promise<ConnectAnswer> {
    const host = request.relayFamily === 4 ? this.#ports.address : '::1'
    const relay = new UdpRelay(host, request.remote, {
      open: (receive, closed) => this.open(request.remote, receive, closed),
      warn: this.#ports.warn,
    })
    this.#relays.add(relay)
    let bound: Endpoint
    try {
      bound = await relay.bind()
    } catch (error) {
      this.#drop(relay)
      throw error
    }
    if (request.unconnected) return {relay: bound}
    let result: {errno: number} | {local?: Endpoint}
    try {
      result = await relay.connectFirst()
    } catch (error) {
      this.#drop(relay)
      throw error
    }
    if ('errno' in result) {
      this.#drop(relay)
      return result
    }
    return {
      relay: bound,
      local: result.local,
      onConnected: (source) => (source ? relay.belongsTo(source) : this.#drop(relay)),
    }
  }

  /** Opens a connected UDP socket in the pod's network. An answer is the error of the agent, or the socket. */
  async open(
    remote: Endpoint,
    receive: (datagram: Uint8Array) => void,
    closed: () => void,
  ): Promise<RemoteDatagrams | {errno: number}> {
    const result = await this.#ports.connect(remote, ({connectionId}) =>
      this.#receivers.set(connectionId, {datagram: receive, closed}),
    )
    if (result.type === 'Err') return {errno: connectErrno(result.value)}
    const {connectionId, localAddress} = result.value
    return {
      local: endpointOf(localAddress),
      send: (bytes) => {
        // Empty bytes mean the end of the flow on the wire, so an empty datagram cannot travel (spec protocol.md 6.7).
        if (bytes.length > 0)
          this.#ports.send({type: 'UdpOutgoing', value: {type: 'Write', value: {connectionId, bytes}}})
      },
      close: () => {
        if (this.#receivers.delete(connectionId))
          this.#ports.send({type: 'UdpOutgoing', value: {type: 'Close', value: {connectionId}}})
      },
    }
  }

  /** A datagram from the agent. */
  read(connectionId: Id, datagram: Uint8Array): void {
    if (datagram.length > 0) this.#receivers.get(connectionId)?.datagram(datagram)
  }

  /** The agent's socket is gone, for example after an ICMP error. */
  closed(connectionId: Id): void {
    const receiver = this.#receivers.get(connectionId)
    this.#receivers.delete(connectionId)
    receiver?.closed()
  }

  close(): void {
    clearInterval(this.#sweeper)
    for (const relay of this.#relays) relay.close()
    this.#relays.clear()
  }

  #drop(relay: UdpRelay): void {
    this.#relays.delete(relay)
    relay.close()
  }

  #sweep(): void {
    const ports = boundUdpPorts()
    for (const relay of this.#relays) if (relay.expire(ports)) this.#drop(relay)
  }
}

/** Local UDP ports in use, from /proc/net/udp and udp6 (proc_pid_net(5)): a port that is not there has no socket any more. */
function boundUdpPorts(): Set<number> {
  const ports = new Set<number>()
  for (const file of ['/proc/net/udp', '/proc/net/udp6']) {
    let text: string
    try {
      text = readFileSync(file, 'latin1')
    } catch {
      continue // no IPv6 here
    }
    for (const match of text.matchAll(/^\s*\d+: [\dA-F]+:([\dA-F]{4}) /gm)) ports.add(Number.parseInt(match[1]!, 16))
  }
  return ports
}

interface RelayOpener {
  open(receive: (datagram: Uint8Array) => void, closed: () => void): Promise<RemoteDatagrams | {errno: number}>
  warn(text: string): void
}

/** The relay of one remote address. */
class UdpRelay {
  readonly #socket: dgram.Socket
  readonly #host: string
  readonly #remote: Endpoint
  readonly #opener: RelayOpener
  readonly #flows = new Map<string, Flow>()
  /** The connected program socket that this relay was made for; its flow is opened before it exists. */
  #first?: Flow
  #owner?: Endpoint
  #closed = false

  constructor(host: string, remote: Endpoint, opener: RelayOpener) {
    this.#host = host
    this.#remote = remote
    this.#opener = opener
    this.#socket = dgram.createSocket({type: host.includes(':') ? 'udp6' : 'udp4'})
    this.#socket.on('message', (datagram, source) => this.#forward(datagram, source))
    // ICMP errors of programs that closed their socket; the sweep ends their flows.
    this.#socket.on('error', () => {})
  }

  bind(): Promise<Endpoint> {
    return new Promise((resolve, reject) => {
      this.#socket.once('error', reject)
      this.#socket.bind({address: this.#host, port: 0, exclusive: true}, () => {
        this.#socket.off('error', reject)
        resolve({address: this.#host, port: this.#socket.address().port})
      })
    })
  }

  /** Opens the agent's socket before the program's connect(2) returns, so that it can report an error. */
  async connectFirst(): Promise<{errno: number} | {local?: Endpoint}> {
    const opened = await this.#open(
      () => this.#owner,
      // The agent's socket failed (ICMP); the program's lives on, so its next datagram opens another one.
      () => {
        if (this.#owner) this.#flows.delete(keyOf(this.#owner))
        this.#first = undefined
      },
    )
    if ('errno' in opened) return opened
    this.#first = {remote: Promise.resolve(opened), lastUsed: Date.now()}
    return {local: opened.local}
  }

  belongsTo(source: Endpoint): void {
    this.#owner = source
    if (this.#first) this.#flows.set(keyOf(source), this.#first)
  }

  /** Ends what is idle; true when the whole relay has no user left. */
  expire(usedPorts: ReadonlySet<number>): boolean {
    if (this.#owner) return !usedPorts.has(this.#owner.port)
    for (const [key, flow] of this.#flows) {
      if (Date.now() - flow.lastUsed < IDLE_MS) continue
      this.#flows.delete(key)
      closeFlow(flow)
    }
    return false // an unconnected relay's address is cached by the trap: it lives as long as the session
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#socket.close()
    for (const flow of this.#flows.values()) closeFlow(flow)
    if (this.#first && !this.#owner) closeFlow(this.#first)
  }

  #open(target: () => Endpoint | undefined, closed: () => void = () => {}): Promise<RemoteDatagrams | {errno: number}> {
    return this.#opener.open((datagram) => {
      const to = target()
      if (to && !this.#closed) this.#socket.send(datagram, to.port, to.address)
    }, closed)
  }

  #forward(datagram: Buffer, source: Endpoint): void {
    const key = keyOf(source)
    // The owner's first datagram can overtake the trap's word of who the owner is.
    if (this.#first && !this.#owner) this.belongsTo(source)
    let flow = this.#flows.get(key)
    if (!flow) {
      const remote = this.#open(
        () => source,
        () => this.#flows.delete(key),
      ).then((opened) => {
        if (!('errno' in opened)) return opened
        this.#flows.delete(key)
        this.#opener.warn(
          `UDP to ${this.#remote.address}:${this.#remote.port} failed in the pod (errno ${opened.errno})`,
        )
        return undefined
      })
      remote.catch(() => {}) // the agent is gone: the session ends anyway
      flow = {remote, lastUsed: 0}
      this.#flows.set(key, flow)
    }
    flow.lastUsed = Date.now()
    flow.remote.then(
      (remote) => remote?.send(datagram),
      () => {},
    )
  }
}

function keyOf({address, port}: Endpoint): string {
  return `${address}|${port}`
}

/** Closes a flow's socket in the pod once it is known; one that never came needs no closing. */
function closeFlow(flow: Flow): void {
  flow.remote.then(
    (remote) => remote?.close(),
    () => {},
  )
}
