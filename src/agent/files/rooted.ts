import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  open as openFile,
  readlinkSync,
  type BigIntStats,
  type Stats,
} from 'node:fs'
import {access, lstat, mkdir, open, readlink, stat, type FileHandle} from 'node:fs/promises'
import {promisify} from 'node:util'
import {Mounts} from './mounts.ts'
import type {Ownership} from './ownership.ts'
import {errno, O_PATH, Walk, type Root} from './walk.ts'

/** How often a file may come and go while it is being made. */
const MAX_RACES = 100

export {AboveRootError} from './walk.ts'

const openPath = promisify(openFile)
const {O_NOFOLLOW, O_NONBLOCK, O_NOCTTY, O_RDONLY, O_DIRECTORY, O_CREAT, O_EXCL} = constants

/** A file found under the root: close it when done. */
export class Located {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  /** A path that the kernel resolves to exactly this file, in whatever mount namespace it is. Valid until `close`. */
  get path(): string {
    return `/proc/self/fd/${this.#handle.fd}`
  }

  stat(): Promise<Stats & {bigint?: never}> {
    return this.#handle.stat()
  }

  /** @param mode bits of access(2) */
  access(mode: number): Promise<void> {
    return access(this.path, mode)
  }

  get handle(): FileHandle {
    return this.#handle
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

/** What the kernel says to a path whose last component is no name. */
export interface NamelessErrors {
  /** `/`, or a path that ends in `.` */
  here: readonly [code: string, errno: number]
  /** A path that ends in `..` */
  up?: readonly [code: string, errno: number]
}

/** Files under a foreign root directory, reached as after a chroot (see `Walk`). */
export class RootedFiles {
  readonly #path: string
  readonly #ownership: Ownership | undefined
  #root: Promise<Root> | undefined

  /**
   * @param root for example `/proc/PID/root`, or `/`
   * @param ownership whom what is made belongs to; absent: to this process's user
   */
  constructor(root: string, ownership?: Ownership) {
    this.#path = root
    this.#ownership = ownership
  }

  /**
   * Finds a file.
   * @param path absolute, or relative to `from` or else to the root
   * @param follow whether a symbolic link as last component is followed
   * @param from a directory's own path below the root, that a relative path starts at
   * @throws NodeJS.ErrnoException from the kernel, ELOOP included; AboveRootError
   */
  locate(path: string, follow: boolean, from = '/'): Promise<Located> {
    return this.#walk(path, from, async (walk) => {
      for (;;) {
        const name = await walk.last()
        if (name === undefined) return new Located(await open(walk.directory, O_PATH | O_DIRECTORY))
        const found = await open(`${walk.directory}/${name}`, O_PATH | O_NOFOLLOW)
        let keep = false
        try {
          const stats = await found.stat()
          if (!stats.isSymbolicLink() || (!follow && !walk.directoryWanted)) {
            if (walk.directoryWanted && !stats.isDirectory()) throw errno('ENOTDIR', 20, 'not a directory')
            keep = true
            return new Located(found)
          }
        } finally {
          if (!keep) await found.close()
        }
        await walk.follow()
      }
    })
  }

