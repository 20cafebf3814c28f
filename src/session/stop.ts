import {readdirSync} from 'node:fs'
import path from 'node:path'
import type {ErrorReport} from '../errors/mirrord-error.ts'
import {bootId, exists, isAlive, uncollectedOrphans} from '../util/process.ts'
import {deferred, delay, within} from '../util/time.ts'
import {leftReport} from './left-report.ts'
import {connectControl, type ControlReply} from './control.ts'
import {SessionStore, type SessionDirectory, type SessionRecord} from './state.ts'
import {tailOf} from '../util/tail.ts'

/** A session that was stopped, or was found ended. */
export interface StoppedSession {
  /** What was known of it before the stop. */
  record: SessionRecord
  /** Its `report.json` as last written. */
  reportText?: string
  id: string
  program: string
  target?: string
  outputDirectory?: string
  /** What went wrong during the run; absent for a session that ran until this stop. */
  failure?: ErrorReport
}

/** Time that a session may need beyond the grace for closing the agent; after it, it is killed. */
const TEARDOWN_MS = 45_000
/** A directory without a record: its session is just being born, or died at birth. */
const BIRTH_MS = 5000
/** What is left of a session's processes after it has ended is gone within this time. */
const GONE_MS = 5000
/** For init to collect what has ended. */
const COLLECT_MS = 5000
/** An init that has left a zombie of this age will not collect ours either. */
const OLD_ORPHAN_S = 60
/** Records of other jobs' dead sessions are kept for their own `ci stop`, but not for ever. */
const STALE_MS = 24 * 3600 * 1000

/** Ends a stop's grace early; the CLI aborts it when it is itself being cancelled. */
export interface StopOptions {
  graceMs: number
  /** Aborting cuts the remaining grace to 2 s: a cancelled CI job has about 7 s (design 5). */
  hurry?: AbortSignal
  /** How long a session may take beyond the grace before it is killed. Default 45,000. */
  teardownMs?: number
  /** How long a session may exist without having said what it is. Default 5,000. */
  birthMs?: number
}

/** Stops every session of the job, all at once; also safe while another stop does the same. */
export async function stopSessions(store: SessionStore, options: StopOptions): Promise<StoppedSession[]> {
  const stopped = await Promise.all(store.list().map((directory) => stopSession(directory, options)))
  store.prune()
  return stopped.filter((session) => session !== undefined)
}

async function stopSession(directory: SessionDirectory, options: StopOptions): Promise<StoppedSession | undefined> {
  const record = await readBorn(directory, options.birthMs ?? BIRTH_MS)
  if (!record) {
    directory.remove()
    return undefined
  }
  const failure = isAlive(record.session) ? await askToStop(directory, record, options) : await afterDeath(directory)
  await collected(directory.read() ?? record, options.hurry)
  const reportText = leftReport(directory, record)
  directory.remove()
  return {
    record,
    reportText,
    id: record.id,
    program: record.program,
    target: record.target,
    outputDirectory: record.outputDirectory,
    failure,
  }
}

async function readBorn(directory: SessionDirectory, birthMs: number): Promise<SessionRecord | undefined> {
  for (let waited = 0; ; waited += 50) {
    const record = directory.read()
    if (record || waited >= birthMs) return record
    const {changedAt} = directory
    if (changedAt === undefined || Date.now() - changedAt > birthMs) return undefined
    await delay(50)
  }
}

async function askToStop(
  directory: SessionDirectory,
  record: SessionRecord,
  options: StopOptions,
): Promise<ErrorReport | undefined> {
  const birthMs = options.birthMs ?? BIRTH_MS
  const ended = deferred<ControlReply | undefined>()
  let closed = false
  const control = await connectWhenServed(directory, record, birthMs, {
    reply: ended.resolve,
    closed: () => {
      closed = true
      ended.resolve(undefined)
    },
  })
  if (!control) return isAlive(record.session) ? end(directory.read() ?? record, birthMs) : afterDeath(directory)
  const hurry = () => control.send({type: 'hurry', graceMs: 2000})
  options.hurry?.addEventListener('abort', hurry)
  control.send({type: 'stop', graceMs: options.hurry?.aborted ? 2000 : options.graceMs})
  const deadline = options.graceMs + (options.teardownMs ?? TEARDOWN_MS)
  const reply = await within(deadline, ended.promise)
  options.hurry?.removeEventListener('abort', hurry)
  control.close()
  if (reply?.type === 'stopped') {
    await gone(directory.read() ?? record, GONE_MS)
    return reply.failure
  }
  const left = directory.read() ?? record
  // A connection that was closed without an answer is a session that is dying; only a silent one is hung.
  return (await gone(left, closed ? GONE_MS : 0)) ? afterDeath(directory) : end(left, deadline)
}

