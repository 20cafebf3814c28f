import type {BigIntStats} from 'node:fs'
import {rename, rmdir, statfs, unlink, type FileHandle} from 'node:fs/promises'
import {
  fileResponses,
  type FileRequest,
  type FileResponse,
  type FsMetadata,
  type Metadata,
  type OpenOptions,
  type SeekFrom,
} from '../../protocol/index.ts'
import type {Tunnel} from '../flow/tunnel.ts'
import {ioFailure, syntheticFailure} from '../os-error.ts'
import type {Attributes} from './attributes.ts'
import {openStream, packEntries, readEntries} from './directories.ts'
import {openFlags} from './open-flags.ts'
import {AboveRootError, type RootedFiles} from './rooted.ts'
import {DescriptorTable, RequestError} from './table.ts'

/** Bytes one read returns at most; a short read is allowed, and the request's size comes from outside. */
const MAX_READ = 4 * 1024 * 1024
/** What is read into a buffer of at most so many bytes that is used again, and copied when it is short. */
const MAX_KEPT = 1024 * 1024
const MAX_COPIED = 64 * 1024
const noBytes = Buffer.alloc(0)
/** Requests, and bytes to be written, that may wait for their turn before the client's stream is held. */
const MAX_PENDING = 1024
const MAX_PENDING_BYTES = 8 * 1024 * 1024
/** How long in ms a response waits for others at most, and with how many bytes. */
const TOGETHER_MS = 1
const MAX_TOGETHER = 64 * 1024
const AT_REMOVEDIR = 0x200

/** A path that upstream treats as a violation of the protocol: the connection ends with this text. */
export class PathViolation extends Error {}

/**
 * The file feature of one client (protocol.md 3.8): requests run one after the other, in order, without blocking anything
 * else. Nothing waits for a peer: a read of a FIFO or device that has no data fails with EAGAIN, because an answer that
 * never comes would hold up all that follow it.
 */
export class FileRequests {
  readonly #files: RootedFiles
  readonly #tunnel: Tunnel
  readonly #fatal: (text: string) => void
  readonly #attributes: Attributes | undefined
  readonly #table = new DescriptorTable()
  #last: Promise<void> = Promise.resolve()
  #pending = 0
  #pendingBytes = 0
  #closed = false
  /** Responses that wait for those of the requests that came with theirs, until the timer ends. */
  readonly #waiting: FileResponse[] = []
  #waitingBytes = 0
  #timer: NodeJS.Timeout | undefined
  /** For reads, of which there is one at a time. Clients ask for more than a file has, to know that it is all. */
  #buffer = noBytes

  /**
   * @param attributes undefined without the helper program: what needs it is answered with NotImplemented
   * @param fatal ends the client's connection with a text
   */
  constructor(files: RootedFiles, attributes: Attributes | undefined, tunnel: Tunnel, fatal: (text: string) => void) {
    this.#files = files
    this.#attributes = attributes
    this.#tunnel = tunnel
    this.#fatal = fatal
  }

