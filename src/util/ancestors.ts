import {readFileSync} from 'node:fs'
import {readStat} from './process.ts'

/**
 * The name (proc_pid_comm(5)) of the nearest ancestor of this process that `wanted` takes, or undefined. Ancestors outside of
 * the own pid namespace cannot be seen.
 */
export function findAncestor(wanted: (name: string) => boolean, from = process.ppid): string | undefined {
  for (let pid = from; pid > 0; pid = readStat(pid)?.parent ?? 0) {
    const name = commandName(pid)
    if (name !== undefined && wanted(name)) return name
  }
  return undefined
}

function commandName(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd()
  } catch {
    return undefined // it has just ended
  }
}
