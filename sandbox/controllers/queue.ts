/**
 * Runs `reconcile` for keys, one at a time per key and never twice for the same state: a key added while it is queued is
 * the same entry. Failures are tried again after a second.
 */
export class Queue {
  private readonly queued = new Set<string>()
  private readonly timers = new Map<string, NodeJS.Timeout>()
  private readonly reconcile: (key: string) => void | Promise<void>
  private closed = false

  constructor(reconcile: (key: string) => void | Promise<void>) {
    this.reconcile = reconcile
  }

  /** Asks for a run of `key` as soon as the present change has been dealt with. */
  add(key: string): void {
    if (this.closed || this.queued.has(key)) return
    this.queued.add(key)
    setImmediate(() => {
      this.queued.delete(key)
      if (!this.closed) void this.once(key)
    })
  }

  private async once(key: string): Promise<void> {
    try {
      await this.reconcile(key)
    } catch {
      this.later(key, 1000)
    }
  }

  /** Asks for a run after `ms` milliseconds; a later call replaces an earlier one. */
  later(key: string, ms: number): void {
    if (this.closed) return
    clearTimeout(this.timers.get(key))
    this.timers.set(
      key,
      setTimeout(
        () => {
          this.timers.delete(key)
          this.add(key)
        },
        Math.max(0, ms),
      ),
    )
  }

  /** No more runs. */
  close(): void {
    this.closed = true
    for (const timer of this.timers.values()) clearTimeout(timer)
  }
}

/** `namespace/name` of an object, and back. */
export const keyFor = (meta: {namespace?: string; name: string}): string => `${meta.namespace ?? ''}/${meta.name}`
export const splitKey = (key: string): [string, string] => {
  const at = key.indexOf('/')
  return [key.slice(0, at), key.slice(at + 1)]
}
