import dgram from 'node:dgram'
import net from 'node:net'
import type {Endpoint} from './addresses.ts'
import type {RemoteDatagrams} from './outgoing-udp.ts'

/** What the DNS relay needs of the rest of the session. */
export interface DnsRelayPorts {
  /** The session's own loopback address; its port 53 becomes the program's nameserver. */
  address: string
  /** The pod's nameservers, in the order of its resolv.conf. */
  nameservers: readonly string[]
  openUdp(
    remote: Endpoint,
    receive: (datagram: Uint8Array) => void,
    closed: () => void,
  ): Promise<RemoteDatagrams | {errno: number}>
  /** Connects an accepted TCP socket with a nameserver. */
  spliceTcp(socket: net.Socket, remote: Endpoint): Promise<void>
}

interface Pending {
  source: Endpoint
  id: number
  expires: number
}

/** DNS header, RFC 1035 4.1.1: shorter packets are not DNS. */
const HEADER = 12
const PORT = 53
/** Resolvers give up after 5 s (resolv.conf(5)); an answer after this long has nobody waiting. */
const PENDING_MS = 15_000

/**
 * A nameserver on the session's own address that hands every packet, whatever its type, to the pod's nameservers through the
 * agent. One socket of the agent serves each nameserver: the 16-bit ids are exchanged for ids of our own, so that questions
 * of many program sockets cannot collide. A repeated question goes to the next nameserver.
 */
export class DnsRelay {
  readonly #ports: DnsRelayPorts
  readonly #udp = dgram.createSocket('udp4')
  readonly #tcp: net.Server
  readonly #upstream = new Map<string, Promise<RemoteDatagrams | undefined>>()
  readonly #pending = new Map<number, Pending>()
  readonly #repeats = new Map<string, {count: number; expires: number}>()
  readonly #sweeper: NodeJS.Timeout
  #nextId = Math.floor(Math.random() * 0x1_00_00)

  private constructor(ports: DnsRelayPorts) {
    this.#ports = ports
    this.#udp.on('message', (packet, source) => this.#ask(packet, source))
    this.#udp.on('error', () => {}) // ICMP of a program that closed its socket
    this.#tcp = net.createServer({allowHalfOpen: true, pauseOnConnect: true, noDelay: true}, (socket) => {
      socket.on('error', () => {})
      void ports.spliceTcp(socket, {address: ports.nameservers[0]!, port: PORT}).catch(() => socket.destroy())
    })
    this.#sweeper = setInterval(() => this.#sweep(), PENDING_MS).unref()
  }

  /**
   * Binds port 53 of the session's address. Returns undefined where this user may not (root, or
   * net.ipv4.ip_unprivileged_port_start <= 53, ip(7)), or where somebody holds it on all addresses.
   */
  static async start(ports: DnsRelayPorts): Promise<DnsRelay | undefined> {
    const relay = new DnsRelay(ports)
    try {
      await new Promise<void>((resolve, reject) => {
        relay.#udp.once('error', reject)
        relay.#udp.bind({address: ports.address, port: PORT, exclusive: true}, resolve)
      })
      await new Promise<void>((resolve, reject) => {
        relay.#tcp.once('error', reject)
        relay.#tcp.listen({host: ports.address, port: PORT}, resolve)
      })
      return relay
    } catch (error) {
      relay.close()
      const {code} = error as NodeJS.ErrnoException
      if (code === 'EACCES' || code === 'EPERM' || code === 'EADDRINUSE') return undefined
      throw error
    }
  }

  close(): void {
    clearInterval(this.#sweeper)
    this.#udp.close()
    if (this.#tcp.listening) this.#tcp.close()
    this.#pending.clear() // a late answer must not meet the closed socket
    for (const upstream of this.#upstream.values())
      upstream.then(
        (remote) => remote?.close(),
        () => {}, // the agent was gone before it answered
      )
  }

  #ask(packet: Buffer, source: Endpoint): void {
    if (packet.length < HEADER) return
    const id = packet.readUInt16BE(0)
    const nameserver =
      this.#ports.nameservers[this.#repeat(`${source.address}|${source.port}|${id}`) % this.#ports.nameservers.length]!
    const ours = this.#freeId()
    if (ours === undefined) return // 65,536 open questions: the program repeats this one
    this.#pending.set(ours, {
      source: {address: source.address, port: source.port},
      id,
      expires: Date.now() + PENDING_MS,
    })
    packet.writeUInt16BE(ours, 0)
    this.#upstreamOf(nameserver).then(
      (remote) => remote?.send(packet),
      () => {},
    )
  }

  #answer(packet: Uint8Array): void {
    if (packet.length < HEADER) return
    const ours = (packet[0]! << 8) | packet[1]!
    const pending = this.#pending.get(ours)
    if (!pending) return
    this.#pending.delete(ours)
    const answer = Buffer.from(packet) // a few hundred bytes; the view is not ours to change
    answer.writeUInt16BE(pending.id, 0)
    this.#udp.send(answer, pending.source.port, pending.source.address)
  }

  #upstreamOf(nameserver: string): Promise<RemoteDatagrams | undefined> {
    let upstream = this.#upstream.get(nameserver)
    if (!upstream) {
      const forget = () => this.#upstream.delete(nameserver)
      upstream = this.#ports
        .openUdp({address: nameserver, port: PORT}, (packet) => this.#answer(packet), forget)
        .then((opened) => {
          if (!('errno' in opened)) return opened
          forget()
          return undefined
        })
      upstream.catch(forget)
      this.#upstream.set(nameserver, upstream)
    }
    return upstream
  }

  /** How often this very question was asked before. */
  #repeat(key: string): number {
    const known = this.#repeats.get(key)
    const count = known ? known.count + 1 : 0
    this.#repeats.set(key, {count, expires: Date.now() + PENDING_MS})
    return count
  }

  #freeId(): number | undefined {
    for (let tries = 0; tries < 0x1_00_00; tries++) {
      this.#nextId = (this.#nextId + 1) & 0xff_ff
      if (!this.#pending.has(this.#nextId)) return this.#nextId
    }
    return undefined
  }

  #sweep(): void {
    const now = Date.now()
    for (const [id, {expires}] of this.#pending) if (expires < now) this.#pending.delete(id)
    for (const [key, {expires}] of this.#repeats) if (expires < now) this.#repeats.delete(key)
  }
}
