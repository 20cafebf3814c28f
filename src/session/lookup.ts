import {MirrordError} from '../errors/mirrord-error.ts'
import {isAlive} from '../util/process.ts'
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
export function findSessions(store: SessionStore, name?: string): FoundSession[] {
  const all = store
    .list()
    .flatMap((directory) => {
      const record = directory.read()
      return record ? [{directory, record}] : []
    })
    .sort((a, b) => order(a.record, b.record))
  if (name === undefined) return all
  const named = all.filter(({record}) => record.name === name || record.id === name)
  if (named.length === 0) throw notFound(name, [...new Set(all.map(({record}) => record.name))])
  return named
}

/** The same, but one for each name: a dead session gives way to a later one of its name. */
export function currentSessions(store: SessionStore, name?: string): FoundSession[] {
  const found = findSessions(store, name)
  if (found.some(({record}) => record.id === name)) return found
  return [...new Map(found.map((session) => [session.record.name, session])).values()]
}

/** Ended sessions before living ones of the same name, otherwise by age. */
function order(a: SessionRecord, b: SessionRecord): number {
  if (a.name === b.name && isAlive(a.session) !== isAlive(b.session)) return isAlive(a.session) ? 1 : -1
  return a.createdAt.localeCompare(b.createdAt)
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
