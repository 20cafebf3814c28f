/** Limits the bytes on their way for all files together, so that memory stays flat and others get their turn. */
export class ByteBudget {
  #free: number
  readonly #waiting: {bytes: number; start: () => void}[] = []

  constructor(bytes: number) {
    this.#free = bytes
  }

  /** Takes bytes for which nobody has to wait: what gives them back, undefined when there are not enough now. */
  take(bytes: number): (() => void) | undefined {
    if (this.#waiting.length > 0 || this.#free < bytes) return undefined
    this.#free -= bytes
    return () => this.#give(bytes)
  }

  /** Runs `work` when its bytes fit; in the order of the calls. `bytes` must not be more than the whole budget. */
  async use<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    if (this.#waiting.length > 0 || this.#free < bytes)
      await new Promise<void>((start) => this.#waiting.push({bytes, start}))
    else this.#free -= bytes
    try {
      return await work()
    } finally {
      this.#give(bytes)
    }
  }

  #give(bytes: number): void {
    this.#free += bytes
    for (let first = this.#waiting[0]; first && first.bytes <= this.#free; first = this.#waiting[0]) {
      this.#waiting.shift()
      this.#free -= first.bytes
      first.start()
    }
  }
}
