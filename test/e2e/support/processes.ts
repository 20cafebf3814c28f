import {readdirSync, readFileSync, readlinkSync} from 'node:fs'

/** A process of this machine, as /proc shows it. */
export interface Process {
  pid: number
  parent: number
  /** Its words; a program may have replaced them by a title. */
  command: string
  environment: string[]
}

function read(pid: number): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (state === 'Z' || state === 'X') return undefined
    return {
      pid,
      parent: Number(parent),
      command: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim(),
      environment: readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0'),
    }
  } catch {
    return undefined // it ended, or belongs to another user
  }
}

/** The living processes, without zombies. */
export function processes(): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => read(Number(name)))
    .filter((process) => process !== undefined)
}

/** Those that inherited `NAME=value` in their environment: everything that a marked command started. */
export function marked(variable: string): Process[] {
  return processes().filter(({pid, environment}) => pid !== process.pid && environment.includes(variable))
}

/** A process for each network namespace that this user can look into. */
export function onePerNetwork(): number[] {
  const seen = new Map<string, number>()
  for (const {pid} of processes()) {
    try {
      const network = readlinkSync(`/proc/${pid}/ns/net`)
      if (!seen.has(network)) seen.set(network, pid)
    } catch {
      continue // it ended meanwhile
    }
  }
  return [...seen.values()]
}
