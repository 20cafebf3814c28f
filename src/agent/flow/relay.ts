import type {Socket} from 'node:net'
import type {PeerBudget, WriteBudget} from './budget.ts'
import type {Source, Tunnel} from './tunnel.ts'

/** What a relayed socket reports, in this order: data, at most one end, exactly one closed unless it was aborted. */
export interface RelayEvents {
  data(bytes: Uint8Array): void
  /** The peer has shut down its side. */
  end(): void
  /** Both directions are finished, or the connection failed. */
  closed(error: Error | undefined): void
}

/** A peer that takes nothing for this long has failed (protocol.md 4.2). */
const WRITE_TIMEOUT = 30_000

/** One connected stream socket between a peer and a client, with half close and back-pressure both ways. */
export class SocketRelay implements Source {
  readonly #socket: Socket
  readonly #tunnel: Tunnel
  readonly #budget: PeerBudget
  #error: Error | undefined
  #ended = false
  #silent = false

  /** Starts reading. The socket must be connected, paused and opened with `allowHalfOpen`. */
  constructor(socket: Socket, tunnel: Tunnel, budget: WriteBudget, events: RelayEvents) {
    this.#socket = socket
    this.#tunnel = tunnel
    this.#budget = budget.peer(() => this.#fail('the peer takes no data and holds up all others'))
    socket.on('data', (chunk) => {
      if (!this.#silent) events.data(chunk)
    })
    socket.on('end', () => {
      if (!this.#silent) events.end()
    })
    socket.on('error', (error) => {
      this.#error ??= error
    })
    socket.on('close', () => {
      tunnel.removeSource(this)
      this.#budget.close()
      if (!this.#silent) events.closed(this.#error)
    })
    // Fires without any traffic; progress of a pending write counts as traffic.
    socket.setTimeout(WRITE_TIMEOUT, () => {
      if (socket.writableLength > 0) this.#fail('the peer has taken no data for 30 s')
    })
    tunnel.addSource(this)
    if (tunnel.open) socket.resume()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** True when the client has shut down its side. */
  get ended(): boolean {
    return this.#ended
  }

  /** Queues bytes for the peer. */
  write(bytes: Uint8Array): void {
    if (this.#ended || this.#socket.destroyed) return
    const size = bytes.length
    this.#budget.charge(size)
    this.#socket.write(bytes, () => {
      if (!this.#socket.destroyed) this.#budget.discharge(size)
    })
  }

  /** The client shuts down its side: a FIN follows what is queued. */
  end(): void {
    this.#ended = true
    this.#socket.end()
  }

  /** The client has closed: what is queued is delivered, nothing is reported any more. */
  finish(): void {
    this.#silent = true
    this.#ended = true
    this.#tunnel.removeSource(this)
    this.#socket.destroySoon()
  }

  /** Ends the connection at once with a RST, so that the peer cannot take it for complete. Nothing is reported. */
  abort(): void {
    this.#silent = true
    reset(this.#socket)
  }

  #fail(text: string): void {
    this.#error ??= new Error(text)
    reset(this.#socket)
  }
}

function reset(socket: Socket): void {
  // Unix sockets know no RST and Node throws when asked for one.
  if (socket.remotePort === undefined) socket.destroy()
  else socket.resetAndDestroy()
}
