import fs from 'node:fs'
import type {Int64, Metadata} from '../../protocol/index.ts'
import type {FileAnswer, FileRequest} from '../../trap/types.ts'
import {failure, toFailure} from './failure.ts'
import {isType, type MetadataCache} from './metadata.ts'
import type {Mirror} from './mirror.ts'
import type {Requests, WarnOnce} from './requests.ts'
import type {Writers} from './writers.ts'
import type {Written} from './written.ts'

/** RENAME_NOREPLACE of renameat2(2). */
const RENAME_NOREPLACE = 1
/** AT_SYMLINK_NOFOLLOW of fchownat(2) and the like. */
const AT_SYMLINK_NOFOLLOW = 0x100
/** UTIME_NOW of utimensat(2). */
const UTIME_NOW = 0x3fffffff

/** What changing files works with. */
export interface ChangesOptions {
  requests: Requests
  metadata: MetadataCache
  mirror: Mirror
  writers: Writers
  warnOnce: WarnOnce
  /** Answers that the trap keeps are no longer true. */
  filesChanged: () => void
}

/** What changes files of the target by their path, or by a copy that is open; the mirror follows. */
export class Changes {
  readonly #options: ChangesOptions

  constructor(options: ChangesOptions) {
    this.#options = options
  }

  /** @throws FileFailure */
  async make(request: FileRequest): Promise<FileAnswer> {
    const {requests, mirror} = this.#options
    const {operation, path, other, mode} = request
    const what = `${operation} ${path}`
    switch (operation) {
      case 'mkdir':
        return this.#change([path], async () => {
          if (await this.#isFollowedLink(path)) throw failure('EEXIST', what)
          await requests.send({type: 'MakeDir', value: {pathname: path, mode: mode & 0o7777}}, what)
          mirror.vanished(path)
        })
      case 'rmdir':
        return this.#change([path], async () => {
          if (await this.#isFollowedLink(path)) throw failure('ENOTDIR', what)
          await requests.send({type: 'RemoveDir', value: {pathname: path}}, what)
          mirror.remove(path)
        })
      case 'unlink':
        return this.#change([path], async () => {
          await this.#refuseFollowed(path, what)
          await requests.send({type: 'Unlink', value: {pathname: path}}, what)
          mirror.remove(path)
        })
      case 'rename':
        return this.#change([path, other], () => this.#rename(request))
      case 'truncate':
        return this.#change([path], () => this.#truncate(path, request.numbers[0] ?? 0))
      case 'chmod':
        return this.#attribute(request, (fd) => requests.send({type: 'Fchmod', value: {fd, mode: mode & 0o7777}}, what))
      case 'chown': {
        const [owner = -1, group = -1] = request.numbers
        // -1 keeps: the same number without a sign for the agent.
        const value = {owner: owner >>> 0, group: group >>> 0}
        return this.#attribute(request, (fd) => requests.send({type: 'Fchown', value: {fd, ...value}}, what))
      }
      case 'utimens': {
        const times = timesOf(request.numbers)
        return this.#attribute(request, (fd) => requests.send({type: 'Futimens', value: {fd, times}}, what))
      }
      case 'link':
      case 'symlink':
        this.#options.warnOnce(
          operation,
          `${operation === 'link' ? 'Hard' : 'Symbolic'} links cannot be made in the target (${operation === 'link' ? other : path}): the protocol has no request for them. The program gets EPERM.`,
        )
        throw failure('EPERM', what)
      default:
        throw failure('ENOSYS', what)
    }
  }

  /** One after the other at a path; what is remembered of it, its parent and everything below is forgotten. */
  async #change(paths: readonly string[], work: () => Promise<void>): Promise<FileAnswer> {
    const {writers, metadata, filesChanged} = this.#options
    // Always in the same order, so that two renames cannot wait for each other.
    const [first = '', second = first] = [...paths].sort()
    const run = async () => {
      try {
        await work()
      } finally {
        for (const path of paths) metadata.dropAround(path)
        filesChanged()
      }
    }
    await writers.inTurn(first, () => (second === first ? run() : writers.inTurn(second, run)))
    return {}
  }

  async #rename({path, other, flags}: FileRequest): Promise<void> {
    const {requests, metadata, mirror} = this.#options
    const what = `rename ${path} to ${other}`
    if ((flags & ~RENAME_NOREPLACE) !== 0) throw failure('EINVAL', `${what}: the protocol has no such rename`)
    if ((flags & RENAME_NOREPLACE) !== 0) {
      metadata.drop(other)
      const there = await metadata.get(other, false).catch(() => undefined)
      if (there) throw failure('EEXIST', what)
    }
    for (const name of [path, other]) await this.#refuseFollowed(name, what)
    await requests.send({type: 'Rename', value: {oldPath: path, newPath: other}}, what)
    if (path !== other) mirror.rename(path, other)
  }

  /** A link that the agent would follow when it is to change the link itself. @throws FileFailure */
  async #isFollowedLink(path: string): Promise<boolean> {
    const {metadata} = this.#options
    if (metadata.wholeTimes) return false
    metadata.drop(path)
    try {
      const {text} = await metadata.get(path, false)
      return text !== undefined && !metadata.wholeTimes
    } catch (error) {
      if (toFailure(error, path).is('ENOENT', 'ENOTDIR')) return false
      throw error
    }
  }

  async #refuseFollowed(path: string, what: string): Promise<void> {
    if (!(await this.#isFollowedLink(path))) return
    this.#options.warnOnce(
      'followed link',
      `Links in the target are not removed, renamed or replaced (${path}): upstream's agent would do it to what they lead to. The program gets EPERM.`,
    )
    throw failure('EPERM', what)
  }

  async #truncate(path: string, length: number): Promise<void> {
    const {requests, mirror, writers} = this.#options
    const what = `truncate ${path}`
    const {metadata: found} = await this.#options.metadata.get(path, true)
    if (isType(found, 'directory')) throw failure('EISDIR', what)
    const open = writers.at(path)
    if (open) {
      mirror.rewrite(open.copy, open.copy.metadata, (fd) => fs.ftruncateSync(fd, length))
      await writers.save(open.copy.inode)
      return
    }
    const cut = length === 0 && !requests.supports('copyFile')
    const fd = await requests.open(path, {write: true, truncate: cut})
    try {
      if (!cut) await requests.send({type: 'Ftruncate', value: {fd, length}}, what)
      const now = await this.#stat(fd, what)
      const copy = mirror.copy(path)
      if (copy?.complete) mirror.rewrite(copy, now, (fd) => fs.ftruncateSync(fd, length))
    } finally {
      requests.close(fd)
    }
  }

  /** Changes what metadata say of a file, by its open copy or its path. */
  async #attribute(request: FileRequest, set: (fd: Int64) => Promise<unknown>): Promise<FileAnswer> {
    const {writers} = this.#options
    if (request.object !== 0) {
      const written = await writers.written(request.object)
      if (written) {
        // An open copy may have no path any more.
        await this.#setOpen(written, set)
        this.#options.metadata.drop(written.copy.path)
        this.#options.filesChanged()
        return {}
      }
    }
    const {path} = request
    return this.#change([path], async () => {
      const open = writers.at(path)
      if (open) return this.#setOpen(open, set)
      await this.#setClosed(request, set)
    })
  }

  async #setOpen(written: Written, set: (fd: Int64) => Promise<unknown>): Promise<void> {
    const {writers} = this.#options
    const {copy} = written
    // What is sent later would change the times again.
    await writers.save(copy.inode)
    if (written.fd === undefined) throw failure('EBADF', copy.path)
    await set(written.fd)
    const now = await this.#stat(written.fd, `stat ${copy.path}`)
    copy.metadata = now
    await written.show(now)
  }

  async #setClosed(request: FileRequest, set: (fd: Int64) => Promise<unknown>): Promise<void> {
    const {requests, mirror, metadata, warnOnce} = this.#options
    const {path, operation, flags} = request
    const what = `${operation} ${path}`
    const {metadata: found} = await metadata.get(path, (flags & AT_SYMLINK_NOFOLLOW) === 0)
    if (!isType(found, 'file')) {
      if (isSo(request, found)) return
      warnOnce(
        `attributes ${operation}`,
        `${operation} of ${path}: the protocol can do that to regular files only. The program gets EOPNOTSUPP.`,
      )
      throw failure('EOPNOTSUPP', what)
    }
    const fd = await requests.open(path, {read: true})
    try {
      await set(fd)
      const now = await this.#stat(fd, what)
      const copy = mirror.copy(path)
      if (copy && !copy.filling) mirror.rewrite(copy, now)
    } finally {
      requests.close(fd)
    }
  }

  async #stat(fd: Int64, what: string): Promise<Metadata> {
    const value = {path: undefined, fd, followSymlink: true}
    return (await this.#options.requests.send({type: 'Xstat', value}, what)).metadata
  }
}

/** Whether the mode or owner that the program asks for is what the file has: archivers and copiers set them in any case. */
function isSo({operation, mode, numbers}: FileRequest, found: Metadata): boolean {
  if (operation === 'chmod') return (found.mode & 0o7777) === (mode & 0o7777)
  if (operation !== 'chown') return false
  const [owner = -1, group = -1] = numbers
  return (owner === -1 || owner === found.userId) && (group === -1 || group === found.groupId)
}

type Times = [{tvSec: number; tvNsec: number}, {tvSec: number; tvNsec: number}]

/** Access and modification time as the agent hands them to the kernel; undefined: both are now, by the target's clock. */
function timesOf(numbers: readonly number[]): Times | undefined {
  const [accessSec = 0, accessNsec = UTIME_NOW, modifiedSec = 0, modifiedNsec = UTIME_NOW] = numbers
  if (accessNsec === UTIME_NOW && modifiedNsec === UTIME_NOW) return undefined
  return [
    {tvSec: accessSec, tvNsec: accessNsec},
    {tvSec: modifiedSec, tvNsec: modifiedNsec},
  ]
}
