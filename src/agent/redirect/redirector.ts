import {createServer, isIPv4, type Server, type Socket} from 'node:net'
import {delay} from '../../util/time.ts'
import type {RunCommand} from '../command.ts'
import type {Log} from '../log.ts'
import {forgetRedirected} from './conntrack.ts'
import {flushEstablished} from './flush.ts'
import {resetUnfinished, unfinished} from './unfinished.ts'
import type {RuleSet} from './rule-set.ts'
import type {Family} from './rules.ts'

/** A connection to a redirected port. The socket is paused and half-open capable. */
export interface IncomingConnection {
  socket: Socket
  /** Port and address that the peer dialled. */
  port: number
  destination: string
}

/** Who gets the connections of a port. */
export interface PortOwner {
  accept(connection: IncomingConnection): void
}

/** Options of a redirector; times in milliseconds. */
export interface RedirectorOptions {
  families: readonly Family[]
  podIps: readonly string[]
  flush: boolean
  flushConntrack: boolean
  /** How long an unused redirect stays. */
  linger: number
}

interface PortEntry {
  port: number
  owner: PortOwner | undefined
  listeners: Server[]
  /** Sockets of connections that are still open, whoever serves them. */
  open: Set<Socket>
  /** The port was given back: new connections pass by, the redirect stays for those that are under way. */
  passing: boolean
  /** When the port had its last connection or was given back, on the clock of `performance.now()`. */
  quietSince: number
  release?: NodeJS.Timeout
  /** Ends the connections of before, as long as the port has an owner. */
  flush?: AbortController
}

/** A port that was given back keeps its redirect for this long after its last connection: handshakes end meanwhile. */
const RELEASE_MS = 1000
/** How often the kernel is asked whether it has sent everything, and for how long it may try before it is stopped. */
const UNFINISHED_INTERVAL_MS = 200
const UNFINISHED_LIMIT_MS = 30_000
/** The same when the agent ends. */
const SHUTDOWN_INTERVAL_MS = 20
const SHUTDOWN_LIMIT_MS = 200

/**
 * Redirected ports of one network namespace, shared by all clients of the agent. One listener per port and family:
 * the port of a connection is then known without asking the kernel, which Node cannot do.
 */
export class Redirector {
  readonly #ports = new Map<number, PortEntry>()
  readonly #rules: RuleSet
  readonly #options: RedirectorOptions
  readonly #passThrough: PortOwner
  readonly #run: RunCommand
  readonly #log: Log
  #queue: Promise<unknown> = Promise.resolve()
  #stopped = false

  /** @param passThrough serves connections to ports that nobody owns any more */
  constructor(rules: RuleSet, options: RedirectorOptions, passThrough: PortOwner, run: RunCommand, log: Log) {
    this.#rules = rules
    this.#options = options
    this.#passThrough = passThrough
    this.#run = run
    this.#log = log
  }

