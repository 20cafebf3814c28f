import type {DaemonMessage, LogLevel} from '../../protocol/index.ts'

/** The message stream to one client, as far as features need it. */
export interface MessageStream {
  /** Queues a message; false when the sender should wait until the stream has drained. */
  send(message: DaemonMessage): boolean
  pause(): void
  resume(): void
  /** How many sources are active; helps to decide when queued messages leave. */
  activeStreams: number
}

/** Something that produces data for the client and can be held back, such as a socket. */
export interface Source {
  pause(): unknown
  resume(): unknown
}

/** Bytes that sources without back-pressure (UDP) may add while the stream is full; more is dropped, as UDP may. */
const OVERFLOW = 256 * 1024

/**
 * The client's stream with back-pressure both ways. Towards the client: when the stream is full all sources stop, and
 * start again when it has drained, so that the queue stays at about its high-water mark. From the client: features hold
 * reading back while they cannot take more.
 */
export class Tunnel {
  readonly #stream: MessageStream
  readonly #sources = new Set<Source>()
  readonly #holds = new Set<object>()
  #waiting: (() => void)[] = []
  #full = false
  #overflow = 0
  #logs = false
  #closed = false

  constructor(stream: MessageStream) {
    this.#stream = stream
  }

  /** Sends a message; never dropped. Whoever produces many of them is a source, or waits for `writable`. */
  send(message: DaemonMessage): void {
    if (this.#closed || this.#stream.send(message) || this.#full) return
    this.#full = true
    for (const source of this.#sources) source.pause()
  }

  /** Sends a message whose loss is allowed: dropped when the stream is full and `size` bytes more would be too much. */
  sendOrDrop(message: DaemonMessage, size: number): void {
    if (this.#full) {
      if (this.#overflow + size > OVERFLOW) return
      this.#overflow += size
    }
    this.send(message)
  }

  /** Sends a line for the user's log, once the client has asked for logs. */
  log(type: LogLevel['type'], text: string): void {
    if (this.#logs) this.send({type: 'LogMessage', value: {message: text, level: {type}}})
  }

  /** Log lines are delivered from now on. */
  enableLogs(): void {
    this.#logs = true
  }

  /** Registers a source; it is paused at once when the stream is full. */
  addSource(source: Source): void {
    this.#sources.add(source)
    this.#stream.activeStreams = this.#sources.size
    if (this.#full) source.pause()
  }

  removeSource(source: Source): void {
    this.#sources.delete(source)
    this.#stream.activeStreams = this.#sources.size
  }

  /** True when a source may produce. */
  get open(): boolean {
    return !this.#full
  }

  /** Resolves when the stream takes more. */
  writable(): Promise<void> {
    if (!this.#full || this.#closed) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** To be called when the stream has drained. */
  drained(): void {
    this.#full = false
    this.#overflow = 0
    for (const resolve of this.#waiting.splice(0)) resolve()
    for (const source of this.#sources) source.resume()
    // The one that is resumed first is likely to be read first: each has its turn at that.
    const [first] = this.#sources
    if (!first) return
    this.#sources.delete(first)
    this.#sources.add(first)
  }

  /** Stops reading from the client until `release` is called with the same key. */
  hold(key: object): void {
    this.#holds.add(key)
    if (this.#holds.size === 1) this.#stream.pause()
  }

  release(key: object): void {
    if (this.#holds.delete(key) && this.#holds.size === 0 && !this.#closed) this.#stream.resume()
  }

  /** The client is gone: nothing is sent any more and nobody waits. */
  close(): void {
    this.#closed = true
    for (const resolve of this.#waiting.splice(0)) resolve()
    this.#sources.clear()
  }
}
