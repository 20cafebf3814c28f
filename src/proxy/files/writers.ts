import fs from 'node:fs'
import {open as openFile} from 'node:fs/promises'
import type {Int64, Metadata, OpenOptions} from '../../protocol/index.ts'
import type {TrafficObserver} from '../observer.ts'
import {failure, toFailure} from './failure.ts'
import {isType, type MetadataCache} from './metadata.ts'
import {sameFile, seconds, type Copy, type Mirror} from './mirror.ts'
import type {Readers} from './readers.ts'
import type {Requests, WarnOnce} from './requests.ts'
import {Written} from './written.ts'

const {O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_TRUNC} = fs.constants
/** From <fcntl.h>; Node does not export it. */
const O_ACCMODE = 3
/** How often open copies are looked at, in ms. */
const LOOK_MS = 500
/** A copy is brought to the target when it has not changed for this long … */
const QUIET_MS = 1000
/** … or has been changing for this long. */
const BUSY_MS = 3000
/** Copies whose last descriptor is closed, remembered in case that it was not the last. */
const MAX_RELEASED = 1000

/** What was written and could not be brought to the target. */
export interface Unsaved {
  path: string
  /** Where its content is. */
  copy: string
  reason: string
}

/** What writing works with. */
export interface WritersOptions {
  requests: Requests
  metadata: MetadataCache
  mirror: Mirror
  readers: Readers
  warn: (text: string) => void
  warnOnce: WarnOnce
  observer: TrafficObserver
}

/** The copies that the program has open for writing, by inode number. */
export class Writers {
  readonly #options: WritersOptions
  readonly #open = new Map<number, Written>()
  /** Copies that were open for writing until lately. */
  readonly #released = new Map<number, Copy>()
  /** What is done to a path comes one after the other. */
  readonly #turns = new Map<string, Promise<unknown>>()
  readonly #dirty = new Map<number, {since: number; last: number; mtime: bigint; size: bigint}>()
  #looking = false
  readonly #timer: NodeJS.Timeout

  constructor(options: WritersOptions) {
    this.#options = options
    this.#timer = setInterval(() => void this.#look(), LOOK_MS)
    this.#timer.unref()
  }

  /**
   * Opens the target's file with the flags of open(2), and makes its copy complete. Returns the copy for a descriptor that may
   * write; undefined when the flags only make or cut the file. @throws FileFailure
   */
  open(path: string, flags: number, mode: number, gone: AbortSignal): Promise<Copy | undefined> {
    return this.inTurn(path, async () => {
      const copy = await this.#openNow(path, flags, mode, gone)
      const written = copy && this.#open.get(copy.inode)
      if (written) written.opens++
      return copy
    })
  }

  /**
   * What is open for writing under an inode number; also what was until lately, because where the kernel has no leases the trap
   * takes each close for the last one. @throws FileFailure
   */
  async written(object: number): Promise<Written | undefined> {
    const written = this.#open.get(object)
    if (written) return written
    const copy = this.#released.get(object)
    if (!copy || this.#options.mirror.copy(copy.path) !== copy) return undefined
    return this.inTurn(copy.path, async () => {
      const again = this.#open.get(object)
      if (again) return again
      const {requests} = this.#options
      const fd = await requests.open(copy.path, {read: true, write: true})
      try {
        const value = {path: undefined, fd, followSymlink: true}
        const {metadata} = await requests.send({type: 'Xstat', value}, `stat ${copy.path}`)
        const resumed = await this.#begin(copy, 'write', fd)
        resumed.distrust(Number(metadata.size))
        return resumed
      } catch (error) {
        requests.close(fd)
        throw error
      }
    })
  }

  /** What is open for writing at a path. */
  at(path: string): Written | undefined {
    const copy = this.#options.mirror.copy(path)
    return copy && this.#open.get(copy.inode)
  }

  /** Everything written to the copy has reached the target. @throws FileFailure */
  async save(object: number): Promise<void> {
    const written = await this.written(object)
    if (written) await this.#save(written)
  }

  /** The last descriptor of so many opens is closed: everything goes to the target, and the copy is an ordinary one again. */
  async closed(object: number, opens: number): Promise<void> {
    try {
      const written = await this.written(object)
      if (!written) return
      written.opens -= opens
      await this.inTurn(written.copy.path, async () => {
        await this.#save(written)
        // More answers than the trap has counted: one is on its way to it.
        if (written.opens <= 0) await this.#release(object, written)
      })
    } catch (error) {
      const unsaved = this.#unsaved(object, error)
      this.#options.warn(
        `What was written to ${unsaved.path} could not be brought to the target: ${unsaved.reason}. Its content is in ${unsaved.copy} until the session ends.`,
      )
    }
  }

