import {readdirSync, readFileSync} from 'node:fs'

/** A process that cannot be confused with a later one of the same number: pid, start time, boot. */
export interface ProcessId {
  pid: number
  /** Clock ticks after boot, field 22 of /proc/PID/stat (proc(5)). */
  startTime: string
  bootId: string
}

/** This boot's id, from /proc/sys/kernel/random/boot_id. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

/** Start time and state letter of a process, or undefined when there is none with this number. */
export function readStat(pid: number): {state: string; startTime: string; parent: number} | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  // The second field is the command name in parentheses and may itself contain spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return {state: fields[0] ?? '?', parent: Number(fields[1]), startTime: fields[19] ?? ''}
}

/** Identifies a running process; undefined when it is gone. */
export function identify(pid: number): ProcessId | undefined {
  const stat = readStat(pid)
  return stat && {pid, startTime: stat.startTime, bootId: bootId()}
}

/** True while this process has an entry in the process table: also as a zombie that its parent has not collected. */
export function exists(process: ProcessId): boolean {
  const stat = readStat(process.pid)
  return stat !== undefined && stat.startTime === process.startTime && process.bootId === bootId()
}

/** USER_HZ of Linux on every architecture that we run on: the unit of start times in /proc (proc(5)). */
const TICKS_PER_SECOND = 100

/**
 * Zombies that init has not collected, of processes that started at least `seconds` ago. Some, though init could have had
 * them for long, mean an init that never collects its orphans: a program that became process 1 of a container by accident.
 */
export function uncollectedOrphans(seconds: number): number[] {
  const uptime = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0])
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const stat = readStat(pid)
      return stat?.state === 'Z' && stat.parent === 1 && uptime - Number(stat.startTime) / TICKS_PER_SECOND >= seconds
    })
}

/** True while exactly this process runs; false for a zombie, a reused number or another boot. */
export function isAlive(process: ProcessId): boolean {
  const stat = readStat(process.pid)
  return stat !== undefined && stat.state !== 'Z' && stat.startTime === process.startTime && process.bootId === bootId()
}
