import {deferred} from '../util/time.ts'
import {isRunning} from './liveness.ts'
import type {FoundSession} from './lookup.ts'
import type {SessionRecord} from './state.ts'
import {lost} from './stop-failures.ts'
import {connectWhenServed, gone} from './stop-session.ts'

/** A session serves its socket a moment after it wrote its record. */
const BIRTH_MS = 5000
/** A session that died is gone from the process table within this time of its socket's end. */
const GONE_MS = 5000

/**
 * Follows a session's record to its end: `tell` gets it now and at each change, pushed by the session. Resolves with the last one,
 * whose state is `ended` in every case: a session that died without a word gets the report SESSION_LOST.
 */
export async function watchSession(
  {directory, record}: FoundSession,
  tell: (record: SessionRecord) => void,
  signal?: AbortSignal,
): Promise<SessionRecord> {
  let last = record
  const closed = deferred<void>()
  const control = (await isRunning(directory, record))
    ? await connectWhenServed(directory, record, BIRTH_MS, {
        reply: (reply) => {
          if (reply.type !== 'status') return
          last = reply.record
          tell(last)
        },
        closed: closed.resolve,
      })
    : undefined
  if (control) {
    const leave = () => {
      control.close()
      closed.resolve()
    }
    signal?.addEventListener('abort', leave, {once: true})
    if (signal?.aborted) leave()
    control.send({type: 'watch'})
    await closed.promise
    signal?.removeEventListener('abort', leave)
    if (signal?.aborted) return last
  }
  await gone(directory, last, GONE_MS)
  const onDisk = directory.read() ?? (directory.damage === undefined ? undefined : last)
  const final = afterwards(onDisk, last)
  tell(final)
  return final
}

/** What became of a session that no longer runs, by its record on disk, which is gone when a stop has removed it. */
function afterwards(onDisk: SessionRecord | undefined, last: SessionRecord): SessionRecord {
  const record = onDisk ?? last
  if (record.state === 'ended') return record
  // Its own end or a stop removed the record after the last push: only what was asked to end leaves none.
  if (!onDisk) return {...record, state: 'ended', endedBy: record.endedBy ?? 'request'}
  return {...record, state: 'ended', endedBy: 'failure', failure: record.failure ?? lost(record)}
}
