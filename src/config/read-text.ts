import {constants} from 'node:fs'
import {lstat, open, type FileHandle} from 'node:fs/promises'
import {FileSyntaxError, Lines} from './syntax.ts'

/** Reads a file by its absolute path; `-` is standard input. */
export type ReadText = (file: string) => Promise<string | Uint8Array>

/** No configuration comes near; the parsers' time stays below a second. */
export const maxBytes = 512 * 1024

/** Why a file cannot be read, in words. */
export class UnreadableFile extends Error {
  override readonly name = 'UnreadableFile'
}

/**
 * Reads from disk and standard input, at most one byte more than `maxBytes`. Anything but a regular file is refused,
 * because reading it may never end; a pipe that the shell made (`-f <(command)`) is read to its end. Throws an
 * UnreadableFile or an error of the system.
 */
export const readFromDisk: ReadText = async (file) => {
  if (file === '-') return readStandardInput()
  // Without O_NONBLOCK the opening of a FIFO would wait for its writer.
  const regular = await using(file, constants.O_RDONLY | constants.O_NONBLOCK, async (handle) => {
    const kind = await kindOf(handle)
    if (kind === undefined) return readAtMost(handle)
    if (kind !== pipe || !/^\/(?:dev\/fd|proc\/self\/fd)\/\d+$|^\/dev\/stdin$/.test(file))
      throw new UnreadableFile(kind)
    return undefined
  })
  // Opened anew: reads of the shell's pipe have to wait for its writer.
  return regular ?? using(file, constants.O_RDONLY, readAtMost)
}

async function using<T>(file: string, flags: number, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await open(file, flags).catch(async (error: unknown) => {
    throw (await isDangling(file, error)) ? new UnreadableFile('It is a link to a file that does not exist.') : error
  })
  try {
    return await use(handle)
  } finally {
    await handle.close()
  }
}

const pipe = 'It is a named pipe (FIFO), not a file.'

/** What is wrong with the kind of a file; undefined for a regular one. */
async function kindOf(handle: FileHandle): Promise<string | undefined> {
  const stats = await handle.stat()
  if (stats.isFile()) return undefined
  if (stats.isDirectory()) return 'It is a directory.'
  if (stats.isFIFO()) return pipe
  return stats.isSocket() ? 'It is a socket, not a file.' : 'It is a device, not a file.'
}

async function isDangling(file: string, error: unknown): Promise<boolean> {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return false
  return lstat(file).then(
    (stats) => stats.isSymbolicLink(),
    () => false,
  )
}

async function readAtMost(handle: FileHandle): Promise<Uint8Array> {
  const buffer = Buffer.alloc(maxBytes + 1)
  let length = 0
  while (length < buffer.length) {
    const {bytesRead} = await handle.read(buffer, length, buffer.length - length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return buffer.subarray(0, length)
}

async function readStandardInput(): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of process.stdin) {
    chunks.push(chunk as Buffer)
    length += (chunk as Buffer).length
    if (length > maxBytes) break
  }
  return Buffer.concat(chunks)
}

/** The text of a file without its byte order mark. Throws a FileSyntaxError where it is too large, binary or not UTF-8. */
export function decode(content: string | Uint8Array): string {
  const bytes = typeof content === 'string' ? Buffer.from(content) : Buffer.from(content)
  if (bytes.length > maxBytes) throw new FileSyntaxError([{message: `it is larger than ${maxBytes / 1024} KiB`}])
  if (isUtf16(bytes)) throw new FileSyntaxError([{message: 'it is UTF-16 text; save it as UTF-8'}])
  // Invalid bytes become U+FFFD; the first one that was not written as such tells the place.
  const text = bytes.toString('utf8')
  const nul = text.indexOf('\0')
  const wrong = Buffer.from(text).equals(bytes) ? -1 : firstInvalid(text, bytes)
  const places = new Lines(text)
  if (nul >= 0 && (wrong < 0 || nul < wrong)) {
    throw new FileSyntaxError([{message: 'a NUL character; is this a binary file?', ...places.positionAt(nul)}])
  }
  if (wrong >= 0) {
    throw new FileSyntaxError([
      {message: 'a character that is not UTF-8; save the file as UTF-8', ...places.positionAt(wrong)},
    ])
  }
  return text.startsWith('\u{feff}') ? text.slice(1) : text
}

function isUtf16(bytes: Buffer): boolean {
  const mark = bytes.subarray(0, 2).toString('hex')
  // Without a mark: text that begins with an ASCII character has a zero in its first pair.
  return mark === 'fffe' || mark === 'feff' || (bytes.length > 1 && (bytes[0] === 0) !== (bytes[1] === 0))
}

function firstInvalid(text: string, bytes: Buffer): number {
  for (let at = text.indexOf('\u{fffd}'); at >= 0; at = text.indexOf('\u{fffd}', at + 1)) {
    const offset = Buffer.byteLength(text.slice(0, at))
    if (bytes.subarray(offset, offset + 3).toString('hex') !== 'efbfbd') return at
  }
  return 0
}