/** Kills a session that hangs: its death makes the trap end the program's tree, and the agent leave. */
async function end(record: SessionRecord, waited: number): Promise<ErrorReport> {
  try {
    process.kill(record.session.pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
  await gone(record, GONE_MS)
  return hung(record, waited)
}

/** The session serves its socket a moment after it wrote its record. */
export async function connectWhenServed(
  directory: SessionDirectory,
  record: SessionRecord,
  birthMs: number,
  handlers: Parameters<typeof connectControl>[1],
): Promise<Awaited<ReturnType<typeof connectControl>> | undefined> {
  for (let waited = 0; waited < birthMs && isAlive(record.session); waited += 50) {
    try {
      return await connectControl(directory.socket, handlers)
    } catch {
      await delay(50)
    }
  }
  return undefined
}

/**
 * Waits until init has collected the ended processes, so that the process table is as it was. Most do it at once; some
 * containers have one that takes seconds, or never does, which is not worth more than a moment.
 */
async function collected({session, trap}: SessionRecord, hurry: AbortSignal | undefined): Promise<void> {
  const own = [session.pid, trap?.pid]
  if (uncollectedOrphans(OLD_ORPHAN_S).some((pid) => !own.includes(pid))) return
  const left = () => exists(session) || (trap !== undefined && exists(trap))
  for (let waited = 0; waited < COLLECT_MS && !hurry?.aborted && left(); waited += 20) await delay(20)
}

/** Waits until the session and its trap, and with it the program's tree, are gone; false when they are not in time. */
export async function gone(record: SessionRecord, ms: number): Promise<boolean> {
  const left = () => isAlive(record.session) || (record.trap !== undefined && isAlive(record.trap))
  for (let waited = 0; left(); waited += 20) {
    if (waited >= ms) return false
    await delay(20)
  }
  return true
}

/**
 * The report of a session whose process no longer runs, by the last record: one that has removed its directory ended as it
 * was asked to, or was reported by another stop.
 */
async function afterDeath(directory: SessionDirectory): Promise<ErrorReport | undefined> {
  const record = directory.read()
  if (!record) return undefined
  await gone(record, GONE_MS)
  return record.state === 'ended' ? record.failure : lost(record)
}

/** The report of a session whose process ended without a word. */
export function lost(record: SessionRecord): ErrorReport {
  return {
    code: 'SESSION_LOST',
    exit: 'programCrashed',
    what: `The session of ${record.program} (${record.id}) ended without being stopped.`,
    why: 'Its process was killed or the machine ran out of memory; the program was ended with it.',
    next: ['What ran against the service after that moment did not meet the local program: run it again.'],
    detail: logTail(record),
  }
}

function hung(record: SessionRecord, ms: number): ErrorReport {
  return {
    code: 'SESSION_HUNG',
    exit: 'unexpected',
    what: `The session of ${record.program} (${record.id}) did not end within ${ms / 1000} s and was killed.`,
    why: 'Its process hangs, or the cluster does not answer. Its agent leaves by itself.',
    next: ['See whether the cluster answers: kubectl get pods.'],
    detail: logTail(record),
  }
}

function logTail(record: SessionRecord): string | undefined {
  return record.outputDirectory && (tailOf(path.join(record.outputDirectory, 'mirrord.log'), 20) || undefined)
}

/** Removes what dead sessions of other jobs of this user left: from another boot, or older than a day. */
export function reapStale(root: string, ownJob: string): void {
  let jobs: string[]
  try {
    jobs = readdirSync(root)
  } catch {
    return // no sessions yet
  }
  for (const job of jobs.filter((name) => /^[\da-f]{8}$/.test(name) && name !== ownJob)) {
    const store = new SessionStore(root, job)
    for (const directory of store.list()) {
      const record = directory.read()
      if (record && isAlive(record.session)) continue
      const born = record ? Date.parse(record.createdAt) : (directory.changedAt ?? Date.now())
      if ((record && record.session.bootId !== bootId()) || Date.now() - born > STALE_MS) directory.remove()
    }
    store.prune()
  }
}
