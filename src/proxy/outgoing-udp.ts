import dgram from 'node:dgram'
import {readFileSync} from 'node:fs'
import type {ClientMessage, DaemonConnect} from '../protocol/index.ts'
import type {ConnectAnswer, ConnectRequest} from '../trap/types.ts'
import type {Owned} from './agent-switch.ts'
import {showEndpoint, type Endpoint} from './addresses.ts'
import {DnsWatch} from './dns-watch.ts'
import {connectErrno} from './errno.ts'
import type {FlowControl} from './flow.ts'
import {uncounted, unobserved, type TrafficObserver} from './observer.ts'
import {endpointOf, type RemoteConnect} from './outgoing-tcp.ts'

type Id = DaemonConnect['connectionId']

/** What the outgoing UDP proxy needs of the rest of the session. */
export interface OutgoingUdpPorts {
  /** The session's own loopback address: its relays are bound there. */
  address: string
  connect: RemoteConnect
  /** False: the tunnel is full. It is sent all the same. */
  send(message: ClientMessage): boolean
  /** Tells when a full tunnel has drained. */
  flow: Pick<FlowControl, 'waitForDrain' | 'forget'>
  warn(text: string): void
  observer?: TrafficObserver
}

/** A connected UDP socket of the agent. */
export interface RemoteDatagrams {
  local?: Endpoint
  send(datagram: Uint8Array): void
  close(): void
}

/** Datagrams to this port are DNS, whoever sends them. */
const DNS_PORT = 53
/** How often relays and flows of sockets that are gone are looked for; sooner when there are many. */
const SWEEP_MS = 30_000
/** So many new flows are not waited for until the next sweep: a program may ask each question from a new socket. */
const SWEEP_FLOWS = 512
/**
 * A flow of an unconnected socket ends after this long without a datagram either way (as in Linux' connection tracking,
 * nf_conntrack_udp_timeout_stream). The program sees nothing of it but a new source port on the other side.
 */
const IDLE_MS = 180_000
/** Datagrams kept while the pod's socket is being opened; the others are lost, as in a full queue of the network. */
const EARLY_DATAGRAMS = 256
/** Asked of the kernel for each relay, which gives at most net.core.rmem_max: a burst waits here for the tunnel. */
const RECEIVE_BUFFER = 4 * 1024 * 1024

interface Flow {
  remote: Promise<RemoteDatagrams | undefined>
  /** Datagrams waiting for `remote`. */
  early: number
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
  /** The relay to which a program's socket is connected now, by the socket's address. */
  readonly #owned = new Map<string, UdpRelay>()
  readonly #sweeper: NodeJS.Timeout
  #newFlows = 0
  /** The tunnel is full: datagrams are dropped, which is how UDP tells a sender to slow down. */
  #full = false

  constructor(ports: OutgoingUdpPorts) {
    this.#ports = ports
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref()
  }

