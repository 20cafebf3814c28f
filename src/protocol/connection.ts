import type {ByteChannel} from './channel.ts'
import {MessageDecoder} from './decoder.ts'
import {ProtocolError} from './errors.ts'
import {FlushTimer} from './flush.ts'
import {ClientMessage} from './messages/client.ts'
import {DaemonMessage} from './messages/daemon.ts'
import {ConnectionError} from './connection-error.ts'
import type {Codec} from './schema/codec.ts'
import type {DecodeLimits} from './schema/reader.ts'
import {Writer} from './schema/writer.ts'

/** Options of a protocol connection. */
export interface ConnectionOptions extends Partial<DecodeLimits> {
  /** `send` answers false while at least this many bytes wait. Default 256 KiB. */
  highWaterMark?: number
  /** `tick`: one write for each turn of the event loop. `lead` (default): the same, but see `FlushTimer`. */
  flush?: 'tick' | 'lead'
  /** Messages with large data of a byte stream may come in parts, each a message of its own. Default false. */
  divide?: boolean
}

/** The same message with other stream data, which is at the end of its values. */
function withBytes<T>(message: T, bytes: Uint8Array): T {
  const {value} = message as {value?: unknown}
  return value === undefined ? {...message, bytes} : {...message, value: withBytes(value, bytes)}
}

/**
 * One side of a protocol connection over a byte channel: typed messages in and out. Messages sent in one turn of the
 * event loop leave in one write; what cannot leave is held here and reported by `send`, `queuedBytes` and `drained`.
 */
export class ProtocolConnection<Out, In> {
  /** Called synchronously for each received message, in order. May call `pause`: no further call until `resume`. */
  onMessage: (message: In) => void = () => undefined
  /** Called when everything queued has left, after `send` had answered false. */
  onDrain: () => void = () => undefined
  /** Called exactly once, with why the connection has ended. */
  onClose: (reason: ConnectionError) => void = () => undefined
  /** Settles (never rejects) with the reason passed to `onClose`. */
  readonly closed: Promise<ConnectionError>

  readonly #channel: ByteChannel
  readonly #encode: Codec<Out>
  readonly #decoder: MessageDecoder<In>
  readonly #writer = new Writer()
  readonly #flushTimer: FlushTimer
  readonly #highWaterMark: number
  #resolveClosed!: (reason: ConnectionError) => void
  #resolveDrained: (() => void) | undefined
  #drained: Promise<void> | undefined
  /** The channel has asked to wait for its drain. */
  #blocked = false
  /** Somebody was told false and waits for a drain. */
  #owesDrain = false
  #paused = false
  #pumping = false
  /** Why the connection ends; set by the first cause. */
  #reason: ConnectionError | undefined
  #channelClosed = false
  #ended = false