  /** Brings everything to the target; returns what could not be and has a name there. Never rejects. */
  async flush(): Promise<Unsaved[]> {
    const results = await Promise.all(
      [...this.#open].map(async ([object, written]) => {
        try {
          await this.#save(written)
          return []
        } catch (error) {
          // Removed, or another file has its name: nobody would find it.
          const {copy} = written
          return this.#options.mirror.copy(copy.path) === copy ? [this.#unsaved(object, error)] : []
        }
      }),
    )
    return results.flat()
  }

  /** Opens what is open with the agent that has taken over: there it is written whole. Never rejects. */
  async agentReplaced(): Promise<void> {
    await Promise.all(
      [...this.#open].map(async ([object, written]) => {
        try {
          await this.inTurn(written.copy.path, () => written.reopen())
        } catch (error) {
          if (this.#open.get(object) !== written) return
          const {path, reason} = this.#unsaved(object, error)
          this.#options.warn(`What is being written to ${path} cannot go to the target any more: ${reason}.`)
        }
      }),
    )
  }

  /** Ends everything; what was not brought to the target stays in the copies. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    const open = [...this.#open.values()]
    this.#open.clear()
    await Promise.allSettled(open.map((written) => written.close()))
  }

  /** Runs `work` after everything that was begun before at that path. */
  inTurn<T>(path: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(path) ?? Promise.resolve()
    const result = before.then(work)
    const turn = result.catch(() => undefined)
    this.#turns.set(path, turn)
    void turn.then(() => {
      if (this.#turns.get(path) === turn) this.#turns.delete(path)
    })
    return result
  }

  async #openNow(path: string, flags: number, mode: number, gone: AbortSignal): Promise<Copy | undefined> {
    const {requests, metadata, mirror, readers} = this.#options
    const writes = (flags & O_ACCMODE) !== O_RDONLY
    const truncate = (flags & O_TRUNC) !== 0
    const createNew = (flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0
    const appends = (flags & O_APPEND) !== 0 && writes
    const found = await this.#find(path, flags)
    // Nothing to make, to cut or to write: an ordinary open.
    if (found && isType(found, 'file') && !writes && !truncate && !createNew) return undefined
    if (found && !createNew) {
      if (isType(found, 'directory')) throw failure('EISDIR', `open ${path}`)
      if (!isType(found, 'file')) throw readers.unreadable(path, found)
      mirror.adopt(path, found)
    }
    const kind = appends ? 'append' : 'write'
    const shared = this.at(path)
    if (shared?.has(kind) && !truncate && !createNew) return shared.copy
    const create = (flags & O_CREAT) !== 0
    const read = (!shared && !truncate && found !== undefined) || (flags & O_ACCMODE) === O_RDWR
    const options = {read, write: !appends || truncate, append: appends && !truncate, truncate, create, createNew}
    const make = async () => {
      const fd = await this.#request(path, options)
      try {
        if (!found && create) await this.#setMode(path, fd, mode)
        const value = {path: undefined, fd, followSymlink: true}
        const {metadata: now} = await requests.send({type: 'Xstat', value}, `stat ${path}`)
        const copy = await this.#completed(path, now, fd, truncate, gone)
        if (!found) metadata.dropAround(path)
        metadata.put(path, now)
        if (truncate) this.#open.get(copy.inode)?.truncated()
        return {fd, copy}
      } catch (error) {
        requests.close(fd)
        throw error
      }
    }
    // What is being sent was read before the cut.
    const {fd, copy} = await (shared && truncate ? shared.exclusive(make) : make())
    return this.#take(copy, kind, fd, {writes, truncate})
  }

  /** Keeps what was opened for the program. */
  async #take(
    copy: Copy,
    kind: 'write' | 'append',
    opened: Int64,
    {writes, truncate}: {writes: boolean; truncate: boolean},
  ): Promise<Copy | undefined> {
    const {requests} = this.#options
    let fd: Int64 | undefined = opened
    try {
      if (!writes) return undefined
      const open = this.#open.get(copy.inode)
      if (open?.has(kind)) return copy
      if (kind === 'append' && truncate) {
        requests.close(fd)
        fd = undefined
        fd = await requests.open(copy.path, {append: true})
      }
      if (open) await open.add(kind, fd)
      else await this.#begin(copy, kind, fd)
      fd = undefined
      return copy
    } finally {
      if (fd !== undefined) requests.close(fd)
    }
  }

  /** What is at the path, undefined for nothing. @throws FileFailure unless nothing is there and it may be made */
  async #find(path: string, flags: number): Promise<Metadata | undefined> {
    const {metadata} = this.#options
    const follow = (flags & O_NOFOLLOW) === 0
    try {
      const {metadata: found, text} = await metadata.get(path, follow)
      if (text !== undefined && (flags & O_EXCL) === 0) throw failure('ELOOP', `open ${path}`)
      return found
    } catch (error) {
      const failed = toFailure(error, `open ${path}`)
      if (failed.is('ENOENT') && (flags & O_CREAT) !== 0) return undefined
      throw failed
    }
  }

  async #request(path: string, options: OpenOptions): Promise<Int64> {
    const {requests, warnOnce} = this.#options
    try {
      return await requests.open(path, options)
    } catch (error) {
      const failed = toFailure(error, `open ${path}`)
      this.#forget(path)
      if (!failed.is('EOPNOTSUPP')) throw failed
      warnOnce(
        'no writing',
        `The agent (protocol ${requests.version}) cannot write files of the target: the program gets EROFS. Use an agent image that can.`,
      )
      throw failure('EROFS', `open ${path}`)
    }
  }

  /** The copy of the open file, with its content. */
  async #completed(path: string, now: Metadata, fd: Int64, truncate: boolean, gone: AbortSignal): Promise<Copy> {
    const {mirror, readers} = this.#options
    const there = mirror.copy(path)
    while (there?.filling) await there.filling
    if (there && sameFile(there.metadata, now)) {
      if (truncate) {
        // In place: whoever has the copy open sees the file cut, as in the target.
        mirror.rewrite(there, now, (fd) => fs.ftruncateSync(fd, 0))
        return there
      }
      if (there.writing) return there
    }
    mirror.adopt(path, now)
    const copy = mirror.copy(path)
    if (!copy) throw failure('EIO', `open ${path}: it is no regular file any more`)
    if (truncate || now.size === 0) copy.complete = true
    else if (!copy.complete) await readers.fill(copy, fd, gone)
    return copy
  }

  async #begin(copy: Copy, kind: 'write' | 'append', fd: Int64): Promise<Written> {
    const {requests, mirror} = this.#options
    const file = await openFile(mirror.local(copy.path), fs.constants.O_RDONLY | O_NOFOLLOW)
    const written = new Written(requests, copy, file, (mode) => mirror.fileMode(mode))
    try {
      await written.begin(kind, fd)
    } catch (error) {
      await file.close()
      throw error
    }
    copy.writing = true
    this.#open.set(copy.inode, written)
    this.#released.delete(copy.inode)
    return written
  }

  async #save(written: Written): Promise<void> {
    const {metadata, mirror, observer} = this.#options
    const {copy} = written
    const before = await written.look()
    const now = await written.upload()
    const bytes = written.takeSent()
    // Cutting sends nothing and writes all the same.
    if (now || bytes > 0) observer.file({path: copy.path, bytes, direction: 'written'})
    if (!now) return
    const linked = mirror.copy(copy.path) === copy
    // Others have written too: then the copy is not what the target has, and the next check finds that out.
    if (Number(now.size) !== Number(before.size)) {
      if (linked) metadata.drop(copy.path)
      return
    }
    copy.metadata = now
    if (!linked) return
    metadata.put(copy.path, now)
    const place = mirror.local(copy.path)
    const after = fs.lstatSync(place, {bigint: true})
    if (after.mtimeNs !== before.mtime || after.size !== before.size) return
    fs.lutimesSync(place, seconds(now.accessTime), seconds(now.modificationTime))
    written.settled(fs.lstatSync(place, {bigint: true}))
  }

  async #release(object: number, written: Written): Promise<void> {
    this.#open.delete(object)
    this.#dirty.delete(object)
    written.copy.writing = false
    this.#released.set(object, written.copy)
    const [oldest] = this.#released.keys()
    if (this.#released.size > MAX_RELEASED && oldest !== undefined) this.#released.delete(oldest)
    await written.close()
  }

  /** Brings to the target what the program has written and not yet closed, so that little is lost when all are killed. */
  async #look(): Promise<void> {
    if (this.#looking) return
    this.#looking = true
    const now = performance.now()
    for (const [object, written] of this.#open) {
      try {
        const {mtime, size, clean} = await written.look()
        if (clean) {
          this.#dirty.delete(object)
          continue
        }
        const dirty = this.#dirty.get(object) ?? {since: now, last: now, mtime, size}
        if (dirty.mtime !== mtime || dirty.size !== size) Object.assign(dirty, {mtime, size, last: now})
        this.#dirty.set(object, dirty)
        if (now - dirty.last < QUIET_MS && now - dirty.since < BUSY_MS) continue
        this.#dirty.delete(object)
        await this.#save(written)
      } catch (error) {
        if (this.#open.get(object) !== written) continue // Closed meanwhile.
        const {path, reason} = this.#unsaved(object, error)
        this.#options.warnOnce(
          `behind ${path}`,
          `What is being written to ${path} does not reach the target: ${reason}. It is tried again at fsync, at close and at the end.`,
        )
      }
    }
    this.#looking = false
  }

  async #setMode(path: string, fd: Int64, mode: number): Promise<void> {
    const {requests} = this.#options
    if (!requests.supports('copyFile')) {
      this.#options.warnOnce(
        'mode',
        `The agent's version (protocol ${requests.version}) cannot set the mode of new files, ${path} for one: they get what the agent's umask gives. Use a newer agent image.`,
      )
      return
    }
    await requests.send({type: 'Fchmod', value: {fd, mode: mode & 0o7777}}, `chmod ${path}`)
  }

  #forget(path: string): void {
    this.#options.metadata.drop(path)
  }

  #unsaved(object: number, error: unknown): Unsaved {
    const copy = this.#open.get(object)?.copy ?? this.#released.get(object)
    const path = copy?.path ?? `(inode ${object})`
    return {path, copy: copy ? this.#options.mirror.local(path) : '', reason: toFailure(error, 'write').message}
  }
}