  /** Answers the trap's question for a connect(2) of a datagram socket, or for a first datagram to a remote address. */
  async connect(request: ConnectRequest): Promise<ConnectAnswer> {
    const host = request.relayFamily === 4 ? this.#ports.address : '::1'
    const relay = new UdpRelay(host, request.remote, {
      open: (receive, closed) => this.open(request.remote, receive, closed),
      opened: () => {
        if (++this.#newFlows >= SWEEP_FLOWS) this.#sweep()
      },
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
    if (request.unconnected) {
      if (request.gone.aborted) this.#drop(relay)
      else request.gone.addEventListener('abort', () => this.#drop(relay), {once: true})
      return {relay: bound}
    }
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
      onConnected: (source) => (source ? this.#own(relay, source) : this.#drop(relay)),
    }
  }

  /** Opens a connected UDP socket in the pod's network. An answer is the error of the agent, or the socket. */
  async open(
    remote: Endpoint,
    receive: (datagram: Uint8Array) => void,
    closed: () => void,
  ): Promise<RemoteDatagrams | {errno: number}> {
    const observer = this.#ports.observer ?? unobserved
    const tell = (failed: boolean) => observer.connection({protocol: 'udp', address: showEndpoint(remote), failed})
    const dns = remote.port === DNS_PORT ? new DnsWatch(observer) : undefined
    let counter = uncounted
    const result = await this.#ports.connect(remote, ({connectionId}) => {
      counter = tell(false)
      this.#receivers.set(connectionId, {
        datagram: (bytes) => {
          counter.in(bytes.length)
          dns?.answer(bytes)
          receive(bytes)
        },
        closed: () => {
          dns?.close()
          closed()
        },
      })
    })
    if (result.type === 'Err') {
      tell(true)
      return {errno: connectErrno(result.value)}
    }
    const {connectionId, localAddress} = result.value
    return {
      local: endpointOf(localAddress),
      send: (bytes) => {
        // Empty bytes mean the end of the flow on the wire, so an empty datagram cannot travel (spec protocol.md 6.7).
        if (bytes.length === 0 || this.#full) return
        counter.out(bytes.length)
        dns?.question(bytes)
        this.#full = !this.#ports.send({type: 'UdpOutgoing', value: {type: 'Write', value: {connectionId, bytes}}})
        if (this.#full) this.#ports.flow.waitForDrain(this, () => (this.#full = false))
      },
      close: () => {
        dns?.close()
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

  /** The agent of these sockets is gone: the next datagram opens another one. */
  lost(lost: Owned): void {
    for (const id of [...this.#receivers.keys()]) if (lost(id)) this.closed(id)
  }

  close(): void {
    clearInterval(this.#sweeper)
    this.#ports.flow.forget(this)
    for (const relay of this.#relays) relay.close()
    this.#relays.clear()
  }

  #drop(relay: UdpRelay): void {
    const {owner} = relay
    if (owner && this.#owned.get(keyOf(owner)) === relay) this.#owned.delete(keyOf(owner))
    this.#relays.delete(relay)
    relay.close()
  }

  /** The program's socket at `source` is connected to this relay now, and to no other one. */
  #own(relay: UdpRelay, source: Endpoint): void {
    const before = this.#owned.get(keyOf(source))
    if (before && before !== relay) this.#drop(before)
    this.#owned.set(keyOf(source), relay)
    relay.belongsTo(source)
  }

  #sweep(): void {
    this.#newFlows = 0
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
  /** A datagram came from a source that had no flow. */
  opened(): void
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
  #warned = false

  constructor(host: string, remote: Endpoint, opener: RelayOpener) {
    this.#host = host
    this.#remote = remote
    this.#opener = opener
    this.#socket = dgram.createSocket({type: host.includes(':') ? 'udp6' : 'udp4', recvBufferSize: RECEIVE_BUFFER})
    this.#socket.on('message', (datagram, source) => this.#forward(datagram, source))
    // ICMP errors of programs that closed their socket; the sweep ends their flows.
    this.#socket.on('error', () => {})
  }

  /** The connected program socket. */
  get owner(): Endpoint | undefined {
    return this.#owner
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
    this.#first = {remote: Promise.resolve(opened), early: 0, lastUsed: Date.now()}
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
      if (usedPorts.has(portOf(key)) && Date.now() - flow.lastUsed < IDLE_MS) continue
      this.#flows.delete(key)
      closeFlow(flow)
    }
    return false // the trap remembers an unconnected relay, and tells when it has forgotten it
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
      const flow = to && this.#flows.get(keyOf(to))
      if (flow) flow.lastUsed = Date.now()
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
        if (!this.#warned)
          this.#opener.warn(
            `UDP to ${this.#remote.address}:${this.#remote.port} failed in the pod (errno ${opened.errno})`,
          )
        this.#warned = true
        return undefined
      })
      remote.catch(() => {}) // the agent is gone: the session ends anyway
      flow = {remote, early: 0, lastUsed: 0}
      this.#flows.set(key, flow)
      this.#opener.opened()
    }
    const sent = flow
    sent.lastUsed = Date.now()
    if (sent.early >= EARLY_DATAGRAMS) return
    sent.early++
    sent.remote.then(
      (remote) => {
        sent.early--
        remote?.send(datagram)
      },
      () => {},
    )
  }
}

function keyOf({address, port}: Endpoint): string {
  return `${address}|${port}`
}

function portOf(key: string): number {
  return Number(key.slice(key.lastIndexOf('|') + 1))
}

/** Closes a flow's socket in the pod once it is known; one that never came needs no closing. */
function closeFlow(flow: Flow): void {
  flow.remote.then(
    (remote) => remote?.close(),
    () => {},
  )
}
