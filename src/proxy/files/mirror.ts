import {createHash} from 'node:crypto'
import fs from 'node:fs'
import {rename, writeFile} from 'node:fs/promises'
import path from 'node:path'
import type {Metadata} from '../../protocol/index.ts'
import {objectOf} from '../../trap/wire.ts'
import {isType, parentOf} from './metadata.ts'

const {O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW} = fs.constants

/** What the links in the tree point to: they only show a type in a listing, nothing may follow them. */
const NOWHERE = '/nonexistent/mirrord-link'

/** Empty files kept ready. */
const SPARE = 16

/** A file of the target that has a copy (or as yet a placeholder) at its path in the mirror. */
export interface Copy {
  path: string
  /** As the agent last told, or as it was when the copy was made. */
  metadata: Metadata
  /** Inode number of the copy. */
  inode: number
  /** The content is there: the copy may be opened. */
  complete: boolean
  /** The content is being written by us: the inode stays what it is. */
  filling?: Promise<void>
  /** The program has it open for writing: the inode stays what it is, as long as it is the same file in the target. */
  writing: boolean
}

/**
 * The copies of the target's files on disk: the remote path /a/b is `tree`/a/b, always what a link there leads to. What a
 * link itself looks like is beside it in `links`. All steps are synchronous, so nothing sees a half of one.
 */
export class Mirror {
  /** The directory that the trap takes for the target's root. */
  readonly tree: string
  readonly #shared: boolean
  readonly #links: string
  readonly #fresh: string
  readonly #nursery: string
  readonly #copies = new Map<string, Copy>()
  readonly #directories = new Map<string, Metadata>()
  /** Regular files that only show a name so far: they become placeholders, so that the listing told their inode. */
  readonly #standIns = new Set<string>()
  /** An empty file whose names are those of large listings. */
  #blank: string | undefined
  #next = 0
  /** Empty files that are there to become copies: to create one can cost most of a round trip. */
  readonly #spare: string[] = []
  #making: Promise<void> | undefined
  #closed = false