  receive(request: FileRequest): void {
    const bytes = 'writeBytes' in request.value ? request.value.writeBytes.length : 0
    this.#pendingBytes += bytes
    if (++this.#pending > MAX_PENDING || this.#pendingBytes > MAX_PENDING_BYTES) this.#tunnel.hold(this)
    this.#last = this.#last
      .then(() => this.#serve(request))
      .finally(() => {
        this.#pendingBytes -= bytes
        if (--this.#pending === 0) this.#leave()
        if (this.#pending <= MAX_PENDING / 2 && this.#pendingBytes <= MAX_PENDING_BYTES / 2) this.#tunnel.release(this)
      })
  }

  /** The client is gone: open files are closed. */
  async close(): Promise<void> {
    this.#closed = true
    this.#leave()
    await this.#last
    await this.#table.closeAll()
  }

  async #serve(request: FileRequest): Promise<void> {
    if (this.#closed) return
    // A response may hold megabytes: the next one is only made when the stream takes it.
    await this.#tunnel.writable()
    const type = fileResponses[request.type]
    try {
      const value = await this.#execute(request)
      const bytes =
        request.type === 'Read' || request.type === 'ReadLimited' ? (value as {readAmount: number}).readAmount : 0
      if (type) this.#send({type, value: {type: 'Ok', value}} as FileResponse, bytes)
    } catch (error) {
      if (error instanceof PathViolation) {
        this.#leave()
        return this.#fatal(error.message)
      }
      if (type) this.#send({type, value: {type: 'Err', value: toResponse(error)}}, 0)
    }
  }

  #leave(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#waitingBytes = 0
    for (const value of this.#waiting.splice(0)) if (!this.#closed) this.#tunnel.send({type: 'File', value})
  }

  /** Responses to requests that came together leave together, unless that holds them up: each write wakes the client. */
  #send(value: FileResponse, bytes: number): void {
    this.#waiting.push(value)
    this.#waitingBytes += bytes
    if (this.#pending === 1 || this.#waitingBytes > MAX_TOGETHER) this.#leave()
    else this.#timer ??= setTimeout(() => this.#leave(), TOGETHER_MS)
  }

  /** The content of the successful response. @throws RequestError, system errors, PathViolation */
  async #execute(request: FileRequest): Promise<unknown> {
    const table = this.#table
    switch (request.type) {
      case 'Open': {
        const {path, openOptions} = request.value
        requireAbsolute(path)
        return {fd: await this.#open(path, openOptions)}
      }
      case 'OpenRelative': {
        const {relativeFd, path, openOptions} = request.value
        return {fd: await this.#open(path, openOptions, table.directory(relativeFd).path)}
      }
      case 'Read': {
        const entry = table.file(request.value.remoteFd)
        const read = await this.#read(entry.handle, request.value.bufferSize, entry.offset).catch(
          (error: NodeJS.ErrnoException) => {
            // Pipes and devices have no position.
            if (error.code === 'ESPIPE') return this.#read(entry.handle, request.value.bufferSize, null)
            throw error
          },
        )
        entry.offset += BigInt(read.readAmount)
        return read
      }
      case 'ReadLimited': {
        const {remoteFd, bufferSize, startFrom} = request.value
        return this.#read(table.file(remoteFd).handle, bufferSize, BigInt(startFrom))
      }
      case 'Write': {
        const entry = table.file(request.value.fd)
        const written = await writeAt(entry.handle, request.value.writeBytes, entry.offset)
        if (entry.append) entry.offset = (await entry.handle.stat({bigint: true})).size
        else entry.offset += BigInt(written.writtenAmount)
        return written
      }
      case 'WriteLimited': {
        const {remoteFd, startFrom, writeBytes} = request.value
        return writeAt(table.file(remoteFd).handle, writeBytes, BigInt(startFrom))
      }
      case 'Seek': {
        const entry = table.file(request.value.fd)
        entry.offset = await seek(entry.handle, entry.offset, request.value.seekFrom)
        return {resultOffset: entry.offset}
      }
      case 'Close':
        return table.close(request.value.fd)
      case 'CloseDir':
        return table.closeStream(request.value.remoteFd)
      case 'Access': {
        const {pathname, mode} = request.value
        requireAbsolute(pathname)
        const located = await this.#files.locate(pathname, true)
        await located.access(mode & 7).finally(() => located.close())
        return undefined
      }
      case 'Xstat':
        return {metadata: toMetadata(await this.#stat(request.value))}
      case 'ReadLink': {
        const {path} = request.value
        if (!path.startsWith('/')) throw new RequestError({type: 'StripPrefix', value: 'the path is not absolute'})
        return {path: await this.#files.readLink(path)}
      }
      case 'FdOpenDir': {
        const {handle} = table.directory(request.value.remoteFd)
        return {fd: table.add({kind: 'stream', stream: await openStream(handle)})}
      }
      case 'ReadDir': {
        const [direntry] = await readEntries(table.stream(request.value.remoteFd), 1)
        return {direntry}
      }
      case 'ReadDirBatch': {
        const {remoteFd, amount} = request.value
        return {fd: remoteFd, dirEntries: await readEntries(table.stream(remoteFd), Number(amount))}
      }
      case 'GetDEnts64': {
        const {remoteFd, bufferSize} = request.value
        const entry = table.directory(remoteFd)
        entry.stream ??= await openStream(entry.handle, true)
        return {fd: remoteFd, ...(await packEntries(entry.stream, Number(bufferSize)))}
      }
      case 'MakeDir':
        return this.#makeDirectory(requireRooted(request.value.pathname), '/', request.value.mode)
      case 'MakeDirAt': {
        const {dirfd, pathname, mode} = request.value
        return this.#makeDirectory(pathname, table.directory(dirfd).path, mode)
      }
      case 'RemoveDir':
        return this.#removeDirectory(requireRooted(request.value.pathname), '/')
      case 'Unlink':
        return this.#unlink(requireRooted(request.value.pathname), '/')
      case 'UnlinkAt': {
        const {dirfd, pathname, flags} = request.value
        const from = dirfd === undefined ? '/' : table.directory(dirfd).path
        if (dirfd === undefined) requireRooted(pathname)
        if ((flags & ~AT_REMOVEDIR) !== 0) throw new RequestError({type: 'RemoteIO', value: einval})
        return flags === 0 ? this.#unlink(pathname, from) : this.#removeDirectory(pathname, from)
      }
      case 'Rename': {
        const {oldPath, newPath} = request.value
        const nameless = {here: ['EBUSY', 16]} as const
        return this.#files.at(requireRooted(oldPath), '/', nameless, (from) =>
          this.#files.at(requireRooted(newPath), '/', nameless, (to) => rename(from, to)),
        )
      }
      case 'Ftruncate': {
        const {fd, length} = request.value
        const {handle} = table.file(fd)
        if (length < 0) throw new RequestError({type: 'RemoteIO', value: einval})
        // Node takes safe integers only, 8 PiB; what no file system of Linux holds is EFBIG there too.
        if (length > Number.MAX_SAFE_INTEGER) throw new RequestError({type: 'RemoteIO', value: efbig})
        return handle.truncate(Number(length))
      }
      case 'Futimens': {
        const {handle} = table.file(request.value.fd)
        return this.#helper().setTimes(handle.fd, request.value.times)
      }
      case 'Fchown': {
        const {fd, owner, group} = request.value
        return table.file(fd).handle.chown(owner, group)
      }
      case 'Fchmod':
        return table.file(request.value.fd).handle.chmod(request.value.mode & 0o7777)
      case 'XstatFs':
        return {metadata: await statFs(table.any(request.value.fd))}
      case 'StatFs':
        return {metadata: await this.#located(request.value.path, statFs)}
      case 'XstatFsV2':
        return {metadata: await this.#helper().statFs(table.any(request.value.fd).fd)}
      case 'StatFsV2': {
        const helper = this.#helper()
        return {metadata: await this.#located(request.value.path, ({fd}) => helper.statFs(fd))}
      }
    }
  }

  /** One pread(2), or read(2) without a position. What is short is copied out of a buffer that is used again. */
  async #read(handle: FileHandle, size: number | bigint, position: bigint | null) {
    const length = Number(size) > MAX_READ ? MAX_READ : Number(size)
    const buffer = this.#buffer.length >= length ? this.#buffer : Buffer.allocUnsafe(length)
    const {bytesRead} = await handle.read(buffer, 0, length, position)
    const read = buffer.subarray(0, bytesRead)
    const copied = bytesRead <= MAX_COPIED
    this.#buffer = copied && buffer.length <= MAX_KEPT ? buffer : noBytes
    return {bytes: copied ? Buffer.from(read) : read, readAmount: bytesRead}
  }

  #helper(): Attributes {
    if (this.#attributes) return this.#attributes
    throw new RequestError({type: 'NotImplemented'})
  }

  async #located<T>(path: string, act: (handle: FileHandle) => Promise<T>): Promise<T> {
    const located = await this.#files.locate(requireRooted(path), true)
    return act(located.handle).finally(() => located.close())
  }

  /** The mode is that of mkdir(2): less the agent's umask. */
  #makeDirectory(path: string, from: string, mode: number): Promise<void> {
    return this.#files.makeDirectory(path, from, mode & 0o7777)
  }

  #removeDirectory(path: string, from: string): Promise<void> {
    const last = /(^|\/)\.\/*$/.test(path) ? (['EINVAL', 22] as const) : (['EBUSY', 16] as const)
    return this.#files.at(path, from, {here: last, up: ['ENOTEMPTY', 39]}, (entry) => rmdir(entry))
  }

  #unlink(path: string, from: string): Promise<void> {
    return this.#files.at(path, from, {here: ['EISDIR', 21]}, (entry) => unlink(entry))
  }

  async #open(path: string, options: OpenOptions, from = '/'): Promise<number> {
    const flags = openFlags(options)
    if (flags === undefined) throw new RequestError({type: 'RemoteIO', value: einval})
    const {handle, directory} = await this.#files.opened(path, flags, from)
    if (!directory) {
      const reads = !options.write && !options.append
      return this.#table.add({kind: 'file', handle, offset: 0n, append: options.append, reads})
    }
    const absolute = path.startsWith('/') ? path : `${from}/${path}`
    return this.#table.add({kind: 'directory', handle, path: absolute})
  }

  async #stat(request: Extract<FileRequest, {type: 'Xstat'}>['value']): Promise<BigIntStats> {
    const {path, fd, followSymlink} = request
    if (path === undefined) {
      if (fd === undefined) throw new RequestError(syntheticFailure('InvalidInput'))
      return this.#table.any(fd).stat({bigint: true})
    }
    if (fd === undefined && !path.startsWith('/')) throw new RequestError(syntheticFailure('InvalidInput'))
    const from = fd === undefined ? '/' : this.#table.directory(fd).path
    return this.#files.stat(path, followSymlink, from)
  }
}

function requireAbsolute(path: string): void {
  if (!path.startsWith('/')) throw new PathViolation(`Path failed with: '${path}' is not absolute`)
}

/** Other requests than opens are answered when their path is relative: there is nothing that it could be relative to. */
function requireRooted(path: string): string {
  if (!path.startsWith('/')) throw new RequestError(syntheticFailure('InvalidInput'))
  return path
}

const einval = {rawOsError: 22, kind: {type: 'InvalidInput'}} as const
const efbig = {rawOsError: 27, kind: {type: 'FileTooLarge'}} as const

/** The numbers that Node has; enough for old clients. */
async function statFs(handle: FileHandle): Promise<FsMetadata> {
  const {type, bsize, blocks, bfree, bavail, files, ffree} = await statfs(`/proc/self/fd/${handle.fd}`, {bigint: true})
  return {
    filesystemType: type,
    blockSize: bsize,
    blocks,
    blocksFree: bfree,
    blocksAvailable: bavail,
    files,
    filesFree: ffree,
  }
}

/** One write(2), which may be short. */
async function writeAt(handle: FileHandle, bytes: Uint8Array, position: bigint) {
  const at = (where: number | null) => handle.write(bytes, 0, bytes.length, where)
  // As for reading: pipes and devices have no position. Node takes no bigint here; 8 PiB are enough.
  if (position > Number.MAX_SAFE_INTEGER) throw new RequestError({type: 'RemoteIO', value: efbig})
  const {bytesWritten} = await at(Number(position)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ESPIPE') return at(null)
    throw error
  })
  return {writtenAmount: bytesWritten}
}

async function seek(handle: FileHandle, current: bigint, from: SeekFrom): Promise<bigint> {
  const offset = BigInt(from.value)
  const base = from.type === 'Start' ? 0n : from.type === 'Current' ? current : (await handle.stat({bigint: true})).size
  const result = base + offset
  if (result < 0n || result > 0x7fff_ffff_ffff_ffffn) throw new RequestError({type: 'RemoteIO', value: einval})
  return result
}

function toResponse(error: unknown) {
  if (error instanceof RequestError) return error.response
  if (error instanceof AboveRootError) return syntheticFailure('NotFound')
  if (error instanceof TypeError) return syntheticFailure('InvalidData')
  return ioFailure(error)
}

function toMetadata(stats: BigIntStats): Metadata {
  return {
    deviceId: stats.dev,
    inode: stats.ino,
    mode: Number(stats.mode),
    hardLinks: stats.nlink,
    userId: Number(stats.uid),
    groupId: Number(stats.gid),
    rdeviceId: stats.rdev,
    size: stats.size,
    accessTime: stats.atimeNs,
    modificationTime: stats.mtimeNs,
    creationTime: stats.ctimeNs,
    blockSize: stats.blksize,
    blocks: stats.blocks,
  }
}