  constructor(channel: ByteChannel, encode: Codec<Out>, decode: Codec<In>, options: ConnectionOptions = {}) {
    this.#channel = channel
    this.#encode = encode
    this.#decoder = new MessageDecoder(decode, options, options.divide ? withBytes<In> : undefined)
    this.#highWaterMark = options.highWaterMark ?? 256 * 1024
    this.#flushTimer = new FlushTimer(options.flush ?? 'lead', () => this.flush())
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve))
    channel.onData = (chunk) => this.#receive(chunk)
    channel.onDrain = () => this.#unblock()
    channel.onClose = (error) => this.#channelEnded(error)
  }

  /**
   * Queues a message. Payloads are not copied: they must not be changed afterwards. Answers false when the sender should
   * wait for `onDrain` or `drained`; the message is queued all the same. After the end it does nothing and answers
   * false. Throws ProtocolError `UNENCODABLE` when the message cannot be encoded; nothing of it is sent then.
   */
  send(message: Out): boolean {
    if (this.#reason) return false
    this.#writer.atomic(() => this.#encode.write(this.#writer, message))
    if (this.#blocked) return this.#admit(this.#writer.length < this.#highWaterMark)
    if (this.#writer.length >= this.#highWaterMark) {
      this.flush()
      return this.#admit(!this.#blocked)
    }
    this.#flushTimer.schedule()
    return true
  }

  #admit(free: boolean): boolean {
    if (!free) this.#owesDrain = true
    return free
  }

  /** Bytes held here because the channel does not take them yet. */
  get queuedBytes(): number {
    return this.#writer.length
  }

  /** Resolves when sending makes sense again (at once when it does now), and also when the connection ends. */
  drained(): Promise<void> {
    if (this.#reason || (!this.#blocked && !this.#owesDrain)) return Promise.resolve()
    this.#owesDrain = true
    this.#drained ??= new Promise((resolve) => (this.#resolveDrained = resolve))
    return this.#drained
  }

  /** Writes what is queued now instead of at the end of this turn. Does nothing while the channel is full. */
  flush(): void {
    this.#flushTimer.flushed()
    if (this.#blocked || this.#channelClosed || this.#writer.length === 0) return
    this.#blocked = !this.#channel.write(this.#writer.take())
  }

  /** How many streams the owner runs over this connection: input of the `lead` flush policy. */
  get activeStreams(): number {
    return this.#flushTimer.activeStreams
  }

  set activeStreams(count: number) {
    this.#flushTimer.activeStreams = count
  }

  get paused(): boolean {
    return this.#paused
  }

  /** Delivers no further message and stops reading: the peer's sends stall. */
  pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#channel.pause()
  }

  /** Continues after `pause`. Messages already received are delivered before this returns. */
  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#pump()
    if (!this.#paused && !this.#channelClosed) this.#channel.resume()
  }

  /** Sends what is queued, then closes. Received messages are no longer delivered. */
  close(): void {
    if (this.#reason) return
    this.#reason = new ConnectionError('CLOSED', 'The connection was closed by this side.')
    this.#blocked = false
    this.flush()
    this.#channel.close()
  }

  /** Closes at once, dropping what is queued; `reason` is reported as why the connection ended. */
  destroy(reason = new ConnectionError('CLOSED', 'The connection was closed by this side.')): void {
    if (this.#ended) return
    this.#reason ??= reason
    this.#channel.destroy()
    this.#end(this.#reason)
  }

  #receive(chunk: Uint8Array): void {
    if (this.#reason) return
    this.#decoder.push(chunk)
    this.#pump()
  }

  #pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    try {
      while (!this.#paused && !this.#reason) {
        const message = this.#decode()
        if (message === undefined) break
        this.onMessage(message)
      }
    } finally {
      this.#pumping = false
    }
    if (this.#channelClosed && !this.#paused && !this.#ended) this.#end(this.#reason ?? this.#endOfStream())
  }

  #decode(): In | undefined {
    try {
      return this.#decoder.next()
    } catch (cause) {
      if (!(cause instanceof ProtocolError)) throw cause
      this.destroy(
        new ConnectionError('MALFORMED', `The peer sent bytes that are no message: ${cause.message}`, {cause}),
      )
      return undefined
    }
  }

  #unblock(): void {
    this.#blocked = false
    this.flush()
    if (!this.#blocked) this.#settleDrain()
  }

  #settleDrain(): void {
    this.#resolveDrained?.()
    this.#drained = this.#resolveDrained = undefined
    if (!this.#owesDrain) return
    this.#owesDrain = false
    this.onDrain()
  }

  #channelEnded(error: Error | undefined): void {
    if (this.#channelClosed) return
    this.#channelClosed = true
    if (error)
      this.#reason ??= new ConnectionError('TRANSPORT', `The connection broke: ${error.message}`, {cause: error})
    // Messages that arrived before a clean end are still delivered; a paused owner gets them, then the end, on resume.
    if (this.#reason) this.#end(this.#reason)
    else this.#pump()
  }

  #endOfStream(): ConnectionError {
    const leftover = this.#decoder.leftover
    if (leftover === 0 && !this.#decoder.unfinished)
      return new ConnectionError('END_OF_STREAM', 'The peer closed the connection.')
    return new ConnectionError('TRUNCATED', `The stream ended within a message (${leftover} bytes are left).`)
  }

  #end(reason: ConnectionError): void {
    if (this.#ended) return
    this.#ended = true
    this.#reason = reason
    this.#flushTimer.stop()
    this.#writer.take()
    this.#resolveDrained?.()
    this.#resolveClosed(reason)
    this.onClose(reason)
  }
}

/** The client's end of a connection. */
export type ClientConnection = ProtocolConnection<ClientMessage, DaemonMessage>

/** The agent's end of a connection. */
export type AgentConnection = ProtocolConnection<DaemonMessage, ClientMessage>

/** Speaks the client role over the channel. */
export function clientConnection(channel: ByteChannel, options?: ConnectionOptions): ClientConnection {
  return new ProtocolConnection(channel, ClientMessage, DaemonMessage, options)
}

/** Speaks the agent role over the channel. */
export function agentConnection(channel: ByteChannel, options?: ConnectionOptions): AgentConnection {
  return new ProtocolConnection(channel, DaemonMessage, ClientMessage, options)
}
