import {MirrordError} from '../errors/mirrord-error.ts'
import {deferred, delay, within} from '../util/time.ts'
import type {Cluster} from './cluster.ts'
import {ApiError, isStatus} from './errors.ts'
import {openForward, PortUnreachable, type ForwardChannel, type PodPort} from './port-forward.ts'
import {describeRetry, isTransient, pauseAfter} from './retry.ts'

/** A connected agent. */
export interface ConnectedAgent<T> {
  channel: ForwardChannel
  pod: string
  answer: T
  /** Port-forwards that were tried, the last one included. */
  attempts: number
}

/** Between two attempts while nothing listens; an attempt itself takes about 20 ms. */
const PAUSE_MS = 25
/** While the server says that it does not know the pod yet. */
const unknownYet = {min_ms: PAUSE_MS, max_ms: 250}
/** While it is overloaded or out of reach. */
const overloaded = {min_ms: 250, max_ms: 5000}
/** A channel on which nothing has come for this long may be dead: another one is tried beside it. */
const ANSWER_MS = 10_000

/**
 * Tries port-forwards until one is answered. Rejects with what no other attempt can change, and with the signal's reason.
 * `failed` is told why an attempt failed where that was not the agent's doing.
 *
 * A channel without an answer is left open beside the next one: an agent ends when its last client leaves.
 */
export async function reachAgent<T>(
  cluster: Cluster,
  at: PodPort,
  handshake: (channel: ForwardChannel) => Promise<T>,
  {signal, failed}: {signal: AbortSignal; failed(error: MirrordError | undefined): void},
): Promise<ConnectedAgent<T>> {
  const outcome = deferred<ConnectedAgent<T>>()
  const open = new Set<ForwardChannel>()
  let over = false
  let refusals = 0
  /** Resolves with the pause before the next attempt. */
  const attempt = async (attempts: number): Promise<number> => {
    let channel: ForwardChannel | undefined
    try {
      channel = await openForward(cluster, at, signal)
      refusals = 0
      failed(undefined)
      open.add(channel)
      const answer = await handshake(channel)
      signal.throwIfAborted()
      if (over) return 0
      over = true
      open.delete(channel)
      outcome.resolve({channel, pod: at.pod, answer, attempts})
      return 0
    } catch (error) {
      if (channel) open.delete(channel)
      channel?.destroy()
      const refused = channel?.failure instanceof PortUnreachable
      if (refused || !(error instanceof MirrordError)) return PAUSE_MS
      failed(error)
      if (!passing(error)) outcome.reject(error)
      const busy = isTransient(error) && !isStatus(error, 500)
      const pauseMs = pauseAfter(error, ++refusals, busy ? overloaded : unknownYet)
      cluster.note(describeRetry(error, pauseMs))
      return pauseMs
    }
  }
  const work = async () => {
    for (let count = 1; !over; count++) {
      signal.throwIfAborted()
      await delay((await within(ANSWER_MS, attempt(count))) ?? 0, signal)
    }
    return outcome.promise
  }
  try {
    return await Promise.race([outcome.promise, work()])
  } finally {
    over = true
    for (const channel of open) channel.destroy()
  }
}

/**
 * Whether a failed attempt says only "not yet". The API server answers 404, 400 or 500 while the kubelet does not know
 * the pod or its sandbox, and one cut connection is no lost cluster. A missing permission does not pass.
 */
function passing(error: MirrordError): boolean {
  const refusal = error instanceof ApiError && !isStatus(error, 401, 403)
  return refusal || isTransient(error)
}
