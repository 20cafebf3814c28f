import {cancelledBy, exitCodes} from '../errors/exit-codes.ts'
import type {StoppedSession} from '../session/stop.ts'

/** What decides the exit code besides the sessions themselves. */
export interface StopVerdict {
  /** False: what failed during the run is told, and does not fail the stop. */
  failOnError: boolean
  /** The signal that cancelled the stop. */
  cancelled?: NodeJS.Signals
}

/** Prints what was stopped; the result is the exit code: that of the first session that had failed, else 0. */
export async function reportStop(
  stopped: readonly StoppedSession[],
  {failOnError, cancelled}: StopVerdict,
): Promise<number> {
  if (stopped.length === 0) {
    process.stdout.write('Nothing to stop: no mirrord session of this job is running.\n')
    return 0
  }
  const [{logGroup}, {showFailure}] = await Promise.all([import('./ci-log.ts'), import('./failure.ts')])
  const group = logGroup('mirrord ci stop', process.stdout, process.env)
  for (const session of stopped) {
    group.open()
    process.stdout.write(`${line(session)}
`)
  }
  group.close()
  // After the group: what failed must be seen without opening it.
  const failures = stopped.flatMap(({failure}) => failure ?? [])
  for (const failure of failures) showFailure(failure, process.stderr, process.env)
  if (stopped.some(({unfinished}) => unfinished)) return exitCodes[cancelledBy(cancelled)].code
  // What failed in the run may be waived; what this stop could not do may not.
  const failure = failOnError ? failures[0] : failures.find(({code}) => code === 'SESSION_NOT_STOPPED')
  return failure ? exitCodes[failure.exit].code : 0
}

function line({name, target, outputDirectory, failure, endedBefore, unfinished}: StoppedSession): string {
  const what = `${name}${target ? ` (${target})` : ''}`
  const output = outputDirectory ? `, output in ${outputDirectory}` : ''
  if (unfinished) return `Left ${what}, which is still ending by itself${output}`
  if (endedBefore) return `Removed ${what}: its program had ended with status 0 before this stop${output}`
  return `${failure ? (failure.code === 'SESSION_NOT_STOPPED' ? 'Kept' : 'Removed') : 'Stopped'} ${what}${output}`
}
