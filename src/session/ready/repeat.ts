import {delay} from '../../util/time.ts'
import type {Listeners} from './listeners.ts'

/** Pauses between two attempts, in milliseconds: short at first, because most programs start within a second. */
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1000
const GROWTH = 1.5

/** How an attempt ended: with what was seen, or with why not. */
export type Attempt = {ready: string} | {failure: string}

/**
 * Attempts until one succeeds, in growing pauses; a listener that comes or goes ends the pause at once. Rejects when
 * `signal` aborts. An attempt must have a time of its own and must end soon after the abort.
 */
export async function repeat(
  attempt: () => Promise<Attempt>,
  listeners: Listeners,
  signal: AbortSignal,
  tell: (failure: string) => void,
): Promise<string> {
  let pause = FIRST_PAUSE_MS
  let changed = new AbortController()
  const unsubscribe = listeners.subscribe(() => {
    pause = FIRST_PAUSE_MS
    changed.abort()
  })
  try {
    for (;;) {
      signal.throwIfAborted()
      changed = new AbortController()
      const result = await attempt()
      signal.throwIfAborted()
      if ('ready' in result) return result.ready
      tell(result.failure)
      await delay(pause, AbortSignal.any([signal, changed.signal]))
      pause = Math.min(pause * GROWTH, LONGEST_PAUSE_MS)
    }
  } finally {
    unsubscribe()
  }
}
