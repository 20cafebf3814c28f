import {exitCodes} from '../errors/exit-codes.ts'
import type {StoppedSession} from '../session/stop.ts'
import {colorFor} from '../util/color.ts'
import {formatReport} from './report.ts'

/** Prints what was stopped; the result is the exit code: that of the first session that had failed, else 0. */
export function reportStop(stopped: readonly StoppedSession[]): number {
  if (stopped.length === 0) process.stdout.write('Nothing to stop: no mirrord session of this job is running.\n')
  for (const session of stopped) {
    const target = session.target ? ` (${session.target})` : ''
    process.stdout.write(
      `${session.failure ? 'Removed' : 'Stopped'} ${session.program}${target}${session.outputDirectory ? `, output in ${session.outputDirectory}` : ''}\n`,
    )
    if (session.failure) process.stderr.write(`${formatReport(session.failure, colorFor(process.stderr))}\n`)
  }
  const failure = stopped.find((session) => session.failure)?.failure
  return failure ? exitCodes[failure.exit].code : 0
}
