import {setImmediate as turn} from 'node:timers/promises'

/** What reaches the launcher of a foreground session and is meant for its program, as if the program had its process. */
export const passedSignals = [
  'SIGINT',
  'SIGTERM',
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGWINCH',
  'SIGTSTP',
  'SIGCONT',
] as const satisfies NodeJS.Signals[]

/** These mean the end of a start whose program does not run yet, and of what a program that has ended left behind. */
const ending: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']

/** A second interrupt within this time kills. */
const AGAIN_MS = 3000
/** One press of a key, or one `timeout -s INT` (which signals its child and then the group), is no second interrupt. */
const SAME_MS = 300
/** The launcher, which got a signal of the group too, says so within this time, on a busy machine as well. */
const CLAIM_MS = 5000

/** Of the event loop: the rest of this one, and a whole one. */
const TURNS = 2

/** What the signals of a foreground session act on. */
export interface ForegroundActs {
  /** Process id of the launcher; undefined in the background, where there is nobody to stop. */
  launcher: number | undefined
  /** To the program's own process, when there is one. */
  signalProgram(signal: NodeJS.Signals): void
  state(): 'before' | 'running' | 'over'
  /** The end of a start, or of what is left of a tree. */
  cancel(): void
  /** SIGKILL to the tree. */
  kill(): void
}

/**
 * The signals and the job control of a foreground session. Launcher, session and program are one process group, so what
 * the terminal sends (or `kill -GROUP`, `timeout`) has reached the program already, and this process too: that is how it is
 * told from a signal for the launcher alone, which is passed on. Stopping follows the program: the launcher stops when the
 * program has stopped, so that its shell takes the terminal only then.
 */
export class Foreground {
  readonly #acts: ForegroundActs
  /** Signals of the group that the launcher has not reported yet, with their time in ms. */
  readonly #unclaimed = new Map<NodeJS.Signals, number>()
  #interruptedAt = -Infinity
  #stopped = false

  constructor(acts: ForegroundActs) {
    this.#acts = acts
  }

  /**
   * This process got a signal, as the whole group did. `alone` is called for a SIGTERM that the launcher does not report:
   * somebody wants the session, not the program, to end.
   */
  ofGroup(signal: NodeJS.Signals, alone: () => void): void {
    const at = performance.now()
    this.#unclaimed.set(signal, at)
    if (signal === 'SIGTERM')
      setTimeout(() => {
        if (this.#unclaimed.get(signal) === at && this.#acts.state() !== 'over') alone()
      }, CLAIM_MS).unref()
  }

  /** The launcher got a signal. */
  async ofLauncher(signal: NodeJS.Signals): Promise<void> {
    // The group's signal came to this process before the message. But the wait that the message ended may have ended just
    // before the signal's handler ran, so that Node tells of the signal after its next look at what there is.
    for (let i = 0; i < TURNS; i++) await turn()
    const groupAt = this.#unclaimed.get(signal) ?? -Infinity
    this.#unclaimed.delete(signal)
    const reached = performance.now() - groupAt < CLAIM_MS
    const state = this.#acts.state()
    if (state !== 'running') {
      if (ending.includes(signal)) this.#acts.cancel()
      else if (signal === 'SIGTSTP' && state === 'before') this.#signalLauncher('SIGSTOP')
      return
    }
    if (signal === 'SIGINT' && this.#again()) return this.#acts.kill()
    if (reached || (signal === 'SIGCONT' && !this.#stopped)) return
    this.#acts.signalProgram(signal)
  }

  /** The launcher is this process's parent; when it is gone there is nobody to stop. */
  #signalLauncher(signal: 'SIGSTOP' | 'SIGCONT'): void {
    if (this.#acts.launcher === process.ppid) process.kill(process.ppid, signal)
  }

  #again(): boolean {
    const now = performance.now()
    const since = now - this.#interruptedAt
    if (since >= SAME_MS) this.#interruptedAt = now
    return since >= SAME_MS && since < AGAIN_MS
  }

  /** The program has stopped. */
  stopped(): void {
    this.#stopped = true
    this.#signalLauncher('SIGSTOP')
  }

  /** The program goes on, or has ended: its launcher must not stay stopped. */
  continued(): void {
    if (this.#stopped) this.#signalLauncher('SIGCONT')
    this.#stopped = false
  }
}
