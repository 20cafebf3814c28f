import type {Probe} from './probe.ts'

/** A probe that had not succeeded when the time was up. */
export interface Unmet {
  label: string
  /** Why its last attempt failed. */
  failure?: string
  hints: readonly string[]
}

/** The program was not ready in time. */
export class NotReadyInTime extends Error {
  override readonly name = 'NotReadyInTime'
  readonly unmet: readonly Unmet[]

  constructor(unmet: readonly Unmet[]) {
    super(`not ready: ${unmet.map(({label, failure}) => `${label}${failure ? ` (${failure})` : ''}`).join(', ')}`)
    this.unmet = unmet
  }
}

/** How to wait. */
export interface WaitOptions {
  /** Milliseconds; undefined: without end. */
  timeoutMs?: number
  signal: AbortSignal
  /** Told what is still waited for, each time something about it changes. */
  waiting(unmet: readonly Unmet[]): void
}

/**
 * Waits until every probe has succeeded; gives what each has seen. When it settles, nothing of any probe is left.
 * Errors: NotReadyInTime; the reason of `signal`.
 */
export async function waitUntilReady(probes: readonly Probe[], options: WaitOptions): Promise<string[]> {
  const {timeoutMs, signal, waiting} = options
  const failed = new AbortController()
  const limit = new AbortController()
  const ended = AbortSignal.any([signal, limit.signal, failed.signal])
  const open = new Map<Probe, Unmet>(probes.map((probe) => [probe, {label: probe.label, hints: probe.hints}]))
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => limit.abort(), timeoutMs)
  const results = await Promise.allSettled(
    probes.map(async (probe) => {
      try {
        const seen = await probe.wait(ended, (failure) => {
          if (ended.aborted || open.get(probe)?.failure === failure) return
          open.set(probe, {label: probe.label, hints: probe.hints, failure})
          waiting([...open.values()])
        })
        open.delete(probe)
        return seen
      } catch (error) {
        failed.abort(error) // a defect of one probe must not keep the others waiting
        throw error
      }
    }),
  )
  clearTimeout(timer)
  signal.throwIfAborted()
  if (limit.signal.aborted && open.size > 0) throw new NotReadyInTime([...open.values()])
  return results.map((result) => {
    if (result.status === 'rejected') throw failed.signal.reason
    return result.value
  })
}
