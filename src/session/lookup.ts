import {MirrordError} from '../errors/mirrord-error.ts'
import {compareTexts} from '../util/compare-texts.ts'
import {knownRecord} from './known-record.ts'
import {isRunning} from './liveness.ts'
import type {SessionDirectory, SessionRecord, SessionStore} from './state.ts'

/** A session that has said what it is. */
export interface FoundSession {
  directory: SessionDirectory
  record: SessionRecord
}

/**
 * The sessions of the job in the order of their starts; with `name` those that have it as their name or id: at most one of them
 * is alive, and it comes last. Errors: MirrordError SESSION_NOT_FOUND (exit 75) for a name that none has.
 */
export async function findSessions(store: SessionStore, name?: string): Promise<FoundSession[]> {
  const known = store.list().map(async (directory) => {
    const record = await knownRecord(directory)
    return record ? [{directory, record}] : []
  })
  const all = (await Promise.all(known)).flat().sort((a, b) => compareTexts(a.record.createdAt, b.record.createdAt))
  const named = all.filter(({record}) => name === undefined || record.name === name || record.id === name)
  if (name !== undefined && named.length === 0) throw notFound(name, [...new Set(all.map(({record}) => record.name))])
  return inOrder(named)
}

/** The same, but one for each name: a dead session gives way to a later one of its name. */
export async function currentSessions(store: SessionStore, name?: string): Promise<FoundSession[]> {
  const found = await findSessions(store, name)
  if (found.some(({record}) => record.id === name)) return found
  return [...new Map(found.map((session) => [session.record.name, session])).values()]
}

/** Of one name the living one takes the last of their places. */
async function inOrder(byAge: readonly FoundSession[]): Promise<FoundSession[]> {
  const names = Map.groupBy(byAge, ({record}) => record.name)
  const arranged = new Map<string, Iterator<FoundSession>>()
  for (const [name, group] of names) {
    // Not asked where it decides nothing: one of another container costs a connection.
    const alive = group.length > 1 ? await Promise.all(group.map((one) => isRunning(one.directory, one.record))) : []
    const [living, ended] = [true, false].map((wanted) =>
      group.filter((_, index) => (alive[index] ?? false) === wanted),
    )
    arranged.set(name, [...ended!, ...living!].values())
  }
  return byAge.map(({record}) => arranged.get(record.name)!.next().value as FoundSession)
}

/** The report of a name that no session has; `names` are those that there are. */
export function notFound(name: string, names: readonly string[]): MirrordError {
  return new MirrordError({
    code: 'SESSION_NOT_FOUND',
    exit: 'sessionNotFound',
    what: `No session of this job is named "${name}".`,
    why: names.length > 0 ? `Its sessions are: ${names.join(', ')}.` : 'This job has no session.',
    next: [
      names.length > 0
        ? 'Give one of these names; mirrord ci status shows more.'
        : 'Start one with `mirrord ci start`, in the same job: MIRRORD_CI_JOB overrides what tells jobs apart.',
    ],
  })
}
