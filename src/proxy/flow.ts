/** The sending side of the tunnel to the agent, shared by all streams. */
export interface FlowTarget {
  /** Stops reading from the agent; the refusal to read is the only back-pressure that the wire protocol has. */
  pause(): void
  resume(): void
}

/** Limits of `FlowControl`; the defaults are for use, others for tests. */
export interface FlowLimits {
  /** Bytes that one local socket may have unwritten before reading from the agent stops for all. */
  slowBytes?: number
  /** A local socket that takes nothing for this long while it blocks all others is reset. */
  stallMs?: number
}

/**
 * Flow control between many local sockets and the one tunnel. Towards the agent: streams that met a full tunnel wait for
 * its drain. From the agent: a socket that does not take its data is given 8 MiB; then the tunnel pauses until it has taken
 * half of it, or has taken nothing for 15 s.
 */
export class FlowControl {
  readonly #target: FlowTarget
  readonly #slowBytes: number
  readonly #stallMs: number
  readonly #waiting = new Map<object, () => void>()
  readonly #slow = new Map<object, NodeJS.Timeout>()

  constructor(target: FlowTarget, {slowBytes = 8 * 1024 * 1024, stallMs = 15_000}: FlowLimits = {}) {
    this.#target = target
    this.#slowBytes = slowBytes
    this.#stallMs = stallMs
  }

  /** Registers a stream that was told that the tunnel is full; `resume` is called once after the drain. */
  waitForDrain(stream: object, resume: () => void): void {
    this.#waiting.set(stream, resume)
  }

  /** The tunnel has drained: every waiting stream goes on. */
  drained(): void {
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const resume of waiting) resume()
  }

  /** A stream has more data to write than before; `reset` is called when it then takes nothing for too long. */
  grown(stream: object, bytes: number, reset: () => void): void {
    if (bytes < this.#slowBytes || this.#slow.has(stream)) return
    this.#slow.set(stream, setTimeout(reset, this.#stallMs))
    if (this.#slow.size === 1) this.#target.pause()
  }

  /** A stream has written some of its data. */
  shrunk(stream: object, bytes: number): void {
    if (bytes <= this.#slowBytes / 2) this.#caughtUp(stream)
    else this.#slow.get(stream)?.refresh()
  }

  /** The stream is gone: nothing waits for it or on its behalf. */
  forget(stream: object): void {
    this.#waiting.delete(stream)
    this.#caughtUp(stream)
  }

  #caughtUp(stream: object): void {
    const timer = this.#slow.get(stream)
    if (!timer) return
    clearTimeout(timer)
    this.#slow.delete(stream)
    if (this.#slow.size === 0) this.#target.resume()
  }
}
