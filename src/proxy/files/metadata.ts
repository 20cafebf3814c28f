import type {Metadata} from '../../protocol/index.ts'
import {FileFailure, toFailure} from './failure.ts'
import type {Requests} from './requests.ts'

/** How long what the agent said about a path is taken as true, in ms. */
export const FRESH_MS = 1100
/** Less for the trap, so that its copies of an answer have ended when we ask anew and perhaps replace a file. */
const TRAP_MS = FRESH_MS - 100
/** More known paths than this are cut back to the fresh ones. */
const MAX_KNOWN = 20_000

/** What is known of a path. `text` is the target of a symbolic link that was not followed. */
export interface Known {
  metadata: Metadata
  text?: string
}

interface Remembered {
  at: number
  outcome: Known | FileFailure
}

/** The file's type and permission bits of st_mode. */
export const S_IFMT = 0o170000
export const types = {
  directory: 0o040000,
  file: 0o100000,
  link: 0o120000,
  fifo: 0o010000,
  socket: 0o140000,
  characters: 0o020000,
  blocks: 0o060000,
} as const

/** Whether `metadata` is of that type. */
export function isType(metadata: Metadata, type: keyof typeof types): boolean {
  return (metadata.mode & S_IFMT) === types[type]
}

/** Metadata of the target's files: asked once for all who want it at the same time, and remembered for a second. */
export class MetadataCache {
  readonly #requests: Requests
  #wholeTimes = false
  readonly #known = new Map<string, Remembered>()
  readonly #asking = new Map<string, Promise<Known>>()

  constructor(requests: Requests) {
    this.#requests = requests
  }

  /** What a path is, from memory when that is fresh. @param follow whether a link as last component is followed @throws FileFailure */
  get(path: string, follow: boolean): Promise<Known> {
    const key = keyOf(path, follow)
    const known = this.#known.get(key)
    if (known && isFresh(known)) {
      return known.outcome instanceof FileFailure ? Promise.reject(known.outcome) : Promise.resolve(known.outcome)
    }
    let asking = this.#asking.get(key)
    if (!asking) {
      asking = this.#ask(path, follow)
      this.#asking.set(key, asking)
      const remember = (outcome: Known | FileFailure) => {
        // Whoever dropped the path meanwhile has changed it: the reply is about the past.
        if (this.#asking.get(key) !== asking) return
        this.#asking.delete(key)
        this.#put(key, outcome)
        if (!follow && !(outcome instanceof FileFailure) && !isType(outcome.metadata, 'link'))
          this.#put(keyOf(path, true), outcome)
      }
      asking.then(remember, (error: FileFailure) => remember(error))
    }
    return asking
  }

  /**
   * Whether the agent is known to tell whole times. Upstream's tell the part below a second alone, and it is they that follow
   * a link as last component of what they remove or rename (protocol.md 6, 19 and 20).
   */
  get wholeTimes(): boolean {
    return this.#wholeTimes
  }

  /** Whether the path needs no question now. */
  fresh(path: string, follow: boolean): boolean {
    const known = this.#known.get(keyOf(path, follow))
    return known !== undefined && isFresh(known)
  }

  /** How long in ms the trap may use what is known of the path without asking. */
  validMs(path: string, follow: boolean): number {
    const known = this.#known.get(keyOf(path, follow))
    if (!known) return 0
    return Math.max(0, Math.floor(TRAP_MS - (performance.now() - known.at)))
  }

  /** Remembers what was learned of an open file. */
  put(path: string, metadata: Metadata): void {
    this.drop(path)
    this.#put(keyOf(path, true), {metadata})
  }

  /** Forgets one path. */
  drop(path: string): void {
    for (const key of [keyOf(path, true), keyOf(path, false)]) {
      this.#known.delete(key)
      this.#asking.delete(key)
    }
  }

  /** Forgets a path, its parent and everything below it. */
  dropAround(path: string): void {
    this.drop(path)
    this.drop(parentOf(path))
    for (const map of [this.#known, this.#asking]) {
      for (const key of map.keys()) if (key.startsWith(`${path}/`)) map.delete(key)
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.#known.clear()
    this.#asking.clear()
  }

  #put(key: string, outcome: Known | FileFailure): void {
    this.#known.delete(key)
    if (outcome instanceof FileFailure && !outcome.is('ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP', 'ENAMETOOLONG')) return
    if (this.#known.size >= MAX_KNOWN) {
      for (const [old, known] of this.#known) if (!isFresh(known)) this.#known.delete(old)
    }
    this.#known.set(key, {at: performance.now(), outcome})
  }

  async #ask(path: string, followSymlink: boolean): Promise<Known> {
    const what = `stat ${path}`
    // An agent that cannot read links shows no links: what they point to is what the program sees.
    const follow = followSymlink || !this.#requests.supports('readLink')
    const value = {path, fd: undefined, followSymlink: follow}
    const stat = this.#requests.send({type: 'Xstat', value}, what).then((reply) => {
      if (Number(reply.metadata.modificationTime) >= 1e9) this.#wholeTimes = true
      return reply
    })
    if (follow) return {metadata: (await stat).metadata}
    // Both at once: for what is no link the second answer is an error that nobody needs.
    const link = this.#requests.send({type: 'ReadLink', value: {path}}, `readlink ${path}`)
    const [stats, text] = await Promise.allSettled([stat, link])
    if (stats.status === 'rejected') throw toFailure(stats.reason, what)
    const {metadata} = stats.value
    if (!isType(metadata, 'link')) return {metadata}
    if (text.status === 'rejected') throw toFailure(text.reason, what)
    return {metadata, text: text.value.path}
  }
}

/** The directory of a path; of the root the root. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')))
}

/** A name in a directory. */
export function childOf(directory: string, name: string): string {
  return directory === '/' ? `/${name}` : `${directory}/${name}`
}

/** No path holds a zero byte, so keys cannot meet; they begin with the path for `dropAround`. */
function keyOf(path: string, follow: boolean): string {
  return follow ? path : `${path}\0`
}

function isFresh(known: Remembered): boolean {
  return performance.now() - known.at < FRESH_MS
}
