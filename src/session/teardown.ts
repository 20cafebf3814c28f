import {within} from '../util/time.ts'
import type {Log} from './log.ts'

interface Step {
  name: string
  ms: number
  run(): Promise<void> | void
}

/**
 * What has to be undone at the end, in reverse order of how it was made. Every step has a time of its own and runs whatever
 * became of the others.
 */
export class Teardown {
  readonly #steps: Step[] = []
  readonly #log: Log

  constructor(log: Log) {
    this.#log = log
  }

  /** Registers a step; `ms` bounds how long the others wait for it. */
  add(name: string, ms: number, run: () => Promise<void> | void): void {
    this.#steps.push({name, ms, run})
  }

  /** Runs every step once, last registered first. Failures are logged, never thrown. */
  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      const {name, ms, run} = step
      const started = Date.now()
      try {
        const done = await within(
          ms,
          Promise.resolve(run()).then(() => true),
        )
        this.#log(`end: ${name} ${done ? 'done' : `not done after ${ms} ms`} (${Date.now() - started} ms)`)
      } catch (error) {
        this.#log(`end: ${name} failed: ${(error as Error).message}`)
      }
    }
  }
}
