import {exitCodes} from '../errors/exit-codes.ts'
import type {StoppedSession} from '../session/stop.ts'
import {logGroup} from './ci-log.ts'
import {showFailure} from './failure.ts'

/** Prints what was stopped; the result is the exit code: that of the first session that had failed, else 0. */
export function reportStop(stopped: readonly StoppedSession[]): number {
  if (stopped.length === 0) process.stdout.write('Nothing to stop: no mirrord session of this job is running.\n')
  const group = logGroup('mirrord ci stop', process.stdout, process.env)
  for (const session of stopped) {
    group.open()
    const target = session.target ? ` (${session.target})` : ''
    process.stdout.write(
      `${session.failure ? 'Removed' : 'Stopped'} ${session.program}${target}${session.outputDirectory ? `, output in ${session.outputDirectory}` : ''}\n`,
    )
  }
  group.close()
  // After the group: what failed must be seen without opening it.
  const failures = stopped.flatMap(({failure}) => failure ?? [])
  for (const failure of failures) showFailure(failure, process.stderr, process.env)
  return failures[0] ? exitCodes[failures[0].exit].code : 0
}
