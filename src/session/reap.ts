import {readdirSync} from 'node:fs'
import {isAlive, whereabouts} from '../util/process.ts'
import {knownRecord} from './known-record.ts'
import {removeLeft} from './left-container.ts'
import {isRunning} from './liveness.ts'
import {isLaunching} from './naming.ts'
import {searchRoots} from './roots.ts'
import {SessionStore, type SessionDirectory} from './state.ts'

/** How long a dead session's record is kept for its own job's `ci stop`. */
const RECORD_MS = 24 * 3600 * 1000
/** How long the state of another machine's session is kept, which may run for all we know. */
const OTHER_MACHINE_MS = 7 * RECORD_MS

/**
 * Removes what dead sessions of other jobs of this user left: the copies of remote files at once, the record (which that
 * job's `ci stop` reports) after a day or with the next boot. What lives, or may live, is not touched.
 */
export async function reapStale(env: Readonly<Record<string, string | undefined>>, ownJob: string): Promise<void> {
  for (const root of searchRoots(env, process.getuid?.() ?? 0)) await reapRoot(root, ownJob)
}

/** The same for one folder. */
export async function reapRoot(root: string, ownJob: string): Promise<void> {
  for (const job of jobsIn(root).filter((name) => name !== ownJob)) {
    const store = new SessionStore(root, job)
    try {
      for (const directory of store.list()) await reap(directory)
      store.prune()
    } catch (error) {
      // What another job left on a disk that takes no change is no matter of this one; whoever can removes it.
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error
    }
  }
}

/** The jobs that have, or had, sessions below a root. */
export function jobsIn(root: string): string[] {
  try {
    return readdirSync(root).filter((name) => /^[\da-f]{8}$/.test(name))
  } catch {
    return [] // no sessions yet
  }
}

async function reap(directory: SessionDirectory): Promise<void> {
  const record = await knownRecord(directory)
  if (!record) {
    const claim = directory.readClaim()
    if (claim && isLaunching(directory, claim)) return
    if (Date.now() - (directory.changedAt ?? Date.now()) > RECORD_MS) directory.remove()
    return
  }
  const age = Date.now() - Date.parse(record.createdAt)
  const where = whereabouts(record.session)
  if (where === 'other-machine') {
    if (age > OTHER_MACHINE_MS) directory.remove()
    return
  }
  // Its container, if it was one, was ended by the trap in it, and may still be there as an ended one.
  const cleared = () => removeLeft(record).catch(() => {}) // told by its own job's stop
  // The trap outlives its session for the moment in which it ends the program's tree.
  if ((await isRunning(directory, record)) || (record.trap && isAlive(record.trap))) return
  if (record.state !== 'ended' && where === 'here') await cleared()
  if (where === 'earlier-boot' || age > RECORD_MS) directory.remove()
  else directory.keepRecord()
}
