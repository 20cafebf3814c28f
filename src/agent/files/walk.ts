import {closeSync, constants, fstat, open as openFile, openSync, readFileSync, readlinkSync} from 'node:fs'
import {readlink} from 'node:fs/promises'
import {promisify} from 'node:util'
import type {Mounts} from './mounts.ts'

/** Symbolic links followed in one resolution, as in the kernel. */
const MAX_LINKS = 40

/** From <fcntl.h>; Node does not export it. An O_PATH descriptor names a file without opening it. */
export const O_PATH = 0o10000000
const {O_NOFOLLOW, O_DIRECTORY} = constants

// What looks at a file system runs in the thread pool, unless all of the way was without links a moment ago and lies on file
// systems of this node: one of the network could hang, and all that the agent does with it. Closing an O_PATH descriptor and
// asking /proc for its name never wait. A turn of the pool costs more than ten such calls.
const open = promisify(openFile)
const stat = promisify(fstat)

/** `..` above the root: there is nothing there (protocol.md 3.8.3). */
export class AboveRootError extends Error {}

/** The root directory that paths are resolved in. */
export interface Root {
  /** An O_PATH descriptor of it; never closed by a walk. */
  fd: number
  /** What the kernel calls it, as seen from this process; empty for `/`. */
  name: string
  mounts: Mounts
  /** Directories below it on the way to which there was no link, by when that was seen, in ms. */
  direct: Map<string, number>
}

/** How long a directory is taken for one that is reached without links, as far as waiting is concerned. */
const DIRECT_MS = 5000
const MAX_DIRECT = 1000

/**
 * One resolution of a path below a root: directory by directory from an open descriptor, every symbolic link read and
 * followed by us. The kernel never gets a path that it could lead out of the root, whatever the target's processes do
 * to their directories meanwhile. Must be closed.
 */
export class Walk {
  readonly #root: Root
  /** The directories entered below the root, outermost first. */
  #entered: number[] = []
  /** After a jump `#entered` holds only the innermost; these are the names that lead to it. */
  #jumped: string[] | undefined
  #pending: string[]
  #directoryWanted: boolean
  #links = 0
  #atOnce = false

  /** @param path absolute below the root, or relative to it */
  constructor(root: Root, path: string) {
    this.#root = root
    this.#pending = components(path)
    this.#directoryWanted = endsAsDirectory(path)
  }

  /** The innermost directory, as a path that the kernel resolves to exactly it. */
  get directory(): string {
    return nameOf(this.#entered.at(-1) ?? this.#root.fd)
  }

  /** True when the last name, not followed, can be looked at without waiting for anybody. */
  get atOnce(): boolean {
    return this.#atOnce
  }

  /** True when only a directory will do as the last component: a slash follows it. */
  get directoryWanted(): boolean {
    return this.#directoryWanted
  }

  /**
   * Enters everything but the last name. Undefined when there is none: the path leads to `directory` itself.
   * @throws the kernel's error, ELOOP and ENOTDIR included; AboveRootError
   */
  async last(): Promise<string | undefined> {
    await this.#jump()
    while (this.#pending.length > 1 || this.#pending[0] === '..') await this.#enter(this.#pending.shift()!)
    return this.#pending[0]
  }

  /**
   * The last name is a symbolic link: goes on with what it says, or with the same name when it is none any more.
   * @throws ELOOP
   */
  async follow(): Promise<void> {
    const name = this.#pending.shift()!
    await this.#followFrom(name, this.#pending.length === 0)
  }

  close(): void {
    const entered = this.#entered
    this.#entered = []
    for (const fd of entered) closeSync(fd)
  }

  /**
   * Enters all directories at once when no link is among them. That is known afterwards: the kernel's name of what was
   * opened is then the path that was asked for, on a mount of the target's (a link to /proc/PID/root may lead to the same
   * name in another namespace). A descriptor that was led elsewhere is closed without being used.
   */
  async #jump(): Promise<void> {
    const names = this.#pending.slice(0, -1)
    if (this.#entered.length > 0 || names.length === 0 || this.#pending.includes('..')) return
    const below = names.join('/')
    const {fd: root, name, mounts, direct} = this.#root
    const [place, path] = [`${name}/${below}`, `${nameOf(root)}/${below}`]
    const atOnce =
      performance.now() - (direct.get(below) ?? -Infinity) < DIRECT_MS &&
      mounts.atOnce(`${place}/${this.#pending.at(-1)}`)
    const fd = atOnce ? openNow(path) : await open(path, O_PATH | O_DIRECTORY).catch(() => undefined)
    direct.delete(below)
    if (fd === undefined) return
    if (openedName(fd) !== place || !mounts.has(mountOf(fd))) return closeSync(fd)
    if (direct.size >= MAX_DIRECT) direct.clear()
    direct.set(below, performance.now())
    this.#atOnce = atOnce
    this.#entered = [fd]
    this.#jumped = names
    this.#pending.splice(0, names.length)
  }

  async #enter(name: string): Promise<void> {
    if (name === '..') {
      if (this.#jumped) return this.#unjump(['..'])
      const left = this.#entered.pop()
      if (left === undefined) throw new AboveRootError('the path leads above the root')
      return closeSync(left)
    }
    const next = await open(`${this.directory}/${name}`, O_PATH | O_NOFOLLOW)
    try {
      const stats = await stat(next)
      if (stats.isDirectory()) {
        this.#entered.push(next)
        return
      }
      if (!stats.isSymbolicLink()) throw errno('ENOTDIR', 20, 'not a directory')
    } catch (error) {
      closeSync(next)
      throw error
    }
    closeSync(next)
    await this.#followFrom(name, false)
  }

  async #followFrom(name: string, last: boolean): Promise<void> {
    this.#atOnce = false
    if (++this.#links > MAX_LINKS) throw errno('ELOOP', 40, 'too many symbolic links')
    const target = await readlink(`${this.directory}/${name}`).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EINVAL') throw error
    })
    // Replaced by something else since it was looked at.
    if (target === undefined) return void this.#pending.unshift(name)
    if (last) this.#directoryWanted ||= endsAsDirectory(target)
    const names = components(target)
    if (target.startsWith('/')) {
      this.#pending.unshift(...names)
      this.#jumped = undefined
      return this.close()
    }
    if (this.#jumped && names.includes('..')) return this.#unjump(names)
    this.#pending.unshift(...names)
  }

  /** Starts from the root again, with the directories that were jumped over, so that `..` has something to leave. */
  #unjump(names: readonly string[]): void {
    const directories = this.#jumped!
    this.#jumped = undefined
    this.close()
    this.#pending.unshift(...directories, ...names)
  }
}

/** A path that the kernel resolves to exactly what the descriptor stands for. */
function nameOf(fd: number): string {
  return `/proc/self/fd/${fd}`
}

function openNow(path: string): number | undefined {
  try {
    return openSync(path, O_PATH | O_DIRECTORY)
  } catch {
    return undefined
  }
}

/** What the kernel calls it; undefined when that is too long. */
function openedName(fd: number): string | undefined {
  try {
    return readlinkSync(nameOf(fd))
  } catch {
    return undefined
  }
}

/** The number of the mount that a descriptor is on; empty when it cannot be had. */
function mountOf(fd: number): string {
  try {
    return /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? ''
  } catch {
    return ''
  }
}

/** Errors that the kernel would have given. */
export function errno(code: string, number: number, text: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${text}`), {code, errno: -number})
}

/** The names in a path; slashes and `.` mean nothing between them. */
function components(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.')
}

function endsAsDirectory(path: string): boolean {
  return /\/\.?$/.test(path)
}
