import path from 'node:path'
import {MirrordError} from '../errors/mirrord-error.ts'
import {isAlive, whereabouts, type ProcessId} from '../util/process.ts'
import {delay} from '../util/time.ts'
import {knownRecord} from './known-record.ts'
import {isRunning} from './liveness.ts'
import type {SessionDirectory, SessionStore} from './state.ts'

/** What a session's directory says of its name before the session's own record is there. */
export interface NameClaim {
  name: string
  /** False while the start still looks whether another one has the name. */
  held: boolean
  /** The `ci start` that makes the session. */
  launcher: ProcessId
}

/** A start that does not decide for this long (a stopped process) counts as having the name. */
const DECISION_MS = 5000
/** Longest name: it is a column of a table. */
const NAME_MAX = 63

/** The name of a session that was given none: the base name of its program. */
export function defaultName(program: string): string {
  const base = path
    .basename(program)
    .replace(/[^\w.-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
  return base.slice(0, NAME_MAX) || 'program'
}

/**
 * Gives the session of `directory` a name that no other live session of the job has: `wanted`, or the default made unique
 * with -2, -3 and so on. Every start writes into its own directory only: it says what it would like to have, then reads
 * what the others say. Of two that see each other undecided, the one with the lower id goes first.
 * Errors: MirrordError NAME_IN_USE (exit 2) for a wanted name that another one has.
 */
export async function claimName(
  store: SessionStore,
  directory: SessionDirectory,
  {wanted, program, launcher}: {wanted?: string; program: string; launcher: ProcessId},
): Promise<string> {
  const base = wanted ?? defaultName(program)
  for (let number = 1; ; number++) {
    const name = number === 1 ? base : `${base.slice(0, NAME_MAX - 1 - String(number).length)}-${number}`
    directory.claim({name, held: false, launcher})
    if (await isFree(store, directory.id, name)) {
      directory.claim({name, held: true, launcher})
      return name
    }
    if (wanted !== undefined) {
      directory.unclaim()
      throw inUse(wanted)
    }
  }
}

async function isFree(store: SessionStore, id: string, name: string): Promise<boolean> {
  for (const other of store.list()) {
    if (other.id === id) continue
    for (let waited = 0; ; waited += 10) {
      const rival = await rivalIn(other)
      if (rival?.name !== name) break
      // One that is undecided and comes after us gives the name up, or has it already and says so in a moment.
      if (rival.held || other.id < id || waited >= DECISION_MS) return false
      await delay(10)
    }
  }
  return true
}

/** What a session is called, or wants to be; undefined before it has said so. */
export function nameOf(directory: SessionDirectory): string | undefined {
  return directory.read()?.name ?? directory.readClaim()?.name
}

/** The name that a live session has or asks for; undefined for a dead one and for one that has not asked yet. */
async function rivalIn(directory: SessionDirectory): Promise<{name: string; held: boolean} | undefined> {
  const record = await knownRecord(directory)
  if (record) return (await isRunning(directory, record)) ? {name: record.name, held: true} : undefined
  const claim = directory.readClaim()
  return claim && isLaunching(directory, claim) ? claim : undefined
}

/** A launcher of another container cannot be looked at: it has this time to make its session say what it is. */
const UNSEEN_LAUNCH_MS = 60_000

/** Whether the start that made the claim still goes on. */
export function isLaunching(directory: SessionDirectory, {launcher}: NameClaim): boolean {
  if (whereabouts(launcher) !== 'other-container') return isAlive(launcher)
  return Date.now() - (directory.changedAt ?? 0) < UNSEEN_LAUNCH_MS
}

function inUse(name: string): MirrordError {
  return new MirrordError({
    code: 'NAME_IN_USE',
    exit: 'usage',
    what: `A session named "${name}" is running in this job.`,
    why: 'A name belongs to one session of a job at a time.',
    next: [`Give another --name, or end that session first: mirrord ci stop ${name}`],
  })
}