  /**
   * @param directory private; everything below it belongs to the mirror
   * @param shared the program is another user of this machine than we, and may do with copies what it likes
   */
  constructor(directory: string, shared = false) {
    this.#shared = shared
    this.tree = path.join(directory, 'tree')
    this.#links = path.join(directory, 'links')
    this.#fresh = path.join(directory, 'new')
    this.#nursery = path.join(directory, 'spare')
    fs.mkdirSync(directory, {recursive: true, mode: 0o700})
    if (shared) fs.chmodSync(directory, 0o711)
    for (const part of [this.#links, this.#fresh, this.#nursery])
      fs.mkdirSync(part, {recursive: true, mode: shared ? 0o711 : 0o700})
    fs.mkdirSync(this.tree, {recursive: true, mode: 0o755})
    this.#makeSpare()
  }

  /** Permission bits of the copy of a file with this mode. */
  fileMode(mode: number): number {
    return fileMode(mode) | (this.#shared ? 0o666 : 0)
  }

  #directoryMode(mode: number): number {
    return directoryMode(mode) | (this.#shared ? 0o755 : 0)
  }

  /** Nothing is made any more from here on. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#making
  }

  /** Where the remote path is on disk. */
  local(remote: string): string {
    return remote === '/' ? this.tree : this.tree + remote
  }

  /** The copy of a regular file. */
  copy(remote: string): Copy | undefined {
    return this.#copies.get(remote)
  }

  /** Whether the copy is being written, by us or by the program: it must stay what it is. */
  isBusy(remote: string): boolean {
    const copy = this.#copies.get(remote)
    return copy !== undefined && (copy.filling !== undefined || copy.writing)
  }

  /**
   * Makes the mirror agree with what the agent says of a path (links followed). A file that has changed gets a new inode,
   * so that descriptors keep what they had; not while we or the program write it. `content` is all of it, if it is here: a new
   * copy then gets it, and is complete. @throws errors of the local disk
   */
  adopt(remote: string, metadata: Metadata, content?: Uint8Array): void {
    if (isType(metadata, 'directory')) return this.#adoptDirectory(remote, metadata)
    const regular = isType(metadata, 'file')
    const copy = this.#copies.get(remote)
    if (copy && regular) {
      if (copy.filling || (copy.writing && sameFile(copy.metadata, metadata))) return
      if (!copy.writing && sameContent(copy.metadata, metadata)) {
        if (copy.metadata.mode !== metadata.mode) fs.chmodSync(this.local(remote), this.fileMode(metadata.mode))
        copy.metadata = metadata
        return
      }
    }
    const make = (place: string) => {
      const fd = fs.openSync(place, O_CREAT | O_WRONLY | O_NOFOLLOW, 0o600)
      try {
        if (content) writeAll(fd, content)
        else if (regular && Number(metadata.size) > 0) fs.ftruncateSync(fd, Number(metadata.size))
        fs.fchmodSync(fd, this.fileMode(metadata.mode))
        fs.futimesSync(fd, seconds(metadata.accessTime), seconds(metadata.modificationTime))
        return objectOf(fs.fstatSync(fd, {bigint: true}).ino)
      } finally {
        fs.closeSync(fd)
      }
    }
    const inode = this.#standIns.delete(remote)
      ? make(this.local(remote))
      : this.#replace(remote, this.#emptyFile(), make)
    if (regular)
      this.#copies.set(remote, {
        path: remote,
        metadata: content ? {...metadata, size: content.length} : metadata,
        inode,
        complete: content !== undefined,
        writing: false,
      })
  }

  /**
   * Changes a copy in place as the target's file was changed, and gives it the target's mode and times. `change` gets a
   * descriptor open for writing, which is closed before this returns. @throws errors of the local disk
   */
  rewrite(copy: Copy, metadata: Metadata, change?: (fd: number) => void): void {
    const place = this.local(copy.path)
    // Mode and times may change while the copy is executed, which nobody may open for writing then (ETXTBSY).
    const fd = fs.openSync(place, (change ? O_WRONLY : O_RDONLY) | O_NOFOLLOW)
    try {
      change?.(fd)
      fs.fchmodSync(fd, this.fileMode(metadata.mode))
      fs.futimesSync(fd, seconds(metadata.accessTime), seconds(metadata.modificationTime))
    } finally {
      fs.closeSync(fd)
    }
    copy.metadata = metadata
    if (Number(metadata.size) === 0) copy.complete = true
  }

  /** Moves what is at a path, with everything below it, as the target did. @throws errors of the local disk */
  rename(from: string, to: string): void {
    this.remove(to)
    if (!lstat(this.local(from))) return
    this.#makeDirectories(parentOf(to))
    fs.renameSync(this.local(from), this.local(to))
    for (const known of [this.#copies, this.#directories] as Map<string, Copy | Metadata>[]) {
      for (const [name, value] of [...known]) {
        if (name !== from && !name.startsWith(`${from}/`)) continue
        known.delete(name)
        const moved = to + name.slice(from.length)
        known.set(moved, value)
        if ('path' in value) value.path = moved
      }
    }
    for (const name of [...this.#standIns]) {
      if (name !== from && !name.startsWith(`${from}/`)) continue
      this.#standIns.delete(name)
      this.#standIns.add(to + name.slice(from.length))
    }
    this.#touchParent(from)
    this.#touchParent(to)
  }

  /** A symbolic link that looks like the target's at `remote`; returns where it is. @throws errors of the local disk */
  link(remote: string, metadata: Metadata, text: string): string {
    const place = path.join(this.#links, createHash('sha256').update(remote).digest('hex').slice(0, 32))
    const [atime, mtime] = [seconds(metadata.accessTime), seconds(metadata.modificationTime)]
    let there: fs.Stats | undefined
    try {
      there = fs.readlinkSync(place) === text ? fs.lstatSync(place) : undefined
    } catch {
      // Not there yet.
    }
    if (!there) {
      const temporary = this.#temporary()
      fs.symlinkSync(text, temporary)
      fs.lutimesSync(temporary, atime, mtime)
      fs.renameSync(temporary, place)
    } else if (Math.abs(there.mtimeMs / 1000 - mtime) > 1e-5) fs.lutimesSync(place, atime, mtime)
    return place
  }

  /** The target has nothing at `remote` any more (links followed). Links of a listing stay: they may lead nowhere. */
  vanished(remote: string): void {
    const stats = lstat(this.local(remote))
    if (stats && !stats.isSymbolicLink() && !this.isBusy(remote)) this.remove(remote)
  }

  /** Takes a path and everything below it out of the mirror; open descriptors keep what they have. */
  remove(remote: string): void {
    const stats = lstat(this.local(remote))
    if (stats?.isDirectory()) this.forget(remote)
    else for (const known of [this.#copies, this.#directories, this.#standIns]) known.delete(remote)
    if (!stats) return
    fs.rmSync(this.local(remote), {recursive: true})
    this.#touchParent(remote)
  }

  /**
   * An entry that shows a name and its type in a listing, unless something is there already.
   * @param own whether a file gets an inode of its own; else it shares one: to create a file takes many times as long as to link it
   */
  standIn(remote: string, type: 'directory' | 'link' | 'file', own: boolean): void {
    const place = this.local(remote)
    try {
      if (type === 'directory') fs.mkdirSync(place, {mode: 0o755})
      else if (type === 'link') fs.symlinkSync(NOWHERE, place)
      else if (own || !this.#linkBlank(place)) {
        fs.closeSync(fs.openSync(place, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600))
        this.#standIns.add(remote)
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }

  /** One more name for an empty file; false where there are no hard links, or no more of them. */
  #linkBlank(place: string): boolean {
    for (const again of [true, false]) {
      if (this.#blank === undefined) {
        this.#blank = this.#temporary()
        fs.closeSync(fs.openSync(this.#blank, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600))
      }
      try {
        fs.linkSync(this.#blank, place)
        return true
      } catch (error) {
        const {code} = error as NodeJS.ErrnoException
        if (code === 'EEXIST' || code === 'ENOENT') throw error
        if (again) this.#blank = undefined
      }
    }
    return false
  }

  /** A link of the target leads elsewhere now: it is renamed over the old one, as the target did. */
  swapLink(remote: string): void {
    this.#replace(remote, this.#temporary(), (temporary) => {
      fs.symlinkSync(NOWHERE, temporary)
      return 0
    })
  }

  /** Names in the directory of the mirror, with their types. */
  names(remote: string): fs.Dirent[] {
    return fs.readdirSync(this.local(remote), {withFileTypes: true})
  }

  /** Gives a directory (or a file) the times that the agent told. */
  setTimes(remote: string, metadata: Metadata): void {
    fs.lutimesSync(this.local(remote), seconds(metadata.accessTime), seconds(metadata.modificationTime))
  }

  /** No copies are known at a path and below it any more. */
  forget(remote: string): void {
    for (const known of [this.#copies, this.#directories, this.#standIns]) {
      known.delete(remote)
      for (const name of known.keys()) if (name.startsWith(`${remote}/`)) known.delete(name)
    }
  }

  #adoptDirectory(remote: string, metadata: Metadata): void {
    const place = this.local(remote)
    this.#directories.set(remote, metadata)
    if (!lstat(place)?.isDirectory()) {
      this.forget(remote)
      fs.rmSync(place, {force: true})
      this.#makeDirectories(remote)
    }
    fs.chmodSync(place, this.#directoryMode(metadata.mode))
    this.setTimes(remote, metadata)
  }

  /** Renames a file made by `make` to the path, whatever is there. */
  #replace(remote: string, temporary: string, make: (temporary: string) => number): number {
    const place = this.local(remote)
    let result: number
    try {
      result = make(temporary)
    } catch (error) {
      fs.rmSync(temporary, {force: true})
      throw error
    }
    this.#copies.delete(remote)
    try {
      fs.renameSync(temporary, place)
    } catch {
      // Something else is in the way: a directory at the place, or a file where a directory is due.
      try {
        this.#makeDirectories(parentOf(remote))
        if (lstat(place)?.isDirectory()) {
          this.forget(remote)
          fs.rmSync(place, {recursive: true})
        }
        fs.renameSync(temporary, place)
      } catch (error) {
        fs.rmSync(temporary, {force: true})
        throw error
      }
    }
    this.#touchParent(remote)
    return result
  }

  /** Makes every directory down to `remote`, in place of what is no directory. */
  #makeDirectories(remote: string): void {
    let at = ''
    for (const name of remote.split('/').filter(Boolean)) {
      at += `/${name}`
      const place = this.local(at)
      if (lstat(place)?.isDirectory()) continue
      this.forget(at)
      fs.rmSync(place, {force: true})
      fs.mkdirSync(place, {mode: 0o755})
      this.#touchParent(at)
    }
  }

  /** What we did to a directory shall not show in its times. */
  #touchParent(remote: string): void {
    const parent = parentOf(remote)
    const metadata = this.#directories.get(parent)
    if (!metadata) return
    try {
      this.setTimes(parent, metadata)
    } catch {
      this.#directories.delete(parent) // not there any more
    }
  }

  /** An empty file, made ahead where possible. */
  #emptyFile(): string {
    const spare = this.#spare.shift()
    this.#makeSpare()
    return spare ?? this.#temporary()
  }

  /** In the thread pool, and in a directory of its own: whoever creates a file locks the directory while it does. */
  #makeSpare(): void {
    if (this.#closed || this.#making || this.#spare.length >= SPARE) return
    const name = String(this.#next++)
    const [made, place] = [path.join(this.#nursery, name), path.join(this.#fresh, name)]
    this.#making = writeFile(made, '', {flag: 'wx', mode: 0o600})
      .then(() => rename(made, place))
      .then(
        () => {
          this.#spare.push(place)
          this.#making = undefined
          this.#makeSpare()
        },
        () => (this.#making = undefined), // the disk is full, or the directory gone: told when a copy is made
      )
  }

  #temporary(): string {
    return path.join(this.#fresh, String(this.#next++))
  }
}

/** Writes all bytes at the beginning of an open file. @throws errors of the local disk */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += fs.writeSync(fd, bytes, done, bytes.length - done, done)
}

/** Whether both are about one file of the target. */
export function sameFile(a: Metadata, b: Metadata): boolean {
  return a.inode === b.inode && a.deviceId === b.deviceId
}

/** Whether a file's content is the same, as far as metadata can tell. */
export function sameContent(a: Metadata, b: Metadata): boolean {
  return (
    a.size === b.size &&
    a.modificationTime === b.modificationTime &&
    sameFile(a, b) &&
    (a.mode & 0o170000) === (b.mode & 0o170000)
  )
}

/** Seconds for utimes(2) of Node, from nanoseconds since the epoch. */
export function seconds(nanoseconds: number | bigint): number {
  return Number(nanoseconds) / 1e9
}

/**
 * Permission bits of a copy: the target's, so that programs that check a key's mode are content, but always writable for
 * us, and an executable is for everybody, as the program may have another user than we. Never set-user-ID.
 */
function fileMode(mode: number): number {
  return (mode & 0o777) | 0o600 | (mode & 0o111 ? 0o555 : 0)
}

function directoryMode(mode: number): number {
  return (mode & 0o777) | 0o711
}

function lstat(place: string): fs.Stats | undefined {
  try {
    return fs.lstatSync(place)
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return undefined
    throw error
  }
}
