import {exists, isAlive, uncollectedOrphans, whereabouts} from '../util/process.ts'
import {deferred, delay, within} from '../util/time.ts'
import {connectControl, type ControlReply, type LastWord} from './control.ts'
import {removeLeft} from './left-container.ts'
import {leftReport} from './left-report.ts'
import {knownRecord} from './known-record.ts'
import {isRunning, serves} from './liveness.ts'
import {isLaunching} from './naming.ts'
import type {SessionDirectory, SessionRecord} from './state.ts'
import {hung, lost, notStopped} from './stop-failures.ts'
import type {StoppedSession, StopOptions} from './stop.ts'

/** Time that a session may need beyond the grace for closing the agent; after it, it is killed. */
const TEARDOWN_MS = 45_000
/** A directory without a record: its session is just being born, or died at birth. */
const BIRTH_MS = 5000
/** A start that still runs may need this long on a busy machine until its session says what it is. */
const LAUNCH_MS = 30_000
/** What is left of a session's processes after it has ended is gone within this time. */
const GONE_MS = 5000
/** For init to collect what has ended. */
const COLLECT_MS = 5000
/** An init that has left a zombie of this age will not collect ours either. */
const OLD_ORPHAN_S = 60
/** Of a session whose record does not say it: an older version's. */
const DEFAULT_GRACE_MS = 10_000
/** The grace that a cancelled stop leaves the program. */
const HURRY_GRACE_MS = 2000
/** A cancelled stop returns after this time: GitHub kills 7.5 s after its SIGINT, 2.5 s of them after its SIGTERM. */
const HURRY_MS = 6000

/** Stops one session; undefined when there was none in the directory, or none that this machine can know of. */
export async function stopSession(
  directory: SessionDirectory,
  options: StopOptions,
): Promise<StoppedSession | undefined> {
  const record = await readBorn(directory, options)
  if (!record) {
    directory.remove()
    return undefined
  }
  if (whereabouts(record.session) === 'other-machine') return undefined
  const told: StoppedSession = {
    record,
    id: record.id,
    name: record.name,
    program: record.program,
    target: record.target,
    outputDirectory: record.outputDirectory,
  }
  const end = finish(directory, record, options).then(
    (ended) => ({...told, ...ended}),
    // One session that cannot be ended must not keep the others from it; its state is kept for another try.
    (error: unknown) => ({...told, failure: notStopped(record, error)}),
  )
  return Promise.race([end, cut(options.hurry).then(() => ({...told, unfinished: true}))])
}

async function finish(
  directory: SessionDirectory,
  record: SessionRecord,
  options: StopOptions,
): Promise<Pick<StoppedSession, 'failure' | 'endedBefore' | 'reportText' | 'warnings'>> {
  const {failure, warnings, report} = (await isRunning(directory, record))
    ? await askToStop(directory, record, options)
    : await afterDeath(directory, record)
  const last = directory.read()
  await collected(last ?? record, options.hurry)
  const reportText = report ?? leftReport(directory, record)
  directory.remove()
  // Only a session that ended by itself keeps its record.
  const endedBefore = !failure && last?.state === 'ended'
  return {failure, warnings, reportText, endedBefore: endedBefore || undefined}
}

/** Resolves when a cancelled stop has no more time. */
async function cut(hurry: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    if (hurry?.aborted) resolve()
    else hurry?.addEventListener('abort', () => resolve(), {once: true})
  })
  await new Promise<void>((resolve) => void setTimeout(resolve, HURRY_MS).unref())
}

async function readBorn(
  directory: SessionDirectory,
  {birthMs = BIRTH_MS}: StopOptions,
): Promise<SessionRecord | undefined> {
  // Nothing tells of a file in a directory that works on every file system, and the wait is a rare one.
  for (let waited = 0; ; waited += 50) {
    const record = await knownRecord(directory)
    if (record) return record
    const claim = directory.readClaim()
    const launching = claim !== undefined && isLaunching(directory, claim)
    if (waited >= (launching ? LAUNCH_MS : birthMs)) return undefined
    const {changedAt} = directory
    if (changedAt === undefined || (!launching && Date.now() - changedAt > birthMs)) return undefined
    await delay(50)
  }
}

