import {readdirSync, statSync} from 'node:fs'
import path from 'node:path'
import type {ErrorReport} from '../errors/mirrord-error.ts'
import {bootId, isAlive} from '../util/process.ts'
import {deferred, delay, within} from '../util/time.ts'
import {connectControl, type ControlReply} from './control.ts'
import {SessionStore, type SessionDirectory, type SessionRecord} from './state.ts'
import {tailOf} from '../util/tail.ts'

/** A session that was stopped, or was found ended. */
export interface StoppedSession {
  id: string
  program: string
  target?: string
  outputDirectory?: string
  /** What went wrong during the run; absent for a session that ran until this stop. */
  failure?: ErrorReport
}

/** Time that a session may need beyond the grace for closing the agent; after it, it is killed. */
const TEARDOWN_MS = 30_000
/** A directory without a record: its session is just being born, or died at birth. */
const BIRTH_MS = 5000
/** Records of other jobs' dead sessions are kept for their own `ci stop`, but not for ever. */
const STALE_MS = 24 * 3600 * 1000

/** Ends a stop's grace early; the CLI aborts it when it is itself being cancelled. */
export interface StopOptions {
  graceMs: number
  /** Aborting cuts the remaining grace to 2 s: a cancelled CI job has about 7 s (design 5). */
  hurry?: AbortSignal
}

/** Stops every session of the job, all at once; also safe while another stop does the same. */
export async function stopSessions(store: SessionStore, options: StopOptions): Promise<StoppedSession[]> {
  const stopped = await Promise.all(store.list().map((directory) => stopSession(directory, options)))
  store.prune()
  return stopped.filter((session) => session !== undefined)
}

async function stopSession(directory: SessionDirectory, options: StopOptions): Promise<StoppedSession | undefined> {
  const record = await readBorn(directory)
  if (!record) {
    directory.remove()
    return undefined
  }
  const failure = isAlive(record.session) ? await askToStop(directory, record, options) : deadFailure(record)
  directory.remove()
  return {
    id: record.id,
    program: record.program,
    target: record.target,
    outputDirectory: record.outputDirectory,
    failure,
  }
}

async function readBorn(directory: SessionDirectory): Promise<SessionRecord | undefined> {
  for (let waited = 0; ; waited += 50) {
    const record = directory.read()
    if (record || waited >= BIRTH_MS) return record
    try {
      if (Date.now() - statSync(directory.path).mtimeMs > BIRTH_MS) return undefined
    } catch {
      return undefined
    }
    await delay(50)
  }
}

async function askToStop(
  directory: SessionDirectory,
  record: SessionRecord,
  options: StopOptions,
): Promise<ErrorReport | undefined> {
  const ended = deferred<ControlReply | undefined>()
  const control = await connectWhenServed(directory, record, {
    reply: ended.resolve,
    closed: () => ended.resolve(undefined),
  })
  if (!control) return deadFailure(directory.read() ?? record)
  const hurry = () => control.send({type: 'hurry', graceMs: 2000})
  options.hurry?.addEventListener('abort', hurry)
  control.send({type: 'stop', graceMs: options.hurry?.aborted ? 2000 : options.graceMs})
  const reply = await within(options.graceMs + TEARDOWN_MS, ended.promise)
  options.hurry?.removeEventListener('abort', hurry)
  control.close()
  if (reply?.type === 'stopped') {
    await gone(record, 5000)
    return reply.failure
  }
  if (isAlive(record.session)) {
    // It neither answered nor ended: its death makes the trap end the program's tree and the agent leave.
    process.kill(record.session.pid, 'SIGKILL')
    await gone(record, 5000)
  }
  return deadFailure(directory.read() ?? record)
}

/** The session serves its socket a moment after it wrote its record. */
async function connectWhenServed(
  directory: SessionDirectory,
  record: SessionRecord,
  handlers: Parameters<typeof connectControl>[1],
): Promise<Awaited<ReturnType<typeof connectControl>> | undefined> {
  for (let waited = 0; waited < BIRTH_MS && isAlive(record.session); waited += 50) {
    try {
      return await connectControl(directory.socket, handlers)
    } catch {
      await delay(50)
    }
  }
  return undefined
}

async function gone(record: SessionRecord, ms: number): Promise<void> {
  for (let waited = 0; waited < ms && (isAlive(record.session) || (record.trap && isAlive(record.trap))); waited += 20)
    await delay(20)
}

/** The report of a session whose process no longer runs. */
function deadFailure(record: SessionRecord): ErrorReport | undefined {
  if (record.state === 'ended') return record.failure
  return {
    code: 'SESSION_LOST',
    exit: 'programCrashed',
    what: `The session of ${record.program} (${record.id}) ended without being stopped.`,
    why: 'Its process was killed or the machine ran out of memory; the program was ended with it.',
    next: ['What ran against the service after that moment did not meet the local program: run it again.'],
    detail: record.outputDirectory && (tailOf(path.join(record.outputDirectory, 'mirrord.log'), 20) || undefined),
  }
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
      if (!record || isAlive(record.session)) continue
      if (record.session.bootId !== bootId() || Date.now() - Date.parse(record.createdAt) > STALE_MS) directory.remove()
    }
    store.prune()
  }
}
