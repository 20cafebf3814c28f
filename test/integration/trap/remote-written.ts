import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
} from 'node:fs'
import {constants as system} from 'node:os'
import {dirname, posix} from 'node:path'
import type {FileAnswer, FileRequest} from '../../../src/trap/types.ts'
import {objectOf} from '../../../src/trap/wire.ts'
import {type Classes, Target} from './remote.ts'

const {O_ACCMODE, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_RDONLY} = {...constants, O_ACCMODE: 3}

/** A target that may be written: a request changes the root directory, and the mirror follows as the session's does. */
export class WritableTarget extends Target {
  /** Copies that are open for writing: inode number to path. */
  readonly open = new Map<number, string>()
  /** Every file that was brought to the root, in order, and why. */
  readonly saved: string[] = []
  /** Errno of the next sync or close. */
  failSave = 0

  constructor(classes: Classes, mapping: readonly string[] = []) {
    super(classes, mapping)
    const read = this.handler
    this.handler = async (request) => {
      const {operation, path} = request
      const writes = operation === 'open' && (request.flags & (O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND)) !== O_RDONLY
      if (!writes && ['lookup', 'open', 'statfs', 'map', 'watch'].includes(operation)) return read(request)
      this.asked.push(`${operation} ${path}${request.other && ` ${request.other}`}`)
      this.requests.push(request)
      await this.before?.(request)
      try {
        return writes ? this.openForWriting(request) : this.change(request)
      } catch (error) {
        const number = (error as NodeJS.ErrnoException).errno
        if (number === undefined) throw error
        return {errno: Math.abs(number)}
      }
    }
  }

  /** The handler of the last close. */
  fileClosed = (object: number): void => {
    const path = this.open.get(object)
    if (path === undefined) return
    this.save(object, 'closed')
    this.open.delete(object)
  }

  private local(path: string): string {
    return this.options.directory + path
  }

  private save(object: number, why: string): void {
    const path = this.open.get(object)
    if (path === undefined) throw new Error(`${why} of a copy that is not open for writing: ${object}`)
    this.saved.push(`${why} ${path}`)
    const copy = lstatSync(this.local(path), {bigint: true, throwIfNoEntry: false})
    if (copy && objectOf(copy.ino) === object) copyFileSync(this.local(path), this.root + path)
  }

  private openForWriting({path, flags, mode}: FileRequest): FileAnswer {
    let real: string
    try {
      real = this.resolve(path, true)
      if ((flags & (O_CREAT | O_EXCL)) === (O_CREAT | O_EXCL)) return {errno: system.errno.EEXIST}
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || (flags & O_CREAT) === 0) throw error
      real = posix.join(this.resolve(dirname(path), true), posix.basename(path))
      closeSync(openSync(this.root + real, 'wx', mode))
      chmodSync(this.root + real, mode)
    }
    const stats = statSync(this.root + real)
    if (stats.isDirectory()) return {errno: system.errno.EISDIR}
    if ((flags & O_TRUNC) !== 0) truncateSync(this.root + real)
    const answer = this.metadata(real, stats)
    const object = objectOf(statSync(this.local(real), {bigint: true}).ino)
    if (!this.open.has(object)) copyFileSync(this.root + real, this.local(real))
    else if ((flags & O_TRUNC) !== 0) truncateSync(this.local(real))
    this.open.set(object, real)
    return {...answer, object}
  }

  private change({operation, path, other, flags, mode, object, numbers}: FileRequest): FileAnswer {
    if (operation === 'sync' || operation === 'close') {
      const errno = this.failSave
      this.failSave = 0
      if (errno) return {errno}
      this.save(object, operation)
      return {}
    }
    const [first = 0, second = 0, third = 0] = numbers
    const real = object !== 0 && this.open.has(object) ? (this.open.get(object) ?? '') : path
    const both = (make: (at: string) => void) => {
      make(this.root + real)
      if (lstatSync(this.local(real), {throwIfNoEntry: false})) make(this.local(real))
    }
    switch (operation) {
      case 'mkdir':
        mkdirSync(this.root + path)
        chmodSync(this.root + path, mode)
        break
      case 'rmdir':
        rmdirSync(this.root + path)
        rmSync(this.local(path), {recursive: true, force: true})
        break
      case 'unlink':
        unlinkSync(this.root + path)
        rmSync(this.local(path), {force: true})
        break
      case 'rename':
        if (flags === 1 && lstatSync(this.root + other, {throwIfNoEntry: false})) return {errno: system.errno.EEXIST}
        if (flags > 1) return {errno: system.errno.EINVAL}
        renameSync(this.root + path, this.root + other)
        rmSync(this.local(path), {recursive: true, force: true})
        rmSync(this.local(other), {recursive: true, force: true})
        break
      case 'chmod':
        both((at) => chmodSync(at, mode))
        break
      case 'chown':
        both((at) => chownSync(at, first, second))
        break
      case 'utimens':
        both((at) => utimesSync(at, first, third))
        break
      case 'truncate': {
        const fd = openSync(this.root + path, 'r+')
        ftruncateSync(fd, first)
        closeSync(fd)
        if (lstatSync(this.local(path), {throwIfNoEntry: false})) truncateSync(this.local(path), first)
        break
      }
      case 'link':
        linkSync(this.root + path, this.root + other)
        break
      case 'symlink':
        symlinkSync(other, this.root + path)
        break
      default:
        return {errno: system.errno.ENOSYS}
    }
    return {}
  }
}