async function askToStop(directory: SessionDirectory, record: SessionRecord, options: StopOptions): Promise<LastWord> {
  const {graceMs = record.graceMs ?? DEFAULT_GRACE_MS, signal, hurry} = options
  const birthMs = options.birthMs ?? BIRTH_MS
  const ended = deferred<ControlReply | undefined>()
  let closed = false
  const control = await connectWhenServed(directory, record, birthMs, {
    reply: (reply) => reply.type === 'stopped' && ended.resolve(reply),
    closed: () => {
      closed = true
      ended.resolve(undefined)
    },
  })
  if (!control)
    return (await isRunning(directory, record)) ? end(directory, record, birthMs) : afterDeath(directory, record)
  const cancelled = () => control.send({type: 'hurry', graceMs: HURRY_GRACE_MS})
  hurry?.addEventListener('abort', cancelled)
  control.send({type: 'stop', graceMs: hurry?.aborted ? HURRY_GRACE_MS : graceMs, signal})
  const deadline = graceMs + (options.teardownMs ?? TEARDOWN_MS)
  const reply = await within(deadline, ended.promise)
  hurry?.removeEventListener('abort', cancelled)
  control.close()
  if (reply?.type === 'stopped') {
    await gone(directory, directory.read() ?? record, GONE_MS)
    return reply
  }
  const left = directory.read() ?? record
  // A connection that was closed without an answer is a session that is dying; only a silent one is hung.
  return (await gone(directory, left, closed ? GONE_MS : 0))
    ? afterDeath(directory, left)
    : end(directory, left, deadline)
}

/** Kills a session that hangs: its death makes the trap end the program's tree, and the agent leave. */
async function end(directory: SessionDirectory, record: SessionRecord, waited: number): Promise<LastWord> {
  // Its number may have become another process's since it was looked at last; in another container it always is.
  if (isAlive(record.session)) {
    try {
      process.kill(record.session.pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  } else if (await isRunning(directory, record))
    throw new Error('It hangs, and its process cannot be seen from here (another container): end that one.')
  await gone(directory, record, GONE_MS)
  await removeLeft(record)
  return {failure: hung(record, waited)}
}

/** The session serves its socket a moment after it wrote its record. */
export async function connectWhenServed(
  directory: SessionDirectory,
  record: SessionRecord,
  birthMs: number,
  handlers: Parameters<typeof connectControl>[1],
): Promise<Awaited<ReturnType<typeof connectControl>> | undefined> {
  for (let waited = 0; waited < birthMs && (await isRunning(directory, record)); waited += 50) {
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
export async function gone(directory: SessionDirectory, {session, trap}: SessionRecord, ms: number): Promise<boolean> {
  const elsewhere = whereabouts(session) === 'other-container'
  const left = async () =>
    isAlive(session) || (trap !== undefined && isAlive(trap)) || (elsewhere && (await serves(directory.socket)))
  for (let waited = 0; await left(); waited += 20) {
    if (waited >= ms) return false
    await delay(20)
  }
  return true
}

/**
 * The report of a session whose process no longer runs, by the last record: one that has removed its directory ended as it
 * was asked to, or was reported by another stop.
 */
async function afterDeath(directory: SessionDirectory, known: SessionRecord): Promise<LastWord> {
  const record = directory.read() ?? (directory.damage === undefined ? undefined : known)
  if (!record) return {}
  await gone(directory, record, GONE_MS)
  if (record.state !== 'ended') await removeLeft(record)
  return {failure: record.state === 'ended' ? record.failure : lost(record)}
}
