import path from 'node:path'
import type {ErrorReport} from '../errors/mirrord-error.ts'
import {currentJob} from './current-job.ts'
import {notFound} from './lookup.ts'
import {nameOf} from './naming.ts'
import {jobsIn, reapStale} from './reap.ts'
import {searchRoots} from './roots.ts'
import {SessionStore, type SessionDirectory, type SessionRecord} from './state.ts'

/** A session that was stopped, or was found ended. */
export interface StoppedSession {
  /** What was known of it before the stop. */
  record: SessionRecord
  /** Its `report.json` as last written. */
  reportText?: string
  id: string
  name: string
  program: string
  target?: string
  outputDirectory?: string
  /** What went wrong during the run; absent for a session that ran until this stop. */
  failure?: ErrorReport
  /** What could not be undone, and who does it. */
  warnings?: readonly string[]
  /** The program had ended by itself, with status 0, before this stop. */
  endedBefore?: boolean
  /** The stop was cancelled before the session had ended; it goes on ending by itself. */
  unfinished?: boolean
}

/** What to stop, and how. */
export interface StopOptions {
  /** Only the sessions of these names. */
  names?: readonly string[]
  /** Time between the first signal and SIGKILL. Default: what the session was started with. */
  graceMs?: number
  /** The first signal to the program's tree. Default SIGTERM. */
  signal?: NodeJS.Signals
  /** Aborting cuts the remaining grace to 2 s: a cancelled CI job has about 7 s (design 5). */
  hurry?: AbortSignal
  /** How long a session may take beyond the grace before it is killed. Default 45,000. */
  teardownMs?: number
  /** How long a session may exist without having said what it is. Default 5,000. */
  birthMs?: number
}

/**
 * Stops the sessions of the job of this environment, or of every job of this user on this machine, and clears away what
 * dead sessions of other jobs left. Errors: those of `stopSessions`.
 */
export async function stopJobs(
  env: Readonly<Record<string, string | undefined>>,
  {allJobs, ...options}: StopOptions & {allJobs: boolean},
): Promise<StoppedSession[]> {
  const own = currentJob(env)
  const stopped = await stopSessions([own, ...(allJobs ? otherJobs(env, own) : [])], options)
  await reapStale(env, own.job)
  return stopped
}

/** Another runner's jobs have a RUNNER_TEMP of their own; the links in /tmp lead there. */
function otherJobs(env: Readonly<Record<string, string | undefined>>, own: SessionStore): SessionStore[] {
  const roots = searchRoots(env, process.getuid?.() ?? 0)
  const jobs = new Set(roots.flatMap(jobsIn))
  jobs.delete(own.job)
  return [...jobs].map((job) => new SessionStore(path.dirname(own.directory), job, roots))
}

/**
 * Stops sessions, all at once; also safe while another stop does the same.
 * Errors: MirrordError SESSION_NOT_FOUND (exit 75) when a name has no session; nothing is stopped then.
 */
export async function stopSessions(stores: readonly SessionStore[], options: StopOptions): Promise<StoppedSession[]> {
  const directories = select(stores, options.names)
  const stopped = directories.length > 0 ? await stopAll(directories, options) : []
  for (const store of stores) store.prune()
  return stopped.filter((session) => session !== undefined)
}

async function stopAll(directories: readonly SessionDirectory[], options: StopOptions) {
  const {stopSession} = await import('./stop-session.ts') // not loaded where there is nothing to stop
  return Promise.all(directories.map((directory) => stopSession(directory, options)))
}

function select(stores: readonly SessionStore[], names: readonly string[] | undefined): SessionDirectory[] {
  const all = stores.flatMap((store) => store.list())
  if (!names || names.length === 0) return all
  const named = all.map((directory) => ({directory, name: nameOf(directory)}))
  const unknown = names.filter((name) => !named.some((session) => session.name === name))
  if (unknown.length > 0)
    throw notFound(
      unknown.join('" or "'),
      named.flatMap(({name}) => name ?? []),
    )
  return named.filter(({name}) => name !== undefined && names.includes(name)).map(({directory}) => directory)
}
