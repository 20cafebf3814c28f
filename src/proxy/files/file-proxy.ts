import {constants} from 'node:fs'
import type {Metadata} from '../../protocol/index.ts'
import type {FileAnswer, FileRequest} from '../../trap/types.ts'
import {unobserved, type TrafficObserver} from '../observer.ts'
import {lookupFlags} from '../../trap/wire.ts'
import {failure, toFailure} from './failure.ts'
import type {PathClass} from './listing.ts'
import {isType, MetadataCache} from './metadata.ts'
import {Changes} from './changes.ts'
import {Mirror} from './mirror.ts'
import {Readers} from './readers.ts'
import {Requests, type FileAgent} from './requests.ts'
import {Watching} from './watching.ts'
import {Writers, type Unsaved} from './writers.ts'

const {O_DIRECTORY, O_NOFOLLOW} = constants
/** From <fcntl.h>; Node does not export it. */
const O_PATH = 0o10000000
/** Open flags with which a file is made or changed. */
const WRITING = constants.O_WRONLY | constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC

export type {Unsaved} from './writers.ts'

/** What a `FileProxy` works with. */
export interface FileProxyOptions {
  agent: FileAgent
  /** Private directory of the session; all of it is the proxy's. */
  directory: string
  /** How a path is judged (src/proxy/files/rules.ts). */
  classify: (path: string) => PathClass
  /** What a path is mapped to (itself when nothing applies). */
  map: (path: string) => string
  /** Tells the user something. */
  warn: (text: string) => void
  /** Tells the trap that its copies of our answers are no longer true. */
  filesChanged: () => void
  observer?: TrafficObserver
  /** The program is another user of this machine than we. */
  shared?: boolean
  /** How long in ms the agent may be silent while a request waits. Default 30,000. */
  stallMs?: number
  /** Time in ms between two looks at watched paths. Default 2000. */
  watchMs?: number
}

/** The session's half of remote files: answers the trap's questions from the agent, with copies on the local disk. */
export class FileProxy {
  readonly #map: (path: string) => string
  readonly #requests: Requests
  readonly #metadata: MetadataCache
  readonly #mirror: Mirror
  readonly #readers: Readers
  readonly #writers: Writers
  readonly #changes: Changes
  readonly #watching: Watching
  readonly #working = new Set<FileRequest>()
  readonly #filesChanged: () => void

  /** @throws errors of the local disk */
  constructor(options: FileProxyOptions) {
    const told = new Set<string>()
    const warnOnce = (key: string, text: string) => {
      if (told.has(key)) return
      told.add(key)
      options.warn(text)
    }
    this.#map = options.map
    this.#filesChanged = options.filesChanged
    this.#requests = new Requests(options.agent, warnOnce, options.stallMs)
    this.#requests.onProgress = () => this.#working.forEach((request) => request.busy())
    this.#metadata = new MetadataCache(this.#requests)
    this.#mirror = new Mirror(options.directory, options.shared)
    const {warn, classify, directory, filesChanged, observer = unobserved} = options
    const parts = {requests: this.#requests, metadata: this.#metadata, mirror: this.#mirror, warnOnce, observer}
    this.#readers = new Readers({...parts, classify, directory})
    this.#writers = new Writers({...parts, readers: this.#readers, warn})
    this.#changes = new Changes({...parts, writers: this.#writers, filesChanged})
    this.#watching = new Watching({...parts, readers: this.#readers, filesChanged, intervalMs: options.watchMs})
  }

  /** What `FileOptions.directory` of the trap must be. */
  get directory(): string {
    return this.#mirror.tree
  }

  /** Answers one question; never rejects. */
  async answer(request: FileRequest): Promise<FileAnswer> {
    const {operation, path, flags} = request
    const asks = operation === 'lookup' || (operation === 'open' && (flags & WRITING) === 0)
    this.#working.add(request)
    try {
      return await this.#answer(request).catch((error: unknown) => {
        // What only asks begins anew with the agent that has taken over.
        if (asks && toFailure(error, operation).agentGone) return this.#answer(request)
        throw error
      })
    } catch (error) {
      const failed = toFailure(error, operation)
      const follow = operation !== 'lookup' || (flags & lookupFlags.noFollow) === 0
      const lasts = asks && failed.is('ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP', 'ENAMETOOLONG', 'ENXIO')
      return {errno: failed.errno, validMs: lasts ? this.#metadata.validMs(path, follow) : 0}
    } finally {
      this.#working.delete(request)
    }
  }

  /**
   * The last descriptor of a copy that was open for writing is closed: it goes to the target. Never rejects.
   * @param opens how many of our answers that concerns
   */
  closed(object: number, opens: number): Promise<void> {
    return this.#writers.closed(object, opens)
  }

  /** Brings everything that was written to the target; returns what could not be. Never rejects. */
  flush(): Promise<Unsaved[]> {
    return this.#writers.flush()
  }

  /** Another agent has taken over, perhaps in another pod: nothing that the one before has said counts. Never rejects. */
  async agentReplaced(): Promise<void> {
    this.#metadata.clear()
    this.#filesChanged()
    await this.#writers.agentReplaced()
  }

