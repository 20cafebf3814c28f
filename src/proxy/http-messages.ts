/** Bytes of a head that are looked at; Node's own servers refuse longer ones (http.maxHeaderSize). */
const MAX_HEAD = 16 * 1024
/** A chunk's size and its extensions, or a line of trailers. */
const MAX_LINE = 4096
const LF = 10
const END_OF_HEAD = Buffer.from('\r\n\r\n')

/** What follows a head (RFC 9112 6.3): so many bytes, chunks, everything up to the end, or nothing that we understand. */
export type Body = number | 'chunked' | 'rest' | 'unknown'

/** Told of the heads of one direction. */
export interface HeadReader {
  /** Whether a head can begin so; of at most 32 bytes. */
  begins(start: string): boolean
  /** A head without its last empty line. */
  head(text: string): Body
}

/**
 * Finds the heads of the HTTP/1 messages of one direction in passing. Bodies are counted off, not looked at; a head in parts
 * is put together in at most 16 KiB.
 */
export class HttpMessages {
  readonly #reader: HeadReader
  #state: 'head' | 'body' | 'chunk size' | 'trailers' | 'rest' = 'head'
  /** Bytes of the body, or of the chunk and its line end, that are still to come. */
  #left = 0
  #chunked = false
  #partial: Buffer | undefined
  #line = ''

  constructor(reader: HeadReader) {
    this.#reader = reader
  }

  /** The next bytes. False: it is not HTTP/1, or nothing more is to be known; not to be called again. */
  push(bytes: Uint8Array): boolean {
    for (let at = 0; at < bytes.length;) {
      switch (this.#state) {
        case 'rest':
          return true
        case 'body': {
          const taken = Math.min(this.#left, bytes.length - at)
          this.#left -= taken
          at += taken
          if (this.#left === 0) this.#state = this.#chunked ? 'chunk size' : 'head'
          break
        }
        case 'head':
          at = this.#head(bytes, at)
          break
        default:
          at = this.#takeLine(bytes, at)
      }
      if (at === -1) return false
    }
    return true
  }

  /** Reads on in a head; where it goes on, or -1 to give up. */
  #head(bytes: Uint8Array, from: number): number {
    let at = from
    if (!this.#partial) {
      // Empty lines before a head are to be ignored (RFC 9112 2.2).
      while (at < bytes.length && (bytes[at] === 13 || bytes[at] === LF)) at++
      if (at === bytes.length) return at
    }
    const before = this.#partial?.length ?? 0
    const room = MAX_HEAD - before
    const next = Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(room, bytes.length - at))
    const known = this.#partial ? Buffer.concat([this.#partial, next]) : next
    if (!this.#reader.begins(known.toString('latin1', 0, 32))) return -1
    const end = known.indexOf(END_OF_HEAD, Math.max(0, before - 3))
    if (end === -1) {
      if (known.length >= MAX_HEAD) return -1
      this.#partial = this.#partial ? known : Buffer.from(known) // the chunk's memory is not ours to keep
      return bytes.length
    }
    this.#partial = undefined
    return this.#body(this.#reader.head(known.toString('latin1', 0, end))) ? at + end + 4 - before : -1
  }

  #body(body: Body): boolean {
    this.#chunked = body === 'chunked'
    if (body === 'unknown') return false
    if (body === 'chunked') this.#state = 'chunk size'
    else if (body === 'rest') this.#state = 'rest'
    else {
      this.#left = body
      this.#state = body === 0 ? 'head' : 'body'
    }
    return true
  }

  /** Reads on in the line of a chunk's size or of trailers; where it goes on, or -1 to give up. */
  #takeLine(bytes: Uint8Array, from: number): number {
    const end = bytes.indexOf(LF, from)
    const to = end === -1 ? bytes.length : end
    if (this.#line.length + to - from > MAX_LINE) return -1
    this.#line += Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1')
    if (end === -1) return to
    const line = this.#line.trimEnd()
    this.#line = ''
    if (this.#state === 'trailers') {
      if (line === '') this.#state = 'head'
      return end + 1
    }
    const size = /^([\da-f]{1,12})\s*(;|$)/i.exec(line)?.[1]
    if (size === undefined) return -1
    const length = Number.parseInt(size, 16)
    this.#left = length + 2
    this.#state = length === 0 ? 'trailers' : 'body'
    return end + 1
  }
}

/** The body of a message by its head's fields; `without` is what no field means. */
export function bodyOf(head: string, without: 0 | 'rest'): Body {
  const encoding = /\r\ntransfer-encoding:([^\r\n]*)/i.exec(head)?.[1]
  if (encoding !== undefined) return /(?:^|[\s,])chunked\s*$/i.test(encoding) ? 'chunked' : without || 'unknown'
  const lengths = head.match(/\r\ncontent-length:[^\r\n]*/gi)
  if (!lengths) return without
  const values = new Set(lengths.map((line) => line.slice(line.indexOf(':') + 1).trim()))
  const [value = ''] = values
  return values.size === 1 && /^\d{1,15}$/.test(value) ? Number(value) : 'unknown'
}
