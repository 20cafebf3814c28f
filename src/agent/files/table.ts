import type {FileHandle} from 'node:fs/promises'
import type {Int64, ResponseError} from '../../protocol/index.ts'
import type {DirectoryStream} from './directories.ts'

/** What a client's descriptor stands for. */
export type Entry =
  /** Writes with `append` leave the offset at the file's end; `reads`: nothing was written. */
  | {kind: 'file'; handle: FileHandle; offset: bigint; append: boolean; reads: boolean}
  /** `path` is absolute below the root; `stream` belongs to GetDEnts64. */
  | {kind: 'directory'; handle: FileHandle; path: string; stream?: DirectoryStream}
  | {kind: 'stream'; stream: DirectoryStream}

/** A request about a descriptor that cannot be answered: `response` is the reply. */
export class RequestError extends Error {
  readonly response: ResponseError

  constructor(response: ResponseError) {
    super(response.type)
    this.response = response
  }
}

/** One client's descriptors: one counter for files and directories, numbers never used twice. */
export class DescriptorTable {
  readonly #entries = new Map<Int64, Entry>()
  readonly #closing = new Set<Promise<void>>()
  #next = 0

  add(entry: Entry): number {
    this.#entries.set(this.#next, entry)
    return this.#next++
  }

  /** @throws RequestError NotFound, NotFile */
  file(fd: Int64): Entry & {kind: 'file'} {
    const entry = this.#get(fd)
    if (entry.kind !== 'file') throw new RequestError({type: 'NotFile', value: fd})
    return entry
  }

  /** @throws RequestError NotFound, NotDirectory */
  directory(fd: Int64): Entry & {kind: 'directory'} {
    const entry = this.#get(fd)
    if (entry.kind !== 'directory') throw new RequestError({type: 'NotDirectory', value: fd})
    return entry
  }

  /** @throws RequestError NotFound */
  stream(fd: Int64): DirectoryStream {
    const entry = this.#get(fd)
    if (entry.kind !== 'stream') throw new RequestError({type: 'NotFound', value: fd})
    return entry.stream
  }

  /** A file or directory. @throws RequestError NotFound */
  any(fd: Int64): FileHandle {
    const entry = this.#get(fd)
    if (entry.kind === 'stream') throw new RequestError({type: 'NotFound', value: fd})
    return entry.handle
  }

  /** Unknown numbers are ignored. Nobody has to wait for what was only read. */
  async close(fd: Int64): Promise<void> {
    const entry = this.#entries.get(fd)
    this.#entries.delete(fd)
    if (!entry) return
    const closing = release(entry)
    if (entry.kind !== 'file' || !entry.reads) return closing
    const end = () => void this.#closing.delete(done)
    const done: Promise<void> = closing.then(end, end)
    this.#closing.add(done)
  }

  /** CloseDir of a directory that was read by GetDEnts64 ends only its stream. */
  async closeStream(fd: Int64): Promise<void> {
    const entry = this.#entries.get(fd)
    if (entry?.kind === 'stream') return this.close(fd)
    if (entry?.kind !== 'directory' || !entry.stream) return
    const {stream} = entry
    delete entry.stream
    await stream.dir.close()
  }

  async closeAll(): Promise<void> {
    const entries = [...this.#entries.values()]
    this.#entries.clear()
    await Promise.allSettled([...entries.map(release), ...this.#closing])
  }

  #get(fd: Int64): Entry {
    const entry = this.#entries.get(fd)
    if (!entry) throw new RequestError({type: 'NotFound', value: fd})
    return entry
  }
}

async function release(entry: Entry): Promise<void> {
  if (entry.kind === 'stream') return entry.stream.dir.close()
  if (entry.kind === 'directory') await entry.stream?.dir.close()
  await entry.handle.close()
}
