import {setTimeout as delay} from 'node:timers/promises'

/** Polls until `check` gives something other than undefined or false; fails after `timeout` with what it saw last. */
export async function until<T>(
  what: string,
  check: () => Promise<T | undefined | false> | T | undefined | false,
  {timeout = 30_000, interval = 50, signal}: {timeout?: number; interval?: number; signal?: AbortSignal} = {},
): Promise<T> {
  const deadline = Date.now() + timeout
  let last: unknown
  for (;;) {
    try {
      const value = await check()
      if (value !== undefined && value !== false) return value
      last = undefined
    } catch (error) {
      last = error
    }
    if (Date.now() > deadline) {
      const seen = last instanceof Error ? `: ${last.message}` : ''
      throw new Error(`Not within ${timeout} ms: ${what}${seen}`, {cause: last})
    }
    await delay(interval, undefined, {signal})
  }
}
