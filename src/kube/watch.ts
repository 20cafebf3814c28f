import type {MirrordError} from '../errors/mirrord-error.ts'
import {delay} from '../util/time.ts'
import type {Cluster} from './cluster.ts'
import {apiError, isStatus, notKubernetes} from './errors.ts'
import type {Status, WatchEvent} from './objects.ts'
import type {Operation} from './operation.ts'
import {isTransient, pauseAfter} from './retry.ts'

/** What to watch. */
export interface WatchRequest {
  api: string
  resource: string
  namespace: string
  labelSelector?: string
  fieldSelector?: string
  /** Begin after this version of the collection instead of with what exists, and end with the stream: what came then is in a new list. */
  resourceVersion?: string
  /** Told why nothing is seen now, and undefined when that is over. */
  blind?: (failure: MirrordError | undefined) => void
  signal: AbortSignal
}

/**
 * Begin with whatever state the server has at hand, then every change after it. Without a version the server first makes
 * sure that its state is the newest, which took up to 2.5 s on a busy Kubernetes 1.35; an older state does no harm where
 * the objects are found by a name that was just made up.
 */
const anyVersion = '0'

/**
 * A connection that died without a word looks like one on which nothing happens, so a silent stream is opened anew after this
 * time: one small request, which shows what was missed.
 */
const SILENCE_MS = 10_000
/** Streams that end at once, one after another, are opened at this pace; an outage is bridged for this many of them. */
const pace = {min_ms: 100, max_ms: 5000}
const MAX_FAILURES = 8

/**
 * Objects as they are and then as they change, until the signal. Begins with what exists (no separate list request, so
 * the verb `watch` suffices), and begins again when the stream ends, as the server ends it every few minutes, breaks, or
 * falls silent: the same object may then be seen again. Throws what requests throw, and the signal's reason.
 */
export async function* watch<T>(
  cluster: Cluster,
  request: WatchRequest,
): AsyncGenerator<WatchEvent<T>, void, undefined> {
  const {signal, labelSelector, fieldSelector, resourceVersion, blind = () => {}, ...object} = request
  const from = resourceVersion ?? anyVersion
  const operation: Operation = {verb: 'watch', ...object}
  let worked = false
  for (let failures = 0; ;) {
    let failure: unknown
    let seen = false
    const started = performance.now()
    const began = () => {
      worked = true
      blind(undefined)
    }
    try {
      const query = {watch: true, labelSelector, fieldSelector, resourceVersion: from}
      const stream = cluster.client.lines({operation, query, idleMs: SILENCE_MS, began, signal})
      for await (const line of stream) {
        const event = parse<T>(line)
        if (event === undefined) {
          if (seen) break // the last line of a stream that was cut
          throw notKubernetes(cluster, operation, undefined, line)
        }
        seen = true
        if (event.type === 'ERROR') {
          const status = event.object as Status
          throw apiError(cluster, operation, status.code ?? 500, status)
        }
        if (event.type !== 'BOOKMARK') yield event
      }
    } catch (error) {
      signal.throwIfAborted()
      // Only what has worked before is waited for: what fails from the first was repeated by the client already.
      const again = isStatus(error, 410) || (worked && isTransient(error))
      if (!again || failures >= MAX_FAILURES) throw error
      failure = error
      blind(error)
    }
    signal.throwIfAborted()
    failures = performance.now() - started > 1000 ? 0 : failures + 1
    if (failures > 0) await delay(pauseAfter(failure, failures, pace), signal)
    signal.throwIfAborted()
    if (resourceVersion !== undefined) return
  }
}

function parse<T>(line: string): WatchEvent<T> | undefined {
  try {
    return JSON.parse(line) as WatchEvent<T>
  } catch {
    return undefined
  }
}
