import {existsSync, readFileSync} from 'node:fs'
import path from 'node:path'
import type {ErrorReport} from '../errors/mirrord-error.ts'
import {bootId, whereabouts, type ProcessId} from '../util/process.ts'
import {askSession} from './ask.ts'
import {serves} from './liveness.ts'
import type {SessionDirectory, SessionRecord} from './state.ts'

/**
 * The record of a session, also where its `session.json` is damaged: then what the session itself says, and of one that does
 * not answer what can be known without it, with the failure SESSION_RECORD_DAMAGED when it is gone. Undefined for a directory
 * whose session has not said yet what it is, or is being removed.
 */
export async function knownRecord(directory: SessionDirectory): Promise<SessionRecord | undefined> {
  const record = directory.read()
  if (record) return record
  const {damage} = directory
  // A session writes its record before it serves its socket, so that one without a record has lost it.
  if (damage === undefined && !(existsSync(directory.socket) && (await serves(directory.socket)))) return undefined
  const answer = await askSession(directory)
  if (answer) return answer.record
  const left = await remains(directory, damage ?? 'it is missing')
  // Without a file and without an answer by now: it was being removed.
  return damage === undefined && left.state === 'ended' ? undefined : left
}

async function remains(directory: SessionDirectory, damage: string): Promise<SessionRecord> {
  const {id} = directory
  const job = path.basename(path.dirname(directory.path))
  const claim = directory.readClaim()
  const reported = readReported(directory.report)
  const name = claim?.name ?? reported.name ?? id
  // Its number is not known: only its socket tells whether it runs, as that of a session in another container.
  const session: ProcessId = {
    pid: 0,
    startTime: '',
    bootId: claim?.launcher.bootId ?? bootId(),
    host: claim?.launcher.host,
    namespace: 'unknown',
  }
  const where = whereabouts(session)
  const runs = where === 'other-machine' || (where !== 'earlier-boot' && (await serves(directory.socket)))
  return {
    format: 1,
    id,
    job,
    name,
    program: reported.program ?? name,
    target: reported.target,
    createdAt: reported.startedAt ?? new Date(directory.changedAt ?? Date.now()).toISOString(),
    session,
    outputDirectory: reported.outputDirectory,
    report: reported.outputDirectory
      ? {folder: path.join(path.dirname(reported.outputDirectory), `report-${job}`), own: true}
      : undefined,
    ...(runs
      ? {state: 'running'}
      : {state: 'ended', endedBy: 'failure', failure: recordDamaged(name, directory.path, damage)}),
  }
}

/** What the report of the session says that its record would have said. */
function readReported(file: string): Partial<Record<(typeof reportedKeys)[number], string>> {
  try {
    const {session} = JSON.parse(readFileSync(file, 'utf8')) as {session: Record<string, unknown>}
    return Object.fromEntries(
      reportedKeys.flatMap((key) => (typeof session[key] === 'string' ? [[key, session[key]]] : [])),
    )
  } catch {
    return {} // damaged as well, or never written
  }
}
const reportedKeys = ['name', 'program', 'target', 'startedAt', 'outputDirectory'] as const

function recordDamaged(name: string, directory: string, damage: string): ErrorReport {
  return {
    code: 'SESSION_RECORD_DAMAGED',
    exit: 'programCrashed',
    what: `The record of session ${name} cannot be read: ${path.join(directory, 'session.json')}.`,
    why: `${damage.charAt(0).toUpperCase()}${damage.slice(1)}. The session does not answer either: its process is gone, and its program was ended with it.`,
    next: [
      'See whether the disk is full or failing. `mirrord ci stop` removes what is left of the session.',
      'What ran against the service may not have met the local program: run it again.',
    ],
  }
}
