/** A request that waits for its reply. */
export interface Pending<T> {
  resolve: (reply: T) => void
  reject: (reason: Error) => void
}

/** Waiting requests of one kind, answered in the order in which they were sent (spec protocol.md 6.2). */
export class PendingQueue<T, Extra = undefined> {
  #items: (Pending<T> & {extra: Extra})[] = []
  #head = 0

  /** Adds a request at the end. */
  wait(extra: Extra): Promise<T> {
    return new Promise((resolve, reject) => this.#items.push({resolve, reject, extra}))
  }

  /** The oldest request, undefined when none waits. */
  peek(): (Pending<T> & {extra: Extra}) | undefined {
    return this.#items[this.#head]
  }

  /** Removes and returns the oldest request, undefined when none waits. */
  shift(): (Pending<T> & {extra: Extra}) | undefined {
    const item = this.peek()
    if (!item) return undefined
    this.#head++
    // Dropping the used front now and then keeps both operations constant on average.
    if (this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  rejectAll(reason: Error): void {
    for (let item = this.shift(); item; item = this.shift()) item.reject(reason)
  }
}
