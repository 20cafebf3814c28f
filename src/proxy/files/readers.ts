import {open as openFile} from 'node:fs/promises'
import fs, {constants} from 'node:fs'
import type {Int64, Metadata} from '../../protocol/index.ts'
import type {TrafficObserver} from '../observer.ts'
import {failure, FileFailure, toFailure} from './failure.ts'
import {CHUNK, fetchContent} from './fetch.ts'
import {readDirectory, showEntries, visibleEntries, type Entry, type PathClass} from './listing.ts'
import {isType, type MetadataCache} from './metadata.ts'
import {seconds, writeAll, type Copy, type Mirror} from './mirror.ts'
import type {Opening, Requests, WarnOnce} from './requests.ts'

/** Files up to this size are read into memory and written in one go. */
const SMALL = 256 * 1024
/** How much of a file is asked for together with its open: all of a small one, the first part of a large one. */
const AHEAD = CHUNK

/** What reading works with. */
export interface ReadersOptions {
  requests: Requests
  metadata: MetadataCache
  mirror: Mirror
  classify: (path: string) => PathClass
  /** Named when the disk is full. */
  directory: string
  warnOnce: WarnOnce
  observer: TrafficObserver
}

/** An open that several callers may wait for. */
interface Shared {
  result: Promise<Metadata>
  callers: number
  abort: AbortController
}

/** Makes copies complete: content of files, names of directories. */
export class Readers {
  readonly #options: ReadersOptions
  readonly #opening = new Map<string, Shared>()
  readonly #never = new AbortController().signal

  constructor(options: ReadersOptions) {
    this.#options = options
  }

  /**
   * Completes the copy of a path (links followed) and returns its metadata. Callers at the same time share the work; it
   * stops when all of them are gone. @throws FileFailure
   */
  open(path: string, gone: AbortSignal): Promise<Metadata> {
    const {mirror} = this.#options
    let opening = this.#opening.get(path)
    if (!opening) {
      const abort = new AbortController()
      const result = this.#open(path, abort.signal).finally(() => {
        if (this.#opening.get(path)?.abort === abort) this.#opening.delete(path)
      })
      opening = {result, callers: 0, abort}
      this.#opening.set(path, opening)
    }
    const joined = opening
    joined.callers++
    return new Promise((resolve, reject) => {
      const leave = () => {
        reject(failure('EINTR', `open ${path}: the caller is gone`))
        if (--joined.callers > 0) return
        joined.abort.abort()
        if (this.#opening.get(path) === joined) this.#opening.delete(path)
      }
      if (gone.aborted) return leave()
      gone.addEventListener('abort', leave, {once: true})
      joined.result
        .then(resolve, (error: unknown) => {
          const failed = toFailure(error, `open ${path}`)
          if (failed.is('ENOENT', 'ENOTDIR')) mirror.vanished(path)
          reject(failed)
        })
        .catch(reject)
        .finally(() => gone.removeEventListener('abort', leave))
    })
  }

