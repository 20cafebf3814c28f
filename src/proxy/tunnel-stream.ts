import type net from 'node:net'
import type {FlowControl} from './flow.ts'

/** One connection's frames towards the agent. */
export interface StreamFrames {
  /** Sends bytes; false when the tunnel is full. Empty bytes mean the end of this side. */
  data(bytes: Uint8Array): boolean
  /** Ends the connection on the agent's side; not called after the agent ended it. */
  close(): void
  /** The stream is over on both sides, or reset: it must be forgotten. */
  ended(): void
}

const END = new Uint8Array(0)
/**
 * Bytes handed to the local socket at a time. Node joins all that a socket has queued into one write and reports nothing
 * before its end, so what is held here is what shows that a slow reader still reads.
 */
const SOCKET_BYTES = 256 * 1024

const uncork = (socket: net.Socket) => socket.uncork()

/**
 * Splices a local socket with a connection of the agent: half-closes both ways, back-pressure both ways, no copies. The
 * socket must be paused, with `allowHalfOpen`.
 */
export class TunnelStream {
  readonly #socket: net.Socket
  readonly #frames: StreamFrames
  readonly #flow: FlowControl
  #queue: Uint8Array[] = []
  #queuedBytes = 0
  #remoteEnded = false
  #localEnded = false
  #agentClosed = false
  #over = false

  constructor(socket: net.Socket, frames: StreamFrames, flow: FlowControl) {
    this.#socket = socket
    this.#frames = frames
    this.#flow = flow
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => {
      if (frames.data(chunk)) return
      socket.pause()
      flow.waitForDrain(this, () => socket.resume())
    })
    socket.on('end', () => {
      this.#localEnded = true
      frames.data(END)
    })
    socket.on('drain', () => this.#write())
    socket.on('error', () => {}) // 'close' follows and tells the agent
    socket.on('close', () => this.#closed())
    if (socket.closed) process.nextTick(() => this.#closed())
    else socket.resume()
  }

  /** Bytes from the agent; empty bytes end this direction. */
  receive(bytes: Uint8Array): void {
    if (this.#remoteEnded || this.#agentClosed || this.#socket.destroyed) return
    if (bytes.length === 0) {
      this.#remoteEnded = true
      if (this.#queue.length === 0) this.#endSocket()
      return
    }
    if (this.#queue.length === 0 && this.#socket.writableLength < SOCKET_BYTES) {
      this.#send(bytes)
      return
    }
    this.#queue.push(bytes)
    this.#queuedBytes += bytes.length
    this.#flow.grown(this, this.#queuedBytes, () => this.reset())
  }

  /** The agent's side is over: what it sent is delivered, then the socket ends. */
  close(): void {
    this.#agentClosed = true
    if (this.#queue.length === 0) this.#endSocket()
  }

  /** Ends the local socket with a reset, so that the program does not take a broken stream for a complete one. */
  reset(): void {
    if (this.#socket.destroyed) return
    // Unix sockets know no reset; Node throws when asked for one.
    if (this.#socket.remotePort === undefined) this.#socket.destroy()
    else this.#socket.resetAndDestroy()
  }

  /** What is written in this turn of the event loop leaves in one system call, unless it is much. */
  #send(bytes: Uint8Array): void {
    const socket = this.#socket
    if (socket.writableCorked === 0) {
      socket.cork()
      process.nextTick(uncork, socket)
    }
    socket.write(bytes)
    if (socket.writableLength >= SOCKET_BYTES) socket.uncork()
  }

  #write(): void {
    let count = 0
    while (count < this.#queue.length && this.#socket.writableLength < SOCKET_BYTES) {
      const bytes = this.#queue[count++]!
      this.#queuedBytes -= bytes.length
      this.#send(bytes)
    }
    if (count === 0) return
    this.#queue = this.#queue.slice(count)
    this.#flow.shrunk(this, this.#queuedBytes)
    if (this.#queue.length === 0 && (this.#remoteEnded || this.#agentClosed)) this.#endSocket()
  }

  /** Everything of the agent is handed over: this direction ends, and the whole socket when the agent is gone. */
  #endSocket(): void {
    if (this.#agentClosed && !this.#localEnded) this.#socket.destroySoon()
    else this.#socket.end()
  }

  #closed(): void {
    if (this.#over) return
    this.#over = true
    this.#flow.forget(this)
    this.#queue = []
    // After both directions have ended the agent closes by itself; anything else is an abort that it must learn of.
    if (!this.#agentClosed && !(this.#localEnded && this.#remoteEnded)) this.#frames.close()
    this.#frames.ended()
  }
}
