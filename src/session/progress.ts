import type {LaunchEvent, Phase} from './launch-protocol.ts'
import type {Log} from './log.ts'

/** What a step of a start gives: its result, and what it did in one line. */
export interface Step<T> {
  value?: T
  text: string
}

/** Tells the user and the log how a start goes on. */
export class Progress {
  readonly #emit: (event: LaunchEvent) => void
  readonly #log: Log
  readonly #signal: AbortSignal
  #waiting?: string

  /** @param signal aborts when the session ends: no phase is over then */
  constructor(emit: (event: LaunchEvent) => void, log: Log, signal: AbortSignal) {
    this.#emit = emit
    this.#log = log
    this.#signal = signal
  }

  /** Runs one phase and tells of it when it is over. `waiting` says what is waited for until then. Errors: those of `run`. */
  async phase<T>(phase: Phase, waiting: string, run: () => Promise<Step<T>>): Promise<T> {
    this.waiting(waiting)
    const started = performance.now()
    const {value, text} = await run()
    this.#signal.throwIfAborted()
    const ms = Math.round(performance.now() - started)
    this.#log(`${phase}: ${text} (${ms} ms)`)
    this.#emit({type: 'phase', phase, text, ms})
    return value as T
  }

  /** What is being waited for now; shown on terminals only, because it changes all the time. */
  waiting(text: string): void {
    if (text === this.#waiting) return
    this.#waiting = text
    this.#emit({type: 'waiting', text})
  }

  /** Something that the user should know and that ends nothing. */
  warn(text: string): void {
    this.#log(`warning: ${text}`)
    this.#emit({type: 'warning', text})
  }
}
