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
 * Splices a local socket with a connection of the agent: half-closes both ways, back-pressure both ways, no copies. The
 * socket must be paused, with `allowHalfOpen`.
 */
export class TunnelStream {
  readonly #socket: net.Socket
  readonly #frames: StreamFrames
  readonly #flow: FlowControl
  #remoteEnded = false
  #localEnded = false
  #agentClosed = false

  constructor(socket: net.Socket, frames: StreamFrames, flow: FlowControl) {
    this.#socket = socket
    this.#frames = frames
    this.#flow = flow
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => {
      if (frames.data(chunk)) return
      socket.pause()
      flow.waitForDrain(() => socket.resume())
    })
    socket.on('end', () => {
      this.#localEnded = true
      frames.data(END)
    })
    socket.on('drain', () => flow.caughtUp(this))
    socket.on('error', () => {}) // 'close' follows and tells the agent
    socket.on('close', () => this.#closed())
    socket.resume()
  }

  /** Bytes from the agent; empty bytes end this direction. */
  receive(bytes: Uint8Array): void {
    if (bytes.length === 0) {
      this.#remoteEnded = true
      this.#socket.end()
      return
    }
    if (!this.#socket.write(bytes)) this.#flow.backlog(this, this.#socket.writableLength, () => this.reset())
  }

  /** The agent's side is over: what it sent is delivered, then the socket ends. */
  close(): void {
    this.#agentClosed = true
    if (this.#localEnded) this.#socket.end()
    else this.#socket.destroySoon()
  }

  /** Ends the local socket with a reset, so that the program does not take a broken stream for a complete one. */
  reset(): void {
    if (this.#socket.destroyed) return
    this.#socket.resetAndDestroy()
  }

  #closed(): void {
    this.#flow.caughtUp(this)
    // After both directions have ended the agent closes by itself; anything else is an abort that it must learn of.
    if (!this.#agentClosed && !(this.#localEnded && this.#remoteEnded)) this.#frames.close()
    this.#frames.ended()
  }
}
