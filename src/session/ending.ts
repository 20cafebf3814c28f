import type {ErrorReport} from '../errors/mirrord-error.ts'
import type {Trap} from '../trap/trap.ts'
import {deferred, within} from '../util/time.ts'
import type {SessionRecord} from './state.ts'

/** The longest time that the program's tree can be given between the first signal and SIGKILL: the limit of `--grace`. */
export const MAX_GRACE_MS = 3_600_000

/** Why a session ends. A failure is kept for `ci stop`, or reported by the start. */
export interface End {
  by: NonNullable<SessionRecord['endedBy']>
  failure?: ErrorReport
  graceMs: number
  /** The first signal to the program's tree; SIGTERM when nobody says another. */
  signal?: NodeJS.Signals
  /** The program must not run a moment longer. */
  atOnce?: boolean
}

/** The end of a session: what was asked for first counts, and who asks later can only make it faster. */
export class Ending {
  readonly #first = deferred<End>()
  readonly #abort = new AbortController()
  readonly #hurry = new AbortController()
  readonly #impatient = new AbortController()
  #requested?: End
  #graceMs = MAX_GRACE_MS

  /** Aborted as soon as an end is asked for: what is under way stops. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Aborted when somebody waits for the end: a reader of the output that is slow is not waited for. */
  get impatient(): AbortSignal {
    return this.#impatient.signal
  }

  /** Resolves with the first end that was asked for. */
  get first(): Promise<End> {
    return this.#first.promise
  }

  /** The first end that was asked for; undefined before. */
  get requested(): End | undefined {
    return this.#requested
  }

  /** Asks for an end. */
  request(end: End): void {
    this.#requested ??= end
    this.#abort.abort(new Error('the session is being stopped'))
    this.#first.resolve(end)
  }

  /** Somebody waits for the end from now on. */
  becomeImpatient(): void {
    this.#impatient.abort()
  }

  /** The tree has `graceMs` from now on, if that is less than what is left of its grace. */
  hurry(graceMs: number): void {
    this.#graceMs = graceMs
    this.#hurry.abort()
  }

  /** SIGKILL for whatever is left of the tree; what a reader has not taken stays in the files. */
  kill(trap: Trap | undefined): void {
    this.request({by: 'request', graceMs: 0})
    this.hurry(0)
    this.becomeImpatient()
    trap?.killTree()
  }

  /** The end begins: nothing that is asked for later changes its grace but `hurry`. */
  begin({graceMs}: End): void {
    this.#graceMs = this.#hurry.signal.aborted ? Math.min(graceMs, this.#graceMs) : graceMs
    this.#abort.abort(new Error('the session is ending'))
  }

  /** Ends the program's tree: the first signal, the grace, SIGKILL. Resolves when nothing of it is left. */
  async endTree(trap: Trap): Promise<void> {
    trap.signalTree(this.#requested?.signal ?? 'SIGTERM')
    trap.signalTree('SIGCONT') // what is stopped meets it only when it goes on
    const hurried = new Promise<void>((resolve) => {
      this.#hurry.signal.addEventListener('abort', () => setTimeout(resolve, this.#graceMs), {once: true})
    })
    await within(this.#graceMs, Promise.race([trap.ended, hurried]))
    trap.killTree()
    await trap.ended
  }
}