  /** What `path` is: as `locate`, and then fstat(2), with less steps. @throws as `locate` */
  stat(path: string, follow: boolean, from = '/'): Promise<BigIntStats> {
    return this.#walk(path, from, async (walk) => {
      for (;;) {
        const name = await walk.last()
        if (name === undefined) return stat(walk.directory, {bigint: true})
        const entry = `${walk.directory}/${name}`
        const found = walk.atOnce ? lstatNow(entry) : await lstat(entry, {bigint: true})
        if (!found.isSymbolicLink() || (!follow && !walk.directoryWanted)) {
          if (walk.directoryWanted && !found.isDirectory()) throw errno('ENOTDIR', 20, 'not a directory')
          return found
        }
        await walk.follow()
      }
    })
  }

  /**
   * Opens a file as open(2) with these flags does; what it creates gets 0666 less the umask. Never waits for the other
   * end of a FIFO (reads and writes then do not wait either), never makes a terminal ours.
   * @throws as `locate`
   */
  async open(path: string, flags: number, from = '/'): Promise<FileHandle> {
    return (await this.opened(path, flags, from)).handle
  }

  /** As `open`; `directory` is whether it is one. @throws as `locate` */
  opened(path: string, flags: number, from = '/'): Promise<{handle: FileHandle; directory: boolean}> {
    const all = flags | O_NONBLOCK | O_NOCTTY
    return this.#walk(path, from, async (walk) => {
      for (;;) {
        const name = await walk.last()
        if (name === undefined) return typed(await open(walk.directory, all), false)
        // A slash behind the name would make the kernel follow a link there, out of the root perhaps.
        if (walk.directoryWanted && flags & O_CREAT) throw errno('EISDIR', 21, 'is a directory')
        const directory = walk.directoryWanted ? O_DIRECTORY : 0
        const entry = `${walk.directory}/${name}`
        const opening =
          flags & O_CREAT
            ? this.#create(entry, all | O_NOFOLLOW, walk.directory)
            : open(entry, all | directory | O_NOFOLLOW)
        const opened = await opening.catch((error: NodeJS.ErrnoException) => error)
        if (!(opened instanceof Error)) return typed(opened, walk.atOnce)
        // A link gives ELOOP, or ENOTDIR where a directory is wanted; with O_EXCL it is not followed.
        const link = opened.code === 'ELOOP' || (opened.code === 'ENOTDIR' && (await isLink(entry)))
        if (!link || flags & O_EXCL) throw opened
        await walk.follow()
      }
    })
  }

  /**
   * Does something to a name in its directory: create, remove or rename it. A link as last component is not followed.
   * @param act gets a path of the name, and its directory; none of the calls for which this is made follows a link there
   * @param nameless what paths without a name fail with
   * @throws as `locate`, and what `act` throws
   */
  at<T>(
    path: string,
    from: string,
    nameless: NamelessErrors,
    act: (path: string, directory: string) => Promise<T>,
  ): Promise<T> {
    const last = path.replace(/\/+$/, '').split('/').at(-1)
    return this.#walk(path, from, async (walk) => {
      const name = await walk.last()
      const [code, number] = (last === '..' ? nameless.up : undefined) ?? nameless.here
      if (name === undefined || last === '.') throw errno(code, number, 'the path has no name at its end')
      return act(`${walk.directory}/${name}${walk.directoryWanted ? '/' : ''}`, walk.directory)
    })
  }

  /** Makes a directory, with the mode of mkdir(2): less this process's umask. @throws as `at` */
  makeDirectory(path: string, from: string, mode: number): Promise<void> {
    return this.at(path, from, {here: ['EEXIST', 17]}, async (entry, directory) => {
      await mkdir(entry, {mode})
      await this.#ownership?.giveDirectory(entry, directory)
    })
  }

  /** The target of a symbolic link. @throws as `locate`; EINVAL when it is no link; TypeError when it is no UTF-8 */
  readLink(path: string): Promise<string> {
    return this.at(path.replace(/\/+$/, '') || '/', '/', {here: ['EINVAL', 22]}, async (entry) => {
      const target = await readlink(entry, {encoding: 'buffer'})
      return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(target)
    })
  }

  /** The whole text of a small file. @throws as `locate`; EFBIG beyond 1 MiB */
  async readText(path: string): Promise<string> {
    const file = await this.open(path, O_RDONLY)
    try {
      const limit = 1024 * 1024
      const chunks: Buffer[] = []
      for (let size = 0; ;) {
        const {bytesRead, buffer} = await file.read(Buffer.alloc(16_384), 0, 16_384, null)
        if (bytesRead === 0) return Buffer.concat(chunks).toString('utf8')
        size += bytesRead
        if (size > limit) throw errno('EFBIG', 27, 'file too large')
        chunks.push(buffer.subarray(0, bytesRead))
      }
    } finally {
      await file.close()
    }
  }

  /** Lets go of the root. */
  async close(): Promise<void> {
    const root = await this.#root
    this.#root = undefined
    if (root) closeSync(root.fd)
    await this.#ownership?.close()
  }

  /** open(2) with O_CREAT that knows whether it has made the file. */
  async #create(entry: string, flags: number, directory: string): Promise<FileHandle> {
    if (!this.#ownership) return open(entry, flags)
    for (let attempt = 0; ; attempt++) {
      if (!(flags & O_EXCL)) {
        const there = await open(entry, flags & ~O_CREAT).catch((error: NodeJS.ErrnoException) => error)
        if (!(there instanceof Error)) return there
        if (there.code !== 'ENOENT') throw there
      }
      try {
        const made = await open(entry, flags | O_EXCL)
        await this.#ownership.give(made, directory)
        return made
      } catch (error) {
        // Somebody else has made it in between.
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || flags & O_EXCL || attempt > MAX_RACES) throw error
      }
    }
  }

  async #walk<T>(path: string, from: string, act: (walk: Walk) => Promise<T>): Promise<T> {
    // What open(2) says to "", and what no path on a system can hold.
    if (path === '') throw errno('ENOENT', 2, 'empty path')
    if (path.includes('\0')) throw errno('EINVAL', 22, 'the path holds a zero byte')
    const walk = new Walk(await this.#opened(), path.startsWith('/') ? path : `${from}/${path}`)
    try {
      return await act(walk)
    } finally {
      walk.close()
    }
  }

  /** The root stays open: it is the same directory even when the target's process number is used again. */
  #opened(): Promise<Root> {
    this.#root ??= openRoot(this.#path).catch((error: unknown) => {
      this.#root = undefined
      throw error
    })
    return this.#root
  }
}

async function typed(handle: FileHandle, atOnce: boolean): Promise<{handle: FileHandle; directory: boolean}> {
  try {
    const stats = atOnce ? fstatSync(handle.fd) : await handle.stat()
    return {handle, directory: stats.isDirectory()}
  } catch (error) {
    await handle.close()
    throw error
  }
}

function lstatNow(path: string): BigIntStats {
  const found = lstatSync(path, {bigint: true, throwIfNoEntry: false})
  if (!found) throw errno('ENOENT', 2, 'no such file or directory')
  return found
}

function isLink(path: string): Promise<boolean> {
  return lstat(path).then(
    (stats) => stats.isSymbolicLink(),
    () => false,
  )
}

async function openRoot(path: string): Promise<Root> {
  const fd = await openPath(path, O_PATH | O_DIRECTORY)
  const name = readlinkSync(`/proc/self/fd/${fd}`)
  // Mount points are told as the process sees them whose root directory it is.
  const process = /^(\/proc\/\d+)\/root\/*$/.exec(path)?.[1] ?? '/proc/self'
  return {fd, name: name === '/' ? '' : name, mounts: new Mounts(`${process}/mountinfo`), direct: new Map()}
}