  async #open(path: string, signal: AbortSignal): Promise<Metadata> {
    const {requests, metadata, mirror} = this.#options
    let opening: Opening | undefined
    let beginning: Promise<Uint8Array | undefined> | undefined
    try {
      // Nothing is known that speaks against it: the file is opened and read while we ask what it is. In this order: what
      // is read is then not older than the metadata that it is remembered with.
      if (!mirror.copy(path)?.complete && !metadata.fresh(path, true)) opening = requests.openAhead(path)
      const asked = metadata.get(path, true)
      if (opening) beginning = requests.readAhead(opening, path, AHEAD)
      const {metadata: found} = await asked
      const start = await beginning
      const mine = this.#adopt(path, found, start)
      if (!mine && !isType(found, 'directory')) throw this.unreadable(path, found)
      if (mine?.complete) return mine.metadata
      if (!opening) {
        opening = requests.openAhead(path)
        const size = Math.min(AHEAD, Number(found.size))
        if (mine && size > 0) beginning = requests.readAhead(opening, path, size)
      }
      const fd = await opening.fd
      if (mine) await this.fill(mine, fd, signal, await beginning)
      else await this.#list(path, found, fd)
      return mine?.metadata ?? found
    } finally {
      opening?.fd.then((fd) => requests.closeSoon(fd)).catch(() => undefined)
    }
  }

  /**
   * Makes the mirror agree with what was found, and gives it the content when that is here already. Returns the copy of a
   * regular file.
   */
  #adopt(path: string, found: Metadata, start: Uint8Array | undefined): Copy | undefined {
    const {metadata, mirror} = this.#options
    const size = Number(found.size)
    // Less than was asked for is all there is, except of files that are made as they are read, as in /proc.
    const whole = start && start.length < AHEAD && (size > 0 || start.length === 0) && isType(found, 'file')
    const content = whole ? start.subarray(0, size) : undefined
    try {
      mirror.adopt(path, found, content)
      if (content) this.#fetched(path, content.length)
    } catch (error) {
      if (!content) throw error
      mirror.adopt(path, found) // filling it tells what is wrong with the disk
    }
    if (content && content.length !== size) metadata.drop(path)
    return mirror.copy(path)
  }

  /** Writes the content of the open file into the placeholder. @param start its first bytes, if known @throws FileFailure */
  async fill(copy: Copy, fd: Int64, signal: AbortSignal, start?: Uint8Array): Promise<void> {
    const {metadata, directory, warnOnce} = this.#options
    const {path} = copy
    const size = Number(copy.metadata.size)
    // A fill that nobody waits for any more may still be ending.
    while (copy.filling) await copy.filling
    if (copy.complete) return
    const done = Promise.withResolvers<void>()
    copy.filling = done.promise
    try {
      const length =
        size > 0 && size <= SMALL
          ? await this.#fillAtOnce(copy, fd, start)
          : await this.#stream(copy, fd, signal, start)
      if (length !== size && size !== 0) metadata.drop(path)
      copy.complete = true
      this.#fetched(path, length)
    } catch (error) {
      if (!(error instanceof FileFailure) && !signal.aborted) {
        const {message} = toFailure(error, `copy ${path}`)
        const text = `${path} of the target could not be copied to ${directory}: ${message}. Make room there.`
        warnOnce(`disk ${(error as NodeJS.ErrnoException).code}`, text)
      }
      throw toFailure(error, `read ${path}`)
    } finally {
      copy.filling = undefined
      done.resolve()
    }
  }

  /** A small file: a few system calls cost less than as many turns of the thread pool. Returns its size. */
  async #fillAtOnce(copy: Copy, fd: Int64, start?: Uint8Array): Promise<number> {
    const {requests, mirror} = this.#options
    const {metadata: found, path} = copy
    const size = Number(found.size)
    const bytes = await requests.budget.use(size, () => readSmall(requests, fd, path, size, start))
    mirror.rewrite(copy, {...found, size: bytes.length}, (to) => writeWhole(to, bytes))
    return bytes.length
  }

  /** Copies the content as it comes. Returns its size. */
  async #stream(copy: Copy, fd: Int64, signal: AbortSignal, start?: Uint8Array): Promise<number> {
    const {requests, mirror} = this.#options
    const {path} = copy
    const size = Number(copy.metadata.size)
    // Closed before the program gets its own descriptor: a file that is open for writing cannot be executed (ETXTBSY).
    const file = await openFile(mirror.local(path), constants.O_WRONLY | constants.O_NOFOLLOW)
    try {
      // Whatever an earlier try has left must not show where the file is zero.
      await file.truncate(0)
      await file.truncate(size)
      const length = await fetchContent({requests, fd, path, size, file, signal, start})
      if (length !== size) {
        await file.truncate(length)
        copy.metadata = {...copy.metadata, size: length}
      }
      return length
    } catch (error) {
      await file.truncate(0).catch(() => undefined)
      await file.truncate(size).catch(() => undefined)
      throw error
    } finally {
      const {accessTime, modificationTime} = copy.metadata
      await file.utimes(seconds(accessTime), seconds(modificationTime)).finally(() => file.close())
    }
  }

  /** What the program may open in a directory, asked anew. @throws FileFailure */
  async entries(path: string): Promise<Entry[]> {
    const {requests, classify} = this.#options
    const fd = await requests.open(path, {read: true})
    try {
      return visibleEntries(path, await readDirectory(requests, fd, path), classify)
    } finally {
      requests.close(fd)
    }
  }

  /** Makes a directory of the mirror show these entries. @throws errors of the local disk */
  show(path: string, entries: readonly Entry[]): Promise<void> {
    return showEntries(this.#options.mirror, path, entries, this.#options.classify)
  }

  /**
   * Gets the content of a file again into the same inode, for those who watch it. A small file is changed in one go.
   * @throws FileFailure
   */
  async renew(copy: Copy, found: Metadata): Promise<void> {
    const {requests, mirror} = this.#options
    const {path} = copy
    const size = Number(found.size)
    const fd = await requests.open(path, {read: true})
    try {
      // The program may have opened it for writing, or the path have become another file.
      if (mirror.copy(path) !== copy || mirror.isBusy(path)) return
      if (size > SMALL) {
        copy.metadata = found
        copy.complete = false
        return await this.fill(copy, fd, this.#never)
      }
      const bytes = await readSmall(requests, fd, path, Math.max(size, 1))
      if (mirror.copy(path) !== copy || mirror.isBusy(path)) return
      mirror.rewrite(copy, {...found, size: bytes.length}, (to) => writeWhole(to, bytes))
      this.#fetched(path, bytes.length)
    } finally {
      requests.close(fd)
    }
  }

  #fetched(path: string, bytes: number): void {
    this.#options.observer.file({path, bytes, direction: 'fetched'})
  }

  async #list(path: string, found: Metadata, fd: Int64): Promise<void> {
    const {requests, mirror, classify} = this.#options
    const entries = visibleEntries(path, await readDirectory(requests, fd, path), classify)
    mirror.adopt(path, found)
    await this.show(path, entries)
    mirror.setTimes(path, found)
  }

  /** Why what is no regular file cannot be opened; the user is told once. */
  unreadable(path: string, found: Metadata): FileFailure {
    const kinds = {fifo: 'a FIFO', socket: 'a socket', characters: 'a device', blocks: 'a device'} as const
    const kind = (Object.keys(kinds) as (keyof typeof kinds)[]).find((type) => isType(found, type))
    const name = kind === 'characters' || kind === 'blocks' ? 'EACCES' : 'ENXIO'
    const what = kind ? kinds[kind] : 'no regular file'
    this.#options.warnOnce(
      `special ${path}`,
      `${path} of the target is ${what} and cannot be opened from here: the program gets ${name}.`,
    )
    return failure(name, `open ${path}: ${what}`)
  }
}

/** The first `size` bytes of a file, fewer when it has become shorter. @throws FileFailure */
async function readSmall(
  requests: Requests,
  fd: Int64,
  path: string,
  size: number,
  start?: Uint8Array,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = start ? [start.subarray(0, size)] : []
  for (let done = parts[0]?.length ?? 0; done < size;) {
    const value = {remoteFd: fd, bufferSize: size - done, startFrom: done}
    const {bytes} = await requests.send({type: 'ReadLimited', value}, `read ${path}`)
    if (bytes.length === 0) break
    parts.push(bytes.subarray(0, size - done))
    done += bytes.length
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

function writeWhole(to: number, bytes: Uint8Array): void {
  fs.ftruncateSync(to, 0)
  writeAll(to, bytes)
}
