import fs from 'node:fs'
import {setTimeout as delay} from 'node:timers/promises'
import type {Metadata} from '../../protocol/index.ts'
import {toFailure} from './failure.ts'
import type {Entry} from './listing.ts'
import {childOf, isType, type MetadataCache} from './metadata.ts'
import {sameContent, sameFile, type Mirror} from './mirror.ts'
import type {Readers} from './readers.ts'
import type {WarnOnce} from './requests.ts'

/** Watched paths at most. */
const MAX_WATCHED = 1024
/** Entries of a watched directory whose content is looked at; of more, only names that come and go are seen. */
const MAX_ENTRIES = 256
/** Time for the trap to hear that its answers have ended, in ms, before the copies change. */
const NOTICE_MS = 30

/** What watching works with. */
export interface WatchingOptions {
  metadata: MetadataCache
  mirror: Mirror
  readers: Readers
  warnOnce: WarnOnce
  filesChanged: () => void
  /** Time in ms between two looks. Default 2000. */
  intervalMs?: number | undefined
}

/** A look at a path: what differs from the mirror is applied later, in one go. */
type Step = () => Promise<void> | void

/**
 * Looks at watched paths of the target again and again, and changes their copies as the target changes: in place, so that
 * inotify(7) on a copy tells the program.
 */
export class Watching {
  readonly #options: WatchingOptions
  readonly #watched = new Set<string>()
  /** Texts of the links in watched directories: a link that leads elsewhere is a change (ConfigMap volumes do that). */
  readonly #texts = new Map<string, string>()
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: WatchingOptions) {
    this.#options = options
  }

  /** Completes the copy of a path and keeps it up to date from now on. @throws FileFailure */
  async add(path: string, gone: AbortSignal): Promise<Metadata> {
    const found = await this.#options.readers.open(path, gone)
    if (this.#watched.has(path)) return found
    if (this.#watched.size >= MAX_WATCHED) {
      this.#options.warnOnce(
        'watched',
        `The program watches more than ${MAX_WATCHED} paths of the target: changes of ${path} and any further ones are not seen.`,
      )
      return found
    }
    this.#watched.add(path)
    // What is there now is what changes are told from.
    if (isType(found, 'directory')) for (const step of await this.#directory(path)) await step()
    this.#schedule()
    return found
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #schedule(): void {
    if (this.#closed || this.#timer || this.#watched.size === 0) return
    this.#timer = setTimeout(() => void this.#look(), this.#options.intervalMs ?? 2000)
    this.#timer.unref()
  }

  async #look(): Promise<void> {
    try {
      const steps: Step[] = []
      for (const path of this.#watched) steps.push(...(await this.#path(path)))
      if (steps.length > 0 && !this.#closed) {
        this.#options.filesChanged()
        await delay(NOTICE_MS)
        for (const step of steps) await step()
      }
    } catch (error) {
      const {message} = toFailure(error, 'look')
      if (!this.#closed)
        this.#options.warnOnce('watch failed', `Changes of watched files are not seen now: ${message}.`)
    } finally {
      this.#timer = undefined
      this.#schedule()
    }
  }

  async #path(path: string): Promise<Step[]> {
    const {mirror} = this.#options
    const found = await this.#stat(path)
    if (!found) {
      this.#watched.delete(path)
      return [() => mirror.vanished(path)]
    }
    if (isType(found, 'directory')) {
      mirror.adopt(path, found)
      return this.#directory(path)
    }
    return this.#file(path, found)
  }

  /** What a path is now, links followed; undefined: nothing. */
  async #stat(path: string): Promise<Metadata | undefined> {
    const {metadata} = this.#options
    metadata.drop(path)
    try {
      return (await metadata.get(path, true)).metadata
    } catch (error) {
      if (toFailure(error, path).is('ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES')) return undefined
      throw error
    }
  }

  #file(path: string, found: Metadata): Step[] {
    const {mirror, readers} = this.#options
    const copy = mirror.copy(path)
    if (!copy) return [() => mirror.adopt(path, found)]
    if (mirror.isBusy(path) || sameContent(copy.metadata, found)) return []
    // A file that another one has replaced comes as a new inode, except where that very inode is watched.
    if (!sameFile(copy.metadata, found) && !this.#watched.has(path)) return [() => mirror.adopt(path, found)]
    if (copy.complete) return [() => readers.renew(copy, found)]
    const size = Number(found.size)
    return [
      () => {
        if (mirror.copy(path) !== copy || mirror.isBusy(path)) return
        mirror.rewrite(copy, found, (fd) => {
          fs.ftruncateSync(fd, 0)
          fs.ftruncateSync(fd, size)
        })
      },
    ]
  }

  async #directory(path: string): Promise<Step[]> {
    const {mirror, readers} = this.#options
    const entries = await readers.entries(path)
    const steps: Step[] = []
    const there = new Set(mirror.names(path).map(({name}) => name))
    const names = new Set(entries.map(({name}) => name))
    if (entries.some(({name}) => !there.has(name)) || [...there].some((name) => !names.has(name)))
      steps.push(() => readers.show(path, entries))
    const looked = entries.slice(0, MAX_ENTRIES)
    const found = await Promise.all(looked.map((entry) => this.#entry(childOf(path, entry.name), entry)))
    return [...steps, ...found.flat()]
  }

  async #entry(path: string, entry: Entry): Promise<Step[]> {
    const {metadata, mirror} = this.#options
    if (entry.local) return []
    const steps: Step[] = []
    if (entry.type === 'link') {
      metadata.drop(path)
      const text = await metadata.get(path, false).then(
        (known) => known.text ?? '',
        () => '',
      )
      const before = this.#texts.get(path)
      this.#texts.set(path, text)
      if (before !== undefined && before !== text) steps.push(() => mirror.swapLink(path))
    }
    // What a link leads to is looked at when the program has had it.
    if (entry.type === 'directory' || (entry.type === 'link' && !mirror.copy(path))) return steps
    const found = await this.#stat(path)
    if (found && isType(found, 'file')) steps.push(...this.#file(path, found))
    return steps
  }
}
