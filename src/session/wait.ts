import {constants} from 'node:os'
import type {ErrorReport} from '../errors/mirrord-error.ts'
import {deferred, within} from '../util/time.ts'
import type {FoundSession} from './lookup.ts'
import type {SessionRecord} from './state.ts'
import {watchSession} from './watch.ts'

/** What can be waited for: that the program is ready, or that it and its session have ended. */
export type Goal = 'ready' | 'exit'

/** How waiting for one session ended: `failure`, or for the goal `exit` the program's own status (128 + n for signal n). */
export interface Waited {
  record: SessionRecord
  status?: number
  failure?: ErrorReport
}

/** What a record says about the goal; undefined while it is still open. */
export function judge(record: SessionRecord, goal: Goal): Waited | undefined {
  if (goal === 'ready' && record.state === 'ready') return {record, status: 0}
  if (record.state !== 'ended') return undefined
  if (record.endedBy === 'request') return {record, failure: stoppedMeanwhile(record)}
  if (goal === 'ready') return {record, failure: record.failure ?? endedBeforeReady(record)}
  const status = statusOf(record)
  // What failed beside a program that ended well: files that did not reach the target.
  if (record.endedBy === 'program' && status !== undefined && (status !== 0 || !record.failure)) return {record, status}
  return {record, failure: record.failure ?? unknownStatus(record)}
}

/**
 * Waits for all of the sessions, by what they push. For `ready` the first that fails ends the waiting; for `exit` all of them
 * have to end. The result has those that are decided, in the order in which they were; the others are still open after
 * `timeoutMs`.
 */
export async function waitForSessions(
  sessions: readonly FoundSession[],
  goal: Goal,
  timeoutMs?: number,
): Promise<{waited: Waited[]; open: SessionRecord[]}> {
  const waited: Waited[] = []
  const enough = new AbortController()
  const failed = deferred<void>()
  const all = Promise.all(
    sessions.map(async (session) => {
      const decided = deferred<void>()
      let done = false
      const look = (record: SessionRecord) => {
        const result = done ? undefined : judge(record, goal)
        if (!result) return
        done = true
        waited.push(result)
        if (goal === 'ready' && result.failure) failed.resolve()
        decided.resolve()
      }
      await Promise.race([decided.promise, watchSession(session, look, enough.signal)])
    }),
  )
  const over = Promise.race([all, failed.promise])
  await (timeoutMs === undefined ? over : within(timeoutMs, over))
  const result = [...waited]
  enough.abort()
  await all
  const known = new Set(result.map(({record}) => record.id))
  return {waited: result, open: sessions.map(({record}) => record).filter(({id}) => !known.has(id))}
}

function statusOf({exit}: SessionRecord): number | undefined {
  return exit?.signal ? 128 + constants.signals[exit.signal] : exit?.code
}

function stoppedMeanwhile({name}: SessionRecord): ErrorReport {
  return {
    code: 'SESSION_STOPPED',
    exit: 'sessionStopped',
    what: `The session ${name} was stopped while it was waited for.`,
    why: '`mirrord ci stop` ended it, or its start was cancelled.',
    next: ['Stop sessions only when nothing waits for them any more.'],
  }
}

function endedBeforeReady({name, readyAt}: SessionRecord): ErrorReport {
  return {
    code: 'PROGRAM_ENDED',
    exit: readyAt ? 'programCrashed' : 'programDied',
    what: `The program of session ${name} has ended${readyAt ? '' : ' before it was ready'}.`,
    why: 'It exited with status 0.',
    next: ['To wait for the end of a program that is meant to end: mirrord ci wait --for exit'],
  }
}

function unknownStatus({name}: SessionRecord): ErrorReport {
  return {
    code: 'STATUS_UNKNOWN',
    exit: 'programCrashed',
    what: `How the program of session ${name} ended is unknown.`,
    next: ['Read its output: mirrord ci logs'],
  }
}
