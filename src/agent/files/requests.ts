import type {BigIntStats} from 'node:fs'
import type {FileHandle} from 'node:fs/promises'
import {fileResponses, type FileRequest, type FileResponse, type Metadata, type SeekFrom} from '../../protocol/index.ts'
import type {Tunnel} from '../flow/tunnel.ts'
import {ioFailure, syntheticFailure} from '../os-error.ts'
import {openStream, packEntries, readEntries} from './directories.ts'
import {AboveRootError, type RootedFiles} from './rooted.ts'
import {DescriptorTable, RequestError} from './table.ts'

/** Bytes one read returns at most; a short read is allowed, and the request's size comes from outside. */
const MAX_READ = 4 * 1024 * 1024
/** Requests that may wait for their turn before the client's stream is held. */
const MAX_PENDING = 1024

/** A path that upstream treats as a violation of the protocol: the connection ends with this text. */
export class PathViolation extends Error {}

/**
 * The file feature of one client, reading side (protocol.md 3.8): requests run one after the other, in order, without
 * blocking anything else; writing is answered with NotImplemented.
 */
export class FileRequests {
  readonly #files: RootedFiles
  readonly #tunnel: Tunnel
  readonly #fatal: (text: string) => void
  readonly #table = new DescriptorTable()
  #last: Promise<void> = Promise.resolve()
  #pending = 0
  #closed = false

  /** @param fatal ends the client's connection with a text */
  constructor(files: RootedFiles, tunnel: Tunnel, fatal: (text: string) => void) {
    this.#files = files
    this.#tunnel = tunnel
    this.#fatal = fatal
  }

  receive(request: FileRequest): void {
    if (++this.#pending > MAX_PENDING) this.#tunnel.hold(this)
    this.#last = this.#last
      .then(() => this.#serve(request))
      .finally(() => {
        if (--this.#pending <= MAX_PENDING / 2) this.#tunnel.release(this)
      })
  }

  /** The client is gone: open files are closed. */
  async close(): Promise<void> {
    this.#closed = true
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
      if (type) this.#send({type, value: {type: 'Ok', value}} as FileResponse)
    } catch (error) {
      if (error instanceof PathViolation) return this.#fatal(error.message)
      if (type) this.#send({type, value: {type: 'Err', value: toResponse(error)}})
    }
  }

  #send(value: FileResponse): void {
    if (!this.#closed) this.#tunnel.send({type: 'File', value})
  }

  /** The content of the successful response. @throws RequestError, system errors, PathViolation */
  async #execute(request: FileRequest): Promise<unknown> {
    const table = this.#table
    switch (request.type) {
      case 'Open': {
        const {path, openOptions} = request.value
        requireAbsolute(path)
        requireReadOnly(openOptions)
        return {fd: await this.#open(path)}
      }
      case 'OpenRelative': {
        const {relativeFd, path, openOptions} = request.value
        const directory = table.directory(relativeFd)
        requireReadOnly(openOptions)
        return {fd: await this.#open(path, directory.path)}
      }
      case 'Read': {
        const entry = table.file(request.value.remoteFd)
        const read = await readAt(entry.handle, request.value.bufferSize, entry.offset)
        entry.offset += BigInt(read.readAmount)
        return read
      }
      case 'ReadLimited': {
        const {remoteFd, bufferSize, startFrom} = request.value
        return readAt(table.file(remoteFd).handle, bufferSize, BigInt(startFrom))
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
      default:
        throw new RequestError({type: 'NotImplemented'})
    }
  }

  async #open(path: string, from = '/'): Promise<number> {
    const located = await this.#files.locate(path, true, from)
    let handle: FileHandle | undefined
    try {
      const stats = await located.stat()
      handle = await located.openForReading()
      if (!stats.isDirectory()) return this.#table.add({kind: 'file', handle, offset: 0n})
      const absolute = path.startsWith('/') ? path : `${from}/${path}`
      return this.#table.add({kind: 'directory', handle, path: absolute})
    } finally {
      await located.close()
    }
  }

  async #stat(request: Extract<FileRequest, {type: 'Xstat'}>['value']): Promise<BigIntStats> {
    const {path, fd, followSymlink} = request
    if (path === undefined) {
      if (fd === undefined) throw new RequestError(syntheticFailure('InvalidInput'))
      return this.#table.any(fd).stat({bigint: true})
    }
    if (fd === undefined && !path.startsWith('/')) throw new RequestError(syntheticFailure('InvalidInput'))
    const from = fd === undefined ? '/' : this.#table.directory(fd).path
    const located = await this.#files.locate(path, followSymlink, from)
    return located.handle.stat({bigint: true}).finally(() => located.close())
  }
}

function requireAbsolute(path: string): void {
  if (!path.startsWith('/')) throw new PathViolation(`Path failed with: '${path}' is not absolute`)
}

/** Combinations that no open accepts are EINVAL; everything that would write is not implemented (protocol.md 3.8.3). */
function requireReadOnly(options: Extract<FileRequest, {type: 'Open'}>['value']['openOptions']): void {
  const {read, write, append, truncate, create, createNew} = options
  if (!read && !write && !append) throw new RequestError({type: 'RemoteIO', value: einval})
  if (!write && !append && (truncate || create || createNew)) throw new RequestError({type: 'RemoteIO', value: einval})
  if (write || append) throw new RequestError({type: 'NotImplemented'})
}

const einval = {rawOsError: 22, kind: {type: 'InvalidInput'}} as const

async function readAt(handle: FileHandle, size: number | bigint, position: bigint) {
  const length = Number(size) > MAX_READ ? MAX_READ : Number(size)
  const buffer = Buffer.allocUnsafe(length)
  const {bytesRead} = await handle.read(buffer, 0, length, position).catch((error: NodeJS.ErrnoException) => {
    // Pipes and devices have no position.
    if (error.code === 'ESPIPE') return handle.read(buffer, 0, length, null)
    throw error
  })
  return {bytes: buffer.subarray(0, bytesRead), readAmount: bytesRead}
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
