import {badRequest} from './status.ts'

/** Which requests; every field that is given must fit. */
export interface FaultMatch {
  user?: string
  /** As of permissions: get, list, watch, create, update, delete. A WebSocket upgrade is a get. */
  verb?: string
  /** `pods`, `pods/log`, `pods/portforward`. */
  resource?: string
  namespace?: string
  name?: string
  /** Of what is no resource: `/version`. */
  path?: string
}

/**
 * What happens to a request. A number of bytes counts those of the answer's body, or of what a WebSocket sends after its
 * handshake; what lies before them is passed on.
 */
export type FaultEffect =
  /** Is answered at once; without a body by the Status object that a real server would send. A text is sent as plain text. */
  | {answer: number; retryAfter?: number | string; body?: object | string}
  /** Is answered so many milliseconds late: before the answer begins, or between its head and its body. */
  | {delay: number; at?: 'head' | 'body'}
  /** The answer comes in pieces of 16 bytes, so many milliseconds apart. */
  | {trickle: number}
  /** The connection is reset: nothing was done, all was done and is not told, or within the answer. */
  | {cut: 'before' | 'after' | number}
  /** The connection stays open and passes nothing any more, in either direction. */
  | {freeze: 'before' | 'after' | number}

/** A fault: these requests, of them these, get this. Requests are counted for each verb and resource on their own. */
export interface Fault {
  match?: FaultMatch
  effect: FaultEffect
  /** So many requests go well first. */
  after?: number
  /** So many are hit then; all when absent. */
  times?: number
  /** And each so manieth after those. */
  every?: number
  /** Hits the streams that are open when it is set (watches, followed logs, port-forwards) instead of requests: cut and freeze. */
  open?: boolean
}

/** A request as faults see it. */
export interface Call {
  user?: string
  verb: string
  /** Empty for what is no resource. */
  resource: string
  namespace?: string
  name?: string
  path: string
}

/** A stream that faults can strike while it is open. */
export interface OpenStream {
  call: Call
  strike(effect: 'cut' | 'freeze'): void
}

/** The faults of one server. They are data: tests in other processes set them by `PUT /sandbox/faults`. */
export class Faults {
  #faults: {fault: Fault; seen: Map<string, number>; hits: number}[] = []
  readonly #open = new Set<OpenStream>()

  /** Replaces the faults. Throws 400 for one that has no known effect. */
  set(faults: readonly Fault[]): void {
    for (const {effect} of faults)
      if (!effect || !['answer', 'delay', 'trickle', 'cut', 'freeze'].some((name) => name in effect))
        throw badRequest('a fault needs one of the effects answer, delay, trickle, cut, freeze')
    this.#faults = faults.map((fault) => ({fault, seen: new Map(), hits: 0}))
    for (const entry of this.#faults) {
      const {match, effect, open} = entry.fault
      if (!open) continue
      for (const stream of this.#open)
        if (fits(match, stream.call)) {
          entry.hits++
          stream.strike('cut' in effect ? 'cut' : 'freeze')
        }
    }
  }

  /** Every fault with how often it has hit. */
  get list(): (Fault & {hits: number})[] {
    return this.#faults.map(({fault, hits}) => ({...fault, hits}))
  }

  /** What happens to this request: the effect of the first fault whose turn it is. */
  pick(call: Call): FaultEffect | undefined {
    let picked: FaultEffect | undefined
    for (const entry of this.#faults) {
      const {match, effect, after = 0, times = Infinity, every, open} = entry.fault
      if (open || !fits(match, call)) continue
      const key = `${call.verb} ${call.resource || call.path}`
      const number = (entry.seen.get(key) ?? 0) + 1 - after
      entry.seen.set(key, number + after)
      const turn = number >= 1 && (number <= times || (every !== undefined && (number - times) % every === 0))
      if (!turn || picked) continue
      entry.hits++
      picked = effect
    }
    return picked
  }

  /** Lets faults strike a stream until the returned function is called. */
  opened(stream: OpenStream): () => void {
    this.#open.add(stream)
    return () => void this.#open.delete(stream)
  }
}

function fits(match: FaultMatch | undefined, call: Call): boolean {
  return Object.entries(match ?? {}).every(([field, wanted]) => call[field as keyof Call] === wanted)
}
