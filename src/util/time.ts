/** A promise with its resolvers outside. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

/** Makes a deferred; its rejection never counts as unhandled, because some owners only look at it later. */
export function deferred<T>(): Deferred<T> {
  const {promise, resolve, reject} = Promise.withResolvers<T>()
  promise.catch(() => {})
  return {promise, resolve, reject}
}

/** Resolves to the promise's value, or to `undefined` after `ms` milliseconds. The promise itself is not cancelled. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  try {
    return await Promise.race([promise, timeout])
  } finally {
    clearTimeout(timer)
  }
}

/** Waits `ms` milliseconds; ends early without error when the signal aborts. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done)
  })
}
