import {exitCodes} from '../errors/exit-codes.ts'
import type {ErrorReport} from '../errors/mirrord-error.ts'
import type {SessionRecord} from '../session/state.ts'
import type {Goal, Waited} from '../session/wait.ts'
import {colorFor} from '../util/color.ts'
import {tolerate} from './pipe.ts'
import {formatReport} from './report.ts'

/** Prints how waiting ended; the result is the exit code: the first that is not 0. */
export function reportWait(
  {waited, open}: {waited: readonly Waited[]; open: readonly SessionRecord[]},
  goal: Goal,
  seconds: number | undefined,
): number {
  let code = 0
  tolerate(process.stderr)
  const fail = (report: ErrorReport) => {
    process.stderr.write(`${formatReport(report, colorFor(process.stderr))}\n`)
    code ||= exitCodes[report.exit].code
  }
  for (const {record, status, failure} of waited) {
    if (failure) fail(failure)
    else if (goal === 'ready') process.stdout.write(`${record.name} is ready\n`)
    else {
      const {signal} = record.exit ?? {}
      process.stdout.write(`${record.name} ${signal ? `was ended by ${signal}` : `exited with status ${status}`}\n`)
      code ||= status ?? 0
    }
  }
  // What was still open when another failed is not late.
  if (waited.length + open.length === 0) fail(nothing())
  else if (code === 0) for (const {name} of open) fail(late(name, goal, seconds))
  return code
}

function nothing(): ErrorReport {
  return {
    code: 'SESSION_NOT_FOUND',
    exit: 'sessionNotFound',
    what: 'There is no session to wait for.',
    why: 'This job has none: none was started, or they were stopped.',
    next: ['Start one with `mirrord ci start`, in the same job: MIRRORD_CI_JOB overrides what tells jobs apart.'],
  }
}

function late(name: string, goal: Goal, seconds: number | undefined): ErrorReport {
  const what = goal === 'ready' ? `The session ${name} was not ready` : `The program of session ${name} had not ended`
  return {
    code: goal === 'ready' ? 'PROGRAM_NOT_READY' : 'PROGRAM_RUNNING',
    exit: goal === 'ready' ? 'programNotReady' : 'programRunning',
    what: `${what} after ${seconds} s.`,
    next: ['Give it more time with --timeout SECONDS, or read its output: mirrord ci logs'],
  }
}
