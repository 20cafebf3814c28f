import {createHash} from 'node:crypto'
import type {BigIntStats} from 'node:fs'
import type {FileHandle} from 'node:fs/promises'
import type {Int64, Metadata} from '../../protocol/index.ts'
import {seconds, type Copy} from './mirror.ts'
import type {Requests} from './requests.ts'

/** What is compared and sent at a time, in bytes. */
const BLOCK = 256 * 1024
/** How many blocks at a file's beginning are looked at when it is only appended to. */
const HEAD = 4
/** Blocks that are on their way at the same time. */
const WINDOW = 4
const zeros = Buffer.alloc(BLOCK)

/**
 * A copy that the program has open for writing: knows what the target has of it, and brings the rest there. Descriptors
 * with O_APPEND alone send what has come at the end, so that lines of others in between survive; else changed blocks go
 * to their place.
 */
export class Written {
  readonly copy: Copy
  /** Answers to the trap with this copy that it has not told the end of. */
  opens = 0
  /** Ours, for reading only: a second writer would keep the program from executing what it wrote. */
  readonly #file: FileHandle
  readonly #requests: Requests
  readonly #fileMode: (mode: number) => number
  readonly #fds: {write?: Int64; append?: Int64} = {}
  /** Digests of the blocks of the target; a missing one is not known. While only appending: of whole ones in the head. */
  #blocks: (string | undefined)[] = []
  #remoteSize: number
  #sent = 0
  #last: Promise<unknown> = Promise.resolve()
  /** Everything of it is the target's; a question that comes later has its answer. */
  #closed = false
  /** The copy as it was when everything of it had reached the target. */
  #clean: {mtime: bigint; size: bigint} | undefined

  /**
   * @param file the copy, open for reading; owned from now on
   * @param fileMode the mode of a copy by that of the target
   */
  constructor(requests: Requests, copy: Copy, file: FileHandle, fileMode: (mode: number) => number) {
    this.#fileMode = fileMode
    this.#requests = requests
    this.copy = copy
    this.#file = file
    this.#remoteSize = Number(copy.metadata.size)
  }

  /** Takes over the first descriptor of the agent. The content is the target's now: nothing has to be brought there. */
  async begin(kind: 'write' | 'append', fd: Int64): Promise<void> {
    this.#fds[kind] = fd
    const {mtimeNs, size} = await this.#file.stat({bigint: true})
    this.#clean = {mtime: mtimeNs, size}
    await this.#learnBlocks(!this.#appending)
  }

  /** Whether there is a descriptor of the agent for that kind of writing. */
  has(kind: 'write' | 'append'): boolean {
    return this.#fds[kind] !== undefined
  }

  /** Any descriptor of the agent: for fchmod and the like. */
  get fd(): Int64 | undefined {
    return this.#fds.write ?? this.#fds.append
  }

  /** Takes over another descriptor of the agent. @throws FileFailure; the descriptor stays the caller's then */
  add(kind: 'write' | 'append', fd: Int64): Promise<void> {
    return this.exclusive(async () => {
      if (kind === 'write' && this.#appending) {
        await this.#upload()
        // What the program has written since then is not in the target.
        await this.#learnBlocks(true, this.#remoteSize)
      }
      this.#fds[kind] = fd
    })
  }

  /** Runs `work` while nothing is being sent. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => undefined)
    return result
  }

  /** The target's file was cut to nothing, and the copy with it. */
  truncated(): void {
    this.#blocks = []
    this.#remoteSize = 0
  }

