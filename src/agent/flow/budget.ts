import type {Tunnel} from './tunnel.ts'

/** Limits on bytes that a client has sent and its peers have not taken yet. */
export interface BudgetLimits {
  /** One peer: beyond it, it holds up the whole stream. */
  peer: number
  /** All peers of the client together. */
  total: number
  /** Milliseconds that a peer may hold up the stream without taking anything. */
  stall: number
}

/**
 * The protocol has no flow control per connection: one stream carries everything, and not reading it also delays pings.
 * So a slow peer gets a queue of its own first. 4 MiB is more than a response of most services; 32 MiB keeps a client
 * far below the agent's memory limit. Ten seconds without progress end the connection before clients, which ping every
 * 30 seconds, give up on the whole agent.
 */
export const defaultLimits: BudgetLimits = {peer: 4 * 1024 * 1024, total: 32 * 1024 * 1024, stall: 10_000}

/** One peer's share of the budget. */
export class PeerBudget {
  readonly #budget: WriteBudget
  readonly #fail: () => void
  #queued = 0
  #timer: NodeJS.Timeout | undefined

  constructor(budget: WriteBudget, fail: () => void) {
    this.#budget = budget
    this.#fail = fail
  }

  /** Bytes were queued for the peer. */
  charge(bytes: number): void {
    this.#queued += bytes
    this.#budget.add(bytes)
    if (this.#queued > this.#budget.limits.peer && !this.#timer) this.#blocked()
  }

  /** The peer has taken bytes. */
  discharge(bytes: number): void {
    this.#queued -= bytes
    this.#budget.add(-bytes)
    if (!this.#timer) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    // Resumed only when half empty: otherwise every single chunk would stop and start the stream.
    if (this.#queued > this.#budget.limits.peer / 2) this.#blocked()
    else this.#budget.unblock(this)
  }

  /** The connection is over; what was queued counts no longer. */
  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#budget.unblock(this)
    this.#budget.add(-this.#queued)
    this.#queued = 0
  }

  #blocked(): void {
    this.#budget.block(this)
    this.#timer = setTimeout(() => this.#fail(), this.#budget.limits.stall)
  }
}

/** What the peers of one client have not taken yet; stops reading the client's stream as the last resort. */
export class WriteBudget {
  readonly limits: BudgetLimits
  readonly #tunnel: Tunnel
  #total = 0

  constructor(tunnel: Tunnel, limits: BudgetLimits = defaultLimits) {
    this.#tunnel = tunnel
    this.limits = limits
  }

  /** @param fail ends a peer's connection: it has held up the stream for too long */
  peer(fail: () => void): PeerBudget {
    return new PeerBudget(this, fail)
  }

  add(bytes: number): void {
    this.#total += bytes
    if (this.#total > this.limits.total) this.#tunnel.hold(this)
    else if (this.#total <= this.limits.total / 2) this.#tunnel.release(this)
  }

  block(peer: PeerBudget): void {
    this.#tunnel.hold(peer)
  }

  unblock(peer: PeerBudget): void {
    this.#tunnel.release(peer)
  }
}
