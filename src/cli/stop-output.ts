import {cancelledBy, exitCodes} from '../errors/exit-codes.ts'
import type {StoppedSession} from '../session/stop.ts'
import {errorJson} from './error-json.ts'

/** What decides the exit code besides the sessions themselves. */
export interface StopVerdict {
  /** False: what failed during the run is told, and does not fail the stop. */
  failOnError: boolean
  /** The signal that cancelled the stop. */
  cancelled?: NodeJS.Signals
}

/** Prints what was stopped, and what had failed on stderr; with `json` nothing on stdout. */
export async function showStop(stopped: readonly StoppedSession[], json: boolean): Promise<void> {
  if (stopped.length === 0) {
    if (!json) process.stdout.write('Nothing to stop: no mirrord session of this job is running.\n')
    return
  }
  const [{logGroup}, {showFailure}] = await Promise.all([import('./ci-log.ts'), import('./failure.ts')])
  const group = logGroup('mirrord ci stop', process.stdout, process.env)
  for (const session of json ? [] : stopped) {
    group.open()
    process.stdout.write(`${line(session)}
`)
  }
  group.close()
  // After the group: what failed must be seen without opening it.
  for (const {warnings = []} of stopped) for (const warning of warnings) process.stderr.write(`! ${warning}\n`)
  for (const {failure} of stopped)
    if (failure) showFailure(failure, {stream: process.stderr, env: process.env, argv: ['ci', 'stop']})
}

/** The exit code of a stop: that of the first session that had failed, else 0. */
export function stopStatus(stopped: readonly StoppedSession[], {failOnError, cancelled}: StopVerdict): number {
  if (stopped.some(({unfinished}) => unfinished)) return exitCodes[cancelledBy(cancelled)].code
  // What failed in the run may be waived; what this stop could not do may not.
  const failures = stopped.flatMap(({failure}) => failure ?? [])
  const failure = failOnError ? failures[0] : failures.find(({code}) => code === 'SESSION_NOT_STOPPED')
  return failure ? exitCodes[failure.exit].code : 0
}

/** The same for programs. `status` is the exit code. */
export function stopJson(
  stopped: readonly StoppedSession[],
  {reports, status, orphans}: {reports: readonly string[]; status: number; orphans?: object},
): string {
  const sessions = stopped.map((session) => {
    const {id, name, program, target, outputDirectory, failure} = session
    const warnings = session.warnings?.length ? session.warnings : undefined
    const error = failure && errorJson(failure)
    return {id, name, program, target, outputDirectory, result: result(session), error, warnings}
  })
  return JSON.stringify({sessions, reports, orphans, exit: status}, undefined, 2)
}

/** What became of a session; an ended one was there no more, a kept one could not be stopped. */
function result({
  failure,
  endedBefore,
  unfinished,
}: StoppedSession): 'stopped' | 'ended' | 'failed' | 'kept' | 'ending' {
  if (unfinished) return 'ending'
  if (endedBefore) return 'ended'
  if (!failure) return 'stopped'
  return failure.code === 'SESSION_NOT_STOPPED' ? 'kept' : 'failed'
}

function line({name, target, outputDirectory, failure, endedBefore, unfinished}: StoppedSession): string {
  const what = `${name}${target ? ` (${target})` : ''}`
  const output = outputDirectory ? `, output in ${outputDirectory}` : ''
  if (unfinished) return `Left ${what}, which is still ending by itself${output}`
  if (endedBefore) return `Removed ${what}: its program had ended with status 0 before this stop${output}`
  return `${failure ? (failure.code === 'SESSION_NOT_STOPPED' ? 'Kept' : 'Removed') : 'Stopped'} ${what}${output}`
}
