import {createServer, isIPv4, type Server, type Socket} from 'node:net'
import {setImmediate as nextTurn} from 'node:timers/promises'
import type {RunCommand} from '../command.ts'
import type {Log} from '../log.ts'
import {flushEstablished} from './flush.ts'
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
  linger?: NodeJS.Timeout
}

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
   * ones have been flushed; the first connection may arrive before that.
   * @throws RedirectError
   */
  subscribe(port: number, owner: PortOwner): Promise<void> {
    return this.#enqueue(async () => {
      if (this.#stopped) throw new Error('the agent is shutting down')
      const existing = this.#ports.get(port)
      if (existing) {
        clearTimeout(existing.linger)
        existing.owner = owner
        return
      }
      const entry: PortEntry = {port, owner, listeners: [], open: new Set()}
      this.#ports.set(port, entry)
      try {
        const listeners = new Map<Family, number>()
        for (const family of this.#options.families) listeners.set(family, await this.#listen(entry, family))
        await this.#rules.add(port, listeners)
      } catch (error) {
        this.#ports.delete(port)
        for (const server of entry.listeners) server.close()
        throw error
      }
      const {families, flush, flushConntrack} = this.#options
      if (flush) await flushEstablished(port, families, flushConntrack, this.#run, this.#log)
    })
  }

  /** Takes the port from this owner; open connections go on. Resolves when the rules are gone, if nothing needs them. */
  unsubscribe(port: number, owner: PortOwner): Promise<void> {
    return this.#enqueue(async () => {
      const entry = this.#ports.get(port)
      if (entry?.owner !== owner) return
      entry.owner = undefined
      await this.#releaseUnused(entry)
    })
  }

  /** Removes all rules and then drops all connections. @throws RedirectError when rules may be left */
  shutdown(): Promise<void> {
    return this.#enqueue(async () => {
      this.#stopped = true
      try {
        await this.#rules.removeAll()
      } finally {
        for (const entry of this.#ports.values()) {
          clearTimeout(entry.linger)
          for (const server of entry.listeners) server.close()
          for (const socket of entry.open) socket.resetAndDestroy()
        }
        this.#ports.clear()
      }
    })
  }

  /** Changes happen one after the other, also when one fails. */
  #enqueue<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(change)
    this.#queue = result.catch(() => {})
    return result
  }

  async #releaseUnused(entry: PortEntry): Promise<void> {
    if (entry.owner || entry.open.size > 0 || this.#ports.get(entry.port) !== entry) return
    clearTimeout(entry.linger)
    if (this.#options.linger > 0 && !this.#stopped) {
      entry.linger = setTimeout(() => void this.#enqueue(() => this.#release(entry)), this.#options.linger)
      return
    }
    await this.#release(entry)
  }

  async #release(entry: PortEntry): Promise<void> {
    if (entry.owner || entry.open.size > 0 || this.#ports.get(entry.port) !== entry) return
    try {
      await this.#rules.remove(entry.port)
    } catch (error) {
      this.#log('error', `port ${entry.port}: ${(error as Error).message}`)
      return
    }
    // Connections that the kernel accepted before the rule went are still to be served.
    await nextTurn()
    this.#ports.delete(entry.port)
    for (const server of entry.listeners) server.close()
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
    entry.open.add(socket)
    socket.once('close', () => {
      entry.open.delete(socket)
      if (!entry.owner && entry.open.size === 0) void this.#enqueue(() => this.#releaseUnused(entry))
    })
    // Whoever serves the connection looks at its end; without a listener an early reset would end the process.
    socket.on('error', () => {})
    const connection = {socket, port: entry.port, destination: dialledAddress(socket, this.#options.podIps)}
    const owner = entry.owner ?? this.#passThrough
    owner.accept(connection)
  }
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