  /** Ends everything. The copies on disk are the owner's to remove. */
  async close(): Promise<void> {
    this.#watching.close()
    await Promise.all([this.#writers.close(), this.#mirror.close()])
  }

  #answer(request: FileRequest): Promise<FileAnswer> {
    switch (request.operation) {
      case 'lookup':
        return this.#lookup(request.path, (request.flags & lookupFlags.noFollow) === 0)
      case 'open':
        return this.#open(request)
      case 'statfs':
        return this.#statfs(request.path)
      case 'map':
        return Promise.resolve({text: this.#map(request.path)})
      case 'sync':
      case 'close':
        return this.#writers.save(request.object).then(() => ({}))
      case 'watch':
        return this.#watch(request)
      default:
        return this.#changes.make(request)
    }
  }

  async #lookup(path: string, follow: boolean): Promise<FileAnswer> {
    try {
      const {metadata, text} = await this.#metadata.get(path, follow)
      const validMs = this.#metadata.validMs(path, follow)
      if (text !== undefined)
        return {...described(metadata), validMs, text, source: this.#mirror.link(path, metadata, text)}
      this.#mirror.adopt(path, metadata)
      return {...described(this.#mirror.copy(path)?.metadata ?? metadata), validMs, source: this.#mirror.local(path)}
    } catch (error) {
      const failed = toFailure(error, `stat ${path}`)
      if (follow && failed.is('ENOENT', 'ENOTDIR')) this.#mirror.vanished(path)
      throw failed
    }
  }

  async #open(request: FileRequest): Promise<FileAnswer> {
    const {path, flags} = request
    const writing = (flags & O_PATH) === 0 && (flags & WRITING) !== 0
    if ((flags & O_NOFOLLOW) !== 0 && !writing) {
      const link = await this.#metadata.get(path, false)
      if (link.text !== undefined) {
        if ((flags & O_PATH) === 0) throw failure('ELOOP', `open ${path}`)
        return this.#lookup(path, false)
      }
    }
    if ((flags & O_PATH) !== 0) {
      const answer = await this.#lookup(path, true)
      if ((flags & O_DIRECTORY) !== 0) await this.#requireDirectory(path)
      return answer
    }
    if ((flags & O_DIRECTORY) !== 0) await this.#requireDirectory(path)
    if (writing) {
      const copy = await this.#writers.open(path, flags, request.mode, request.gone)
      if (copy) return {...described(copy.metadata), object: copy.inode, source: this.#mirror.local(copy.path)}
      // Made or cut, and open for reading.
      this.#metadata.drop(path)
    }
    const metadata = await this.#readers.open(path, request.gone)
    return {...described(metadata), validMs: this.#metadata.validMs(path, true), source: this.#mirror.local(path)}
  }

  async #watch({path, gone}: FileRequest): Promise<FileAnswer> {
    const metadata = await this.#watching.add(path, gone)
    return {...described(metadata), source: this.#mirror.local(path)}
  }

  async #requireDirectory(path: string): Promise<void> {
    const {metadata} = await this.#metadata.get(path, true)
    if (!isType(metadata, 'directory')) throw failure('ENOTDIR', `open ${path}`)
  }

  async #statfs(path: string): Promise<FileAnswer> {
    const what = `statfs ${path}`
    if (this.#requests.supports('statFsV2')) {
      const {metadata} = await this.#requests.send({type: 'StatFsV2', value: {path}}, what)
      const {filesystemId, nameLen, fragmentSize, flags} = metadata
      return {numbers: [...counted(metadata), ...filesystemId, Number(nameLen), Number(fragmentSize), Number(flags)]}
    }
    const {metadata} = await this.#requests.send({type: 'StatFs', value: {path}}, what)
    // What the older form does not tell is what Linux's own file systems say.
    return {numbers: [...counted(metadata), 0, 0, 255, Number(metadata.blockSize), 0]}
  }
}

interface Counted {
  filesystemType: number | bigint
  blockSize: number | bigint
  blocks: number | bigint
  blocksFree: number | bigint
  blocksAvailable: number | bigint
  files: number | bigint
  filesFree: number | bigint
}

/** Numbers beyond 2^53 (an unlimited file system's free inodes) are shown as 2^53 - 1. */
function counted(metadata: Counted): number[] {
  const {filesystemType, blockSize, blocks, blocksFree, blocksAvailable, files, filesFree} = metadata
  return [filesystemType, blockSize, blocks, blocksFree, blocksAvailable, files, filesFree].map((value) =>
    Math.min(Number(value), Number.MAX_SAFE_INTEGER),
  )
}

/** What the trap shows of the target's file beside what the copy itself shows. */
function described(metadata: Metadata): FileAnswer {
  return {
    mode: metadata.mode,
    uid: metadata.userId,
    gid: metadata.groupId,
    links: Number(metadata.hardLinks),
    blocks: Number(metadata.blocks),
    rdev: Number(metadata.rdeviceId),
  }
}
