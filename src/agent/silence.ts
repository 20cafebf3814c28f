/** What the watch needs of its connection. */
export interface WatchedConnection {
  /** Whether this side reads: while it does not, silence says nothing about the client. */
  paused(): boolean
  /** The client is gone, though nothing has told so. */
  lost(silentMs: number): void
}

/** So many of its own intervals a client may be silent, and so long at least, in ms. */
const INTERVALS = 4
const LEAST_MS = 60_000

/**
 * Notices a client that vanished without a word, as after the loss of a network: the connection below ends only when somebody
 * on the way notices, which may be never, and the target's traffic would go nowhere for as long. Clients ping at an interval of
 * their own (spec protocol.md 4.2); one that has not pinged twice is not judged.
 */
export class SilenceWatch {
  readonly #connection: WatchedConnection
  readonly #leastMs: number
  readonly #timer: NodeJS.Timeout
  #heardAt = performance.now()
  #pingedAt: number | undefined
  #intervalMs: number | undefined

  /** @param leastMs for tests */
  constructor(connection: WatchedConnection, leastMs = LEAST_MS) {
    this.#connection = connection
    this.#leastMs = leastMs
    this.#timer = setInterval(() => this.#look(), leastMs / 4)
    this.#timer.unref()
  }

  /** To be called for every message. */
  heard(): void {
    this.#heardAt = performance.now()
  }

  /** To be called for every ping, after `heard`. */
  pinged(): void {
    if (this.#pingedAt !== undefined) this.#intervalMs = Math.max(this.#intervalMs ?? 0, this.#heardAt - this.#pingedAt)
    this.#pingedAt = this.#heardAt
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    if (this.#connection.paused()) return this.heard()
    if (this.#intervalMs === undefined) return
    const silentMs = performance.now() - this.#heardAt
    if (silentMs > Math.max(this.#leastMs, INTERVALS * this.#intervalMs)) this.#connection.lost(silentMs)
  }
}
