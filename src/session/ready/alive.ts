import {delay} from '../../util/time.ts'
import type {Probe} from './probe.ts'

/** A program counts as started when it has lived this long (ruling R8): most that cannot run end at once. */
const ALIVE_MS = 1000

/** The program lives; its death ends the session, and with it every probe. */
export function aliveProbe(): Probe {
  return {
    label: 'the program to live for a second',
    hints: [],
    async wait(signal) {
      await delay(ALIVE_MS, signal)
      signal.throwIfAborted()
      return 'it is alive'
    },
  }
}
