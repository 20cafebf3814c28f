/** The sending side of the tunnel to the agent, shared by all streams. */
export interface FlowTarget {
  /** Stops reading from the agent; the refusal to read is the only back-pressure that the wire protocol has. */
  pause(): void
  resume(): void
}

/** Bytes that one local socket may have unwritten before reading from the agent stops for all. */
const SLOW_BYTES = 8 * 1024 * 1024
/** A local socket that takes nothing for this long while it blocks all others is reset (as upstream does after 15 s). */
const STALL_MS = 15_000

/**
 * Flow control between many local sockets and the one tunnel. Towards the agent: streams that met a full tunnel wait for
 * its drain. From the agent: a socket that does not take its data is given 8 MiB; then the tunnel pauses, at most 15 s.
 */
export class FlowControl {
  readonly #target: FlowTarget
  readonly #waiting = new Set<() => void>()
  readonly #slow = new Map<object, NodeJS.Timeout>()

  constructor(target: FlowTarget) {
    this.#target = target
  }

  /** Registers a stream that was told that the tunnel is full; `resume` is called once after the drain. */
  waitForDrain(resume: () => void): void {
    this.#waiting.add(resume)
  }

  /** The tunnel has drained: every waiting stream goes on. */
  drained(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resume of waiting) resume()
  }

  /** Tells how much a stream has unwritten; `reset` is called when it blocks the others for too long. */
  backlog(stream: object, bytes: number, reset: () => void): void {
    if (bytes < SLOW_BYTES || this.#slow.has(stream)) return
    this.#slow.set(stream, setTimeout(reset, STALL_MS))
    if (this.#slow.size === 1) this.#target.pause()
  }

  /** The stream has caught up, or is gone. */
  caughtUp(stream: object): void {
    const timer = this.#slow.get(stream)
    if (!timer) return
    clearTimeout(timer)
    this.#slow.delete(stream)
    if (this.#slow.size === 0) this.#target.resume()
  }
}
