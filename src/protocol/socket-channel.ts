import type {Socket} from 'node:net'
import type {ByteChannel} from './channel.ts'

/** How long a closed channel waits for the peer to close too before the socket is destroyed. */
const lingerMs = 2000

/** A byte channel over a connected TCP (or TLS, or unix) socket; sets TCP_NODELAY (spec protocol.md 1.6). */
export function socketChannel(socket: Socket): ByteChannel {
  return new SocketChannel(socket)
}

class SocketChannel implements ByteChannel {
  onDrain: () => void = () => undefined
  onClose: (error?: Error) => void = () => undefined
  readonly #socket: Socket
  #onData: ((chunk: Uint8Array) => void) | undefined
  #closing = false

  constructor(socket: Socket) {
    this.#socket = socket
    let failure: Error | undefined
    socket.setNoDelay(true)
    socket.on('drain', () => this.onDrain())
    socket.on('error', (error) => (failure = error))
    socket.on('end', () => socket.end())
    socket.on('close', () => this.onClose(failure))
    if (socket.closed) process.nextTick(() => this.onClose(socket.errored ?? undefined))
  }

  get onData(): (chunk: Uint8Array) => void {
    return this.#onData ?? (() => undefined)
  }

  /** Reading begins when a receiver is set, so nothing is lost before. */
  set onData(receiver: (chunk: Uint8Array) => void) {
    const first = this.#onData === undefined
    this.#onData = receiver
    if (!first) return
    this.#socket.on('data', (chunk: Buffer) => {
      if (!this.#closing) this.#onData?.(chunk)
    })
  }

  write(chunks: readonly Uint8Array[]): boolean {
    const socket = this.#socket
    if (this.#closing || socket.destroyed) return false
    if (chunks.length === 1) return socket.write(chunks[0]!)
    let free = true
    socket.cork()
    for (const chunk of chunks) free = socket.write(chunk)
    socket.uncork()
    return free
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  close(): void {
    if (this.#closing) return
    this.#closing = true
    const socket = this.#socket
    // Unread data must be read away: closing over it would reset the connection and could lose our last message.
    socket.end()
    socket.resume()
    const timer = setTimeout(() => socket.destroy(), lingerMs)
    socket.once('close', () => clearTimeout(timer))
  }

  destroy(): void {
    this.#closing = true
    this.#socket.destroy()
  }
}
