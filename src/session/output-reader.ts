import {open, stat, type FileHandle} from 'node:fs/promises'

const BLOCK = 64 * 1024
/** A line longer than this is handed on in parts. */
const LINE_MAX = 1024 * 1024
/** Rotations that happen while two files are opened one after the other are not so frequent. */
const ATTEMPTS = 100
const NEWLINE = 10

interface Source {
  handle: FileHandle
  inode: number
  position: number
}

/**
 * Reads one output file of a program as whole lines, while it is written and through rotations: the full file is renamed to
 * `older`, a new one takes its place. A reader that is two rotations behind misses what the first of them removed.
 */
export class OutputReader {
  readonly #file: string
  readonly #older: string
  /** Oldest first; the last one is what is being written, the others are complete. */
  readonly #sources: Source[] = []
  #partial: Buffer = Buffer.alloc(0)

  constructor(file: string, older: string) {
    this.#file = file
    this.#older = older
  }

  /** Passes over all but the last `lines` lines of what is there now. */
  async tail(lines: number): Promise<void> {
    await this.#look()
    let wanted = lines
    for (const source of this.#sources.toReversed()) {
      const last = await lastLines(source.handle, wanted)
      source.position = last.start
      wanted -= last.found
    }
  }

  /** Whole lines that were not read before, in pieces, up to what is there now. Errors: those of the file system. */
  async *read(): AsyncGenerator<Buffer> {
    await this.#look()
    while (this.#sources.length > 0) {
      const source = this.#sources[0]!
      // Known before it is read: what has a successor is not written any more.
      const complete = this.#sources.length > 1
      yield* this.#drain(source)
      if (complete) {
        this.#sources.shift()
        await source.handle.close()
        continue
      }
      await this.#look()
      if (this.#sources.length === 1) return
    }
  }

  /** What follows the last line break, as a line; for the end, when no more can come. */
  rest(): Buffer | undefined {
    const rest = this.#partial
    this.#partial = Buffer.alloc(0)
    return rest.length > 0 ? Buffer.concat([rest, Buffer.from('\n')]) : undefined
  }

  async close(): Promise<void> {
    for (const {handle} of this.#sources.splice(0)) await handle.close()
  }

  async *#drain(source: Source): AsyncGenerator<Buffer> {
    const block = Buffer.allocUnsafe(BLOCK)
    for (;;) {
      const {bytesRead} = await source.handle.read(block, 0, BLOCK, source.position)
      if (bytesRead > 0) {
        source.position += bytesRead
        const lines = this.#lines(block.subarray(0, bytesRead))
        if (lines.length > 0) yield lines
      } else if ((await source.handle.stat()).size < source.position)
        source.position = 0 // somebody emptied it
      else return
    }
  }

  #lines(bytes: Buffer): Buffer {
    const end = bytes.lastIndexOf(NEWLINE) + 1
    const whole = Buffer.concat([this.#partial, bytes.subarray(0, end)])
    if (end > 0) {
      this.#partial = Buffer.from(bytes.subarray(end))
      return whole
    }
    this.#partial = Buffer.concat([this.#partial, bytes])
    return this.#partial.length > LINE_MAX ? this.rest()! : Buffer.alloc(0)
  }

  /** Opens what has come into the place of the file since the last look. */
  async #look(): Promise<void> {
    const known = this.#sources.at(-1)?.inode
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const current = await openSource(this.#file)
      // Between the two steps of a rotation there is none.
      if (!current) return
      if (current.inode === known) return current.handle.close()
      const older = await openSource(this.#older)
      if ((await inodeOf(this.#file)) === current.inode) {
        if (older && older.inode !== known && older.inode !== current.inode) this.#sources.push(older)
        else await older?.handle.close()
        this.#sources.push(current)
        return
      }
      await current.handle.close()
      await older?.handle.close()
    }
  }
}

async function openSource(file: string): Promise<Source | undefined> {
  try {
    const handle = await open(file, 'r')
    return {handle, inode: (await handle.stat()).ino, position: 0}
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function inodeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).ino
  } catch {
    return undefined
  }
}

/** Where the last `wanted` lines of a file begin, and how many it has of them. */
async function lastLines(handle: FileHandle, wanted: number): Promise<{start: number; found: number}> {
  const {size} = await handle.stat()
  if (wanted <= 0 || size === 0) return {start: size, found: 0}
  const block = Buffer.allocUnsafe(BLOCK)
  let found = 0
  // The last byte ends the last line, whatever it is: breaks are counted before it.
  for (let end = size - 1; end > 0;) {
    const from = Math.max(0, end - BLOCK)
    const {bytesRead} = await handle.read(block, 0, end - from, from)
    for (let index = bytesRead - 1; index >= 0; index--) {
      if (block[index] === NEWLINE && ++found === wanted) return {start: from + index + 1, found}
    }
    end = from
  }
  return {start: 0, found: found + 1}
}
