import {exitCodes} from '../errors/exit-codes.ts'
import {askSession} from './ask.ts'
import {isRunning} from './liveness.ts'
import {findSessions, type FoundSession} from './lookup.ts'
import type {SessionRecord, SessionStore} from './state.ts'
import {lost} from './stop-failures.ts'

/** One session in `ci status --json`. Fields are only ever added; what is not known is null. */
export interface SessionStatus {
  name: string
  id: string
  program: string
  target: string | null
  pod: string | null
  /** `failed` is an end that `ci stop` will report; `ended` a program that exited with status 0. */
  state: SessionRecord['state'] | 'failed'
  pids: {program: number | null; session: number}
  /** The pod's ports whose traffic goes to the program, and where it listens. */
  ports: {port: number; local: string}[]
  /** Requests that the program got from the cluster, as far as its protocol is known. Null when the session is over. */
  requests: number | null
  /** The connections on which they came. */
  connections: number | null
  /** What the program received from the cluster and sent to it; what a request moves counts at its end. Null as above. */
  bytesIn: number | null
  bytesOut: number | null
  startedAt: string
  readyAt: string | null
  /** Since when the session has no agent, while another one is being started. */
  reconnectingSince: string | null
  endedAt: string | null
  /** From the start to now or to the end; null for a session that died, because nobody saw when. */
  uptimeSeconds: number | null
  outputDirectory: string | null
  exit: {code: number | null; signal: string | null} | null
  failure: {code: string; exit: number; what: string; why: string | null} | null
}

/** How the sessions of a job are, in the order of their starts. Errors: MirrordError SESSION_NOT_FOUND for an unknown name. */
export async function sessionStatuses(
  store: SessionStore,
  name: string | undefined,
  now: number,
): Promise<SessionStatus[]> {
  return Promise.all((await findSessions(store, name)).map((session) => statusOf(session, now)))
}

async function statusOf(found: FoundSession, now: number): Promise<SessionStatus> {
  const alive = await isRunning(found.directory, found.record)
  const answer = alive ? await askSession(found.directory) : undefined
  const record = answer?.record ?? found.directory.read() ?? found.record
  const died = !alive && record.state !== 'ended'
  const failure = record.failure ?? (died ? lost(record) : undefined)
  const {live} = answer ?? {}
  const end = record.endedAt ? Date.parse(record.endedAt) : now
  return {
    name: record.name,
    id: record.id,
    program: record.program,
    target: record.target ?? null,
    pod: record.pod ?? null,
    state: failure ? 'failed' : record.state,
    pids: {program: record.programPid ?? null, session: record.session.pid},
    ports: live?.ports.map(({port, local}) => ({port, local})) ?? [],
    requests: live?.requests ?? null,
    connections: live?.connections ?? null,
    bytesIn: live?.bytesIn ?? null,
    bytesOut: live?.bytesOut ?? null,
    startedAt: record.createdAt,
    readyAt: record.readyAt ?? null,
    reconnectingSince: (alive && record.state !== 'ended' && record.reconnectingSince) || null,
    endedAt: record.endedAt ?? null,
    uptimeSeconds:
      died || (record.state === 'ended' && !record.endedAt)
        ? null
        : Math.max(0, Math.round((end - Date.parse(record.createdAt)) / 100) / 10),
    outputDirectory: record.outputDirectory ?? null,
    exit: record.exit ? {code: record.exit.code ?? null, signal: record.exit.signal ?? null} : null,
    failure: failure
      ? {code: failure.code, exit: exitCodes[failure.exit].code, what: failure.what, why: failure.why ?? null}
      : null,
  }
}
