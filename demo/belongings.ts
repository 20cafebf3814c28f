import {existsSync, readFileSync} from 'node:fs'
import {processes} from '../test/e2e/support/processes.ts'
import {until} from '../test/e2e/support/until.ts'

/** When a process started, in clock ticks since boot: with the pid it names one process for ever. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

/** What this process has started directly and indirectly, so that its end can be checked. */
export class Belongings {
  readonly #seen = new Map<number, {start: string; command: string}>()

  /** Takes note of the descendants of this process: once their parents are gone they cannot be told from others. */
  look(): void {
    const all = processes()
    const family = new Set([process.pid])
    for (let size = 0; size !== family.size;) {
      size = family.size
      for (const {pid, parent} of all) if (family.has(parent)) family.add(pid)
    }
    for (const {pid, command} of all) {
      const start = startOf(pid)
      if (pid !== process.pid && family.has(pid) && start) this.#seen.set(pid, {start, command})
    }
  }

  /** What is still there after a moment for the last ones to end: processes, the cluster's link, folders, mounts. */
  async left(where: {link: string; folders: readonly string[]}): Promise<string[]> {
    const alive = () =>
      [...this.#seen]
        .filter(([pid, {start}]) => startOf(pid) === start && !isZombie(pid))
        .map(([pid, {command}]) => `process ${pid} ${command}`)
    await until('the end of every process', () => alive().length === 0, {timeout: 5000}).catch(() => undefined)
    const {link, folders} = where
    return [
      ...alive(),
      ...(existsSync(`/sys/class/net/${link}`) ? [`network interface ${link}`] : []),
      ...folders.filter((folder) => existsSync(folder)).map((folder) => `folder ${folder}`),
      ...readMounts()
        .filter((mount) => folders.some((folder) => mount.startsWith(folder)))
        .map((mount) => `mount ${mount}`),
    ]
  }
}

function isZombie(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** Where something is mounted in this process's view. */
function readMounts(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
}
