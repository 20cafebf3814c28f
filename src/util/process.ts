import {readdirSync, readFileSync, readlinkSync} from 'node:fs'
import {hostname} from 'node:os'

/** A process that cannot be confused with another of the same number: pid, start time, boot, and whose number it is. */
export interface ProcessId {
  pid: number
  /** Clock ticks after boot, field 22 of /proc/PID/stat (proc(5)). */
  startTime: string
  bootId: string
  /** In which pid namespace it has its number, for example `pid:[4026531836]` (pid_namespaces(7)): containers have their own. */
  namespace?: string
  /** Tells a rebooted machine from another one that shares a directory with this one. */
  host?: string
}

/** Where a process is, seen from here: only the processes of `here` can be looked at, and killed, by number. */
export type Whereabouts = 'here' | 'other-container' | 'earlier-boot' | 'other-machine'

/** Where the process runs, or ran. What older records do not say counts as here. */
export function whereabouts(process: ProcessId): Whereabouts {
  if (process.bootId !== bootId()) {
    return process.host === undefined || process.host === hostname() ? 'earlier-boot' : 'other-machine'
  }
  return process.namespace === undefined || process.namespace === ownNamespace() ? 'here' : 'other-container'
}

function ownNamespace(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return undefined // a sandbox that shows no namespaces
  }
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
  return stat && {pid, startTime: stat.startTime, bootId: bootId(), namespace: ownNamespace(), host: hostname()}
}

/** True while this process has an entry in the process table: also as a zombie that its parent has not collected. */
export function exists(process: ProcessId): boolean {
  return find(process) !== undefined
}

/** The entry of exactly this process; undefined for a reused number, and for a number of another boot or namespace. */
function find(process: ProcessId): ReturnType<typeof readStat> {
  // A damaged record must not make a path of something else, nor a number that kill(2) reads as a group or as everyone.
  if (!Number.isSafeInteger(process.pid) || process.pid < 1 || whereabouts(process) !== 'here') return undefined
  const stat = readStat(process.pid)
  return stat?.startTime === process.startTime ? stat : undefined
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

/** True while exactly this process runs here; false for a zombie, a reused number, another boot or namespace. */
export function isAlive(process: ProcessId): boolean {
  const stat = find(process)
  return stat !== undefined && stat.state !== 'Z'
}