  /**
   * Opens the target's file again, because the agent of the descriptors was replaced. Its content is unknown then; only what was
   * sent to the end of a file is not sent twice, unless it is another file. @throws FileFailure
   */
  reopen(): Promise<void> {
    return this.exclusive(async () => {
      const {path} = this.copy
      for (const kind of ['write', 'append'] as const) {
        if (this.#fds[kind] === undefined) continue
        this.#fds[kind] = await this.#requests.open(path, {[kind]: true, create: true})
      }
      const value = {path: undefined, fd: this.fd, followSymlink: true}
      const size = Number((await this.#requests.send({type: 'Xstat', value}, `stat ${path}`)).metadata.size)
      if (!this.#appending || size === 0) this.distrust(size)
    })
  }

  /** The target's file has that size and an unknown content: everything counts as changed. */
  distrust(size: number): void {
    this.#blocks = []
    this.#remoteSize = size
    this.#clean = undefined
  }

  /** The copy's time and size, and whether they are those of what the target has. */
  async look(): Promise<{mtime: bigint; size: bigint; clean: boolean}> {
    if (this.#closed) return {mtime: 0n, size: 0n, clean: true}
    const {mtimeNs: mtime, size} = await this.#file.stat({bigint: true})
    return {mtime, size, clean: this.#clean?.mtime === mtime && this.#clean.size === size}
  }

  /**
   * Brings everything that was written before this call to the target. Returns the target's metadata when something
   * had to be sent. @throws FileFailure; what was not sent is sent by the next call
   */
  upload(): Promise<Metadata | undefined> {
    return this.exclusive(() => this.#upload())
  }

  /** How many bytes were sent to the target since the last call. */
  takeSent(): number {
    const sent = this.#sent
    this.#sent = 0
    return sent
  }

  /** Gives the copy the mode and times of the target's file, whether it has a name or not. */
  async show({mode, accessTime, modificationTime}: Metadata): Promise<void> {
    const {clean} = await this.look()
    await this.#file.chmod(this.#fileMode(mode))
    await this.#file.utimes(seconds(accessTime), seconds(modificationTime))
    if (clean) this.settled(await this.#file.stat({bigint: true}))
  }

  /** The copy now looks like this and is the target's. */
  settled(stats: Pick<BigIntStats, 'mtimeNs' | 'size'>): void {
    this.#clean = {mtime: stats.mtimeNs, size: stats.size}
  }

  /** Gives everything back; only what is the target's, or given up, is closed. What is being sent is finished first. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#last
    for (const fd of Object.values(this.#fds)) this.#requests.close(fd)
    await this.#file.close()
  }

  get #appending(): boolean {
    return this.#fds.write === undefined && this.#fds.append !== undefined
  }

  async #upload(): Promise<Metadata | undefined> {
    const {fd} = this
    if (fd === undefined || this.#closed) return undefined
    const {path} = this.copy
    const stats = await this.#file.stat({bigint: true})
    const size = Number(stats.size)
    let sent = false
    if (size < this.#remoteSize) {
      await this.#resize(size)
      sent = true
    }
    if (this.#appending ? await this.#append(size) : await this.#sendBlocks(size)) sent = true
    this.#clean = {mtime: stats.mtimeNs, size: stats.size}
    if (!sent) return undefined
    const value = {path: undefined, fd, followSymlink: true}
    return (await this.#requests.send({type: 'Xstat', value}, `stat ${path}`)).metadata
  }

  /**
   * Sends what has come at the end. A program may also have cut the file and written it anew, perhaps to the same length (a
   * file with a process number, a log that starts again): that shows in the head, and then everything from there on is sent.
   */
  async #append(size: number): Promise<boolean> {
    let sent = false
    for (let at = 0; at < size; at += BLOCK) {
      const index = at / BLOCK
      if (index === HEAD) at = Math.max(at, this.#remoteSize - (this.#remoteSize % BLOCK))
      let known = Math.min(Math.max(this.#remoteSize - at, 0), BLOCK)
      const bytes = await this.#read(at, Math.min(BLOCK, size - at))
      if (index < HEAD && known > 0 && digestOf(bytes.subarray(0, known)) !== this.#blocks[index]) {
        await this.#resize(at)
        known = 0
        sent = true
      }
      if (bytes.length <= known) continue
      sent = true
      try {
        await this.#sendEnd(bytes.subarray(known))
      } finally {
        if (index < HEAD) this.#blocks[index] = digestOf(bytes.subarray(0, this.#remoteSize - at))
      }
    }
    return sent
  }

  async #sendEnd(bytes: Buffer): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const value = {fd: this.#fds.append!, writeBytes: bytes.subarray(done)}
      const {writtenAmount} = await this.#requests.send({type: 'Write', value}, `append to ${this.copy.path}`)
      done += Number(writtenAmount)
      this.#sent += Number(writtenAmount)
      this.#remoteSize += Number(writtenAmount)
    }
  }

  async #sendBlocks(size: number): Promise<boolean> {
    const holes = this.#requests.supports('copyFile')
    let next = 0
    let sent = false
    let failed = false
    const block = async (at: number) => {
      const index = at / BLOCK
      const bytes = await this.#read(at, Math.min(BLOCK, size - at))
      if (bytes.length === 0) return // Cut meanwhile: the next upload sees it.
      const digest = digestOf(bytes)
      if (this.#blocks[index] === digest) return
      sent = true
      this.#blocks[index] = undefined
      const hole = holes && at >= known && zeros.subarray(0, bytes.length).equals(bytes)
      if (!hole) await this.#write(at, bytes)
      this.#blocks[index] = digest
    }
    // What is behind the end of the target's file needs not be sent where it is zero.
    const known = this.#remoteSize
    const lane = async () => {
      while (next < size && !failed) {
        const at = next
        next += BLOCK
        try {
          await this.#requests.budget.use(BLOCK, () => block(at))
        } catch (error) {
          failed = true
          throw error
        }
      }
    }
    const lanes = await Promise.allSettled(Array.from({length: WINDOW}, lane))
    for (const result of lanes) if (result.status === 'rejected') throw result.reason
    // The end of the file is a hole.
    if (this.#remoteSize >= size) return sent
    await this.#resize(size)
    return true
  }

  async #write(at: number, bytes: Buffer): Promise<void> {
    const what = `write ${this.copy.path}`
    for (let done = 0; done < bytes.length;) {
      const value = {remoteFd: this.#fds.write!, startFrom: at + done, writeBytes: bytes.subarray(done)}
      const {writtenAmount} = await this.#requests.send({type: 'WriteLimited', value}, what)
      done += Number(writtenAmount)
      this.#sent += Number(writtenAmount)
    }
    this.#remoteSize = Math.max(this.#remoteSize, at + bytes.length)
  }

  async #resize(size: number): Promise<void> {
    const {path} = this.copy
    if (size === 0 && !this.#requests.supports('copyFile'))
      this.#requests.close(await this.#requests.open(path, {write: true, truncate: true}))
    else await this.#requests.send({type: 'Ftruncate', value: {fd: this.fd!, length: size}}, `truncate ${path}`)
    // The block that was cut is another one now.
    if (size < this.#remoteSize) this.#blocks.length = Math.min(this.#blocks.length, Math.floor(size / BLOCK))
    this.#remoteSize = size
  }

  /** The target has what the copy has, up to `size` (of the copy now). @param all or the head alone */
  async #learnBlocks(all: boolean, size?: number): Promise<void> {
    this.#blocks = []
    this.#remoteSize = size ?? (await this.#file.stat()).size
    const end = all ? this.#remoteSize : Math.min(this.#remoteSize, HEAD * BLOCK)
    for (let at = 0; at < end; at += BLOCK) {
      const bytes = await this.#read(at, Math.min(BLOCK, end - at))
      if (bytes.length === 0) return
      this.#blocks.push(digestOf(bytes))
    }
  }

  /** Fewer bytes only at the end of the file. */
  async #read(position: number, length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(length)
    let done = 0
    while (done < length) {
      const {bytesRead} = await this.#file.read(buffer, done, length - done, position + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return buffer.subarray(0, done)
  }
}

/** Enough to tell blocks apart; a block that only looks the same by intent harms nobody but its own author. */
function digestOf(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('base64')
}