  /**
   * Gives the port to the owner, in place of any earlier one. Resolves when new connections arrive here and established
   * ones without a request under way have been flushed; the first connection may arrive before that.
   * @throws RedirectError
   */
  subscribe(port: number, owner: PortOwner): Promise<void> {
    return this.#enqueue(async () => {
      if (this.#stopped) throw new Error('the agent is shutting down')
      const existing = this.#ports.get(port)
      if (existing) await this.#takeOver(existing, owner)
      else await this.#redirect(port, owner)
    })
  }

  /**
   * Takes the port from this owner. Resolves when new connections go to the application; open ones go on, and the
   * redirect, without which the kernel would not translate them any more, goes after the last of them.
   */
  unsubscribe(port: number, owner: PortOwner): Promise<void> {
    const leave = () => {
      const entry = this.#ports.get(port)
      if (entry?.owner !== owner) return
      entry.owner = undefined
      entry.flush?.abort()
      entry.quietSince = performance.now()
    }
    // At once, whatever is waiting in the queue: until the rules are changed, connections are passed on from here.
    leave()
    return this.#enqueue(async () => {
      leave()
      const entry = this.#ports.get(port)
      if (!entry || entry.owner || entry.passing) return
      await this.#pass(entry)
      this.#releaseLater(entry, this.#releaseAfter)
    })
  }

  /** Resets all connections, so that no caller waits for an answer, and removes all rules. @throws RedirectError when rules may be left */
  shutdown(): Promise<void> {
    return this.#enqueue(async () => {
      this.#stopped = true
      const entries = [...this.#ports.values()]
      for (const entry of entries) {
        clearTimeout(entry.release)
        entry.flush?.abort()
      }
      try {
        await this.#rules.pass(entries.map(({port}) => port))
      } catch (error) {
        this.#log('error', (error as Error).message)
      }
      const ports = entries.flatMap((entry) => portsOf(entry))
      for (const entry of entries) {
        for (const server of entry.listeners) server.close()
        for (const socket of entry.open) socket.resetAndDestroy()
      }
      try {
        await this.#settle(ports)
      } finally {
        this.#ports.clear()
        await this.#rules.removeAll()
        await this.#forget(ports)
      }
    })
  }

  /** Changes happen one after the other, also when one fails. */
  #enqueue<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(change)
    this.#queue = result.catch(() => {})
    return result
  }

  async #redirect(port: number, owner: PortOwner): Promise<void> {
    const entry: PortEntry = {port, owner, listeners: [], open: new Set(), passing: false, quietSince: 0}
    this.#ports.set(port, entry)
    try {
      const listeners = new Map<Family, number>()
      for (const family of this.#options.families) listeners.set(family, await this.#listen(entry, family))
      await this.#rules.add(port, listeners)
    } catch (error) {
      this.#close(entry)
      throw error
    }
    await this.#flush(entry)
  }

  async #takeOver(entry: PortEntry, owner: PortOwner): Promise<void> {
    clearTimeout(entry.release)
    entry.owner = owner
    if (!entry.passing) return
    try {
      await this.#rules.redirectAgain(entry.port)
    } catch (error) {
      entry.owner = undefined
      this.#releaseLater(entry, this.#releaseAfter)
      throw error
    }
    entry.passing = false
    await this.#flush(entry)
  }

  async #flush(entry: PortEntry): Promise<void> {
    const {families, flush, flushConntrack: conntrack} = this.#options
    if (!flush) return
    entry.flush = new AbortController()
    const {signal} = entry.flush
    await flushEstablished({port: entry.port, families, conntrack, run: this.#run, log: this.#log, signal})
  }

  /** Without these rules the connections still come here, and are passed on. */
  async #pass(entry: PortEntry): Promise<boolean> {
    try {
      await this.#rules.pass([entry.port])
      entry.passing = true
    } catch (error) {
      this.#log('error', `port ${entry.port}: ${(error as Error).message}`)
    }
    return entry.passing
  }

  get #releaseAfter(): number {
    return Math.max(this.#options.linger, RELEASE_MS)
  }

  #releaseLater(entry: PortEntry, ms: number): void {
    clearTimeout(entry.release)
    entry.release = setTimeout(() => void this.#enqueue(() => this.#release(entry)), ms)
  }

  /** Removes the redirect of a port that was given back, once nothing needs its translation any more. */
  async #release(entry: PortEntry): Promise<void> {
    // With connections open, the end of the last one leads here again.
    if (this.#stopped || entry.owner || entry.open.size > 0 || this.#ports.get(entry.port) !== entry) return
    const quiet = performance.now() - entry.quietSince
    if (quiet < this.#releaseAfter) return this.#releaseLater(entry, this.#releaseAfter - quiet)
    if (!entry.passing && !(await this.#pass(entry))) return
    const ports = portsOf(entry)
    if (await unfinished(ports)) {
      if (quiet < UNFINISHED_LIMIT_MS) return this.#releaseLater(entry, UNFINISHED_INTERVAL_MS)
      await resetUnfinished(ports, this.#run, this.#log)
    }
    try {
      await this.#rules.remove(entry.port)
    } catch (error) {
      this.#log('error', `port ${entry.port}: ${(error as Error).message}`)
      return
    }
    this.#close(entry)
    await this.#forget(ports)
  }

  #forget(ports: readonly number[]): Promise<void> {
    return forgetRedirected(ports, this.#options.families, this.#run, this.#log)
  }

  /** Waits a moment until the kernel has nothing to send for these listeners any more, then ends what is left. */
  async #settle(ports: readonly number[]): Promise<void> {
    const deadline = performance.now() + SHUTDOWN_LIMIT_MS
    while (await unfinished(ports)) {
      if (performance.now() > deadline) return resetUnfinished(ports, this.#run, this.#log)
      await delay(SHUTDOWN_INTERVAL_MS)
    }
  }

  #close(entry: PortEntry): void {
    this.#ports.delete(entry.port)
    for (const server of entry.listeners) server.close()
    for (const socket of entry.open) socket.resetAndDestroy()
  }

  #listen(entry: PortEntry, family: Family): Promise<number> {
    return new Promise((resolve, reject) => {
      const server = createServer({allowHalfOpen: true, pauseOnConnect: true, noDelay: true}, (socket) =>
        this.#accept(entry, socket),
      )
      entry.listeners.push(server)
      server.on('error', reject)
      const host = family === 4 ? '0.0.0.0' : '::'
      server.listen({port: 0, host, ipv6Only: family === 6, backlog: 1024}, () => {
        const address = server.address()
        resolve(typeof address === 'object' && address ? address.port : 0)
      })
    })
  }

  #accept(entry: PortEntry, socket: Socket): void {
    if (this.#stopped) return void socket.resetAndDestroy()
    entry.open.add(socket)
    socket.once('close', () => {
      entry.open.delete(socket)
      if (entry.open.size > 0) return
      entry.quietSince = performance.now()
      if (!entry.owner && !this.#stopped) this.#releaseLater(entry, this.#releaseAfter)
    })
    // Whoever serves the connection looks at its end; without a listener an early reset would end the process.
    socket.on('error', () => {})
    const connection = {socket, port: entry.port, destination: dialledAddress(socket, this.#options.podIps)}
    const owner = entry.owner ?? this.#passThrough
    owner.accept(connection)
  }
}

/** The ports of this machine that the entry's connections arrive at. */
function portsOf({listeners}: PortEntry): number[] {
  return listeners.flatMap((server) => {
    const address = server.address()
    return typeof address === 'object' && address ? [address.port] : []
  })
}

/**
 * The address the peer dialled. REDIRECT keeps it for traffic from outside; what comes from inside the pod shows
 * loopback, and then a peer that has the pod's address dialled the pod's address (spec/tunnel.md 1).
 */
function dialledAddress(socket: Socket, podIps: readonly string[]): string {
  const local = socket.localAddress ?? '127.0.0.1'
  const peer = socket.remoteAddress ?? ''
  const loopback = isIPv4(local) ? local.startsWith('127.') : local === '::1'
  return loopback && podIps.includes(peer) ? peer : local
}
