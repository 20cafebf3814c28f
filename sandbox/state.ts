import {mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

const PREFIX = 'mirrord-sandbox-'

interface Owner {
  pid: number
  /** Start time of the process in clock ticks since boot, so that a reused pid is not taken for it. */
  started: string
}

function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // Field 22; counted after the command name, which may contain anything. Source: proc_pid_stat(5).
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

/** Makes this sandbox's directory and records whose it is. */
export function createStateDir(base = tmpdir()): string {
  const dir = mkdtempSync(join(base, PREFIX))
  const owner: Owner = {pid: process.pid, started: startTime(process.pid)!}
  writeFileSync(join(dir, 'owner.json'), JSON.stringify(owner))
  return dir
}

const isOld = (dir: string) => (statSync(dir, {throwIfNoEntry: false})?.mtimeMs ?? Infinity) < Date.now() - 60_000

/**
 * Removes the directories of sandboxes that are no more. Their processes, mounts and networks are gone already: they
 * hung on namespaces that ended with them. Returns what was removed.
 */
export function reapStateDirs(base = tmpdir()): string[] {
  const removed: string[] = []
  for (const name of readdirSync(base)) {
    if (!name.startsWith(PREFIX)) continue
    const dir = join(base, name)
    try {
      const owner = JSON.parse(readFileSync(join(dir, 'owner.json'), 'utf8')) as Owner
      if (startTime(owner.pid) === owner.started) continue
      rmSync(dir, {recursive: true, force: true})
      removed.push(dir)
    } catch {
      // No owner yet, because it is just being made, or no more, because its removal was cut short.
      if (!isOld(dir)) continue
      rmSync(dir, {recursive: true, force: true})
      removed.push(dir)
    }
  }
  return removed
}
