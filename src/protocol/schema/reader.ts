import {ProtocolError} from '../errors.ts'

/**
 * Thrown (always the same object, never escaping this room) when a message is incomplete but not wrong so far.
 * `Reader.needed` then says how many bytes of the message are needed before it makes sense to try again.
 */
export class NeedMoreSignal extends Error {}
export const needMore = new NeedMoreSignal('more bytes are needed')

/** Limits that keep a hostile or broken peer from exhausting memory or stack. */
export interface DecodeLimits {
  /** Bytes of one message. */
  maxMessageSize: number
  /** List, set, map and header entries of one message, all together: small entries cost far more memory than bytes. */
  maxElements: number
  /** Nesting of recursive types. */
  maxDepth: number
}

/** 64 MiB a message is far above everything seen in practice (spec protocol.md 1.8: 1 MiB reads, whole HTTP bodies). */
export const defaultLimits: DecodeLimits = {maxMessageSize: 64 * 1024 * 1024, maxElements: 1 << 20, maxDepth: 128}

/** Progress inside an unfinished sequence, so that a retry after `needMore` continues instead of starting over. */
interface Checkpoint {
  items: unknown
  done: number
  offset: number
  elements: number
}

const utf8 = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true})
const shortText = 64
/** Smaller parts are cheaper to gather than to deliver. */
const partsFrom = 4096
const empty: Buffer = Buffer.alloc(0)

/** A cursor over the bytes of one message. Reused for all messages of a stream by `open`. */
export class Reader {
  /** Size of the message known to be needed, from its first byte; valid after `needMore` was thrown. */
  needed = 0
  #bytes = empty
  #start = 0
  #pos = 0
  #end = 0
  #depth = 0
  #elements = 0
  /** Whether the message may be delivered in parts, see `stream`. */
  #divisible = false
  /** Bytes of the message's last field that had not arrived; only for divisible messages. */
  rest = 0
  #checkpoints: Map<number, Checkpoint> | undefined
  readonly #limits: DecodeLimits

  constructor(limits: Partial<DecodeLimits> = {}) {
    this.#limits = {...defaultLimits, ...limits}
  }

  /**
   * Places the cursor on a message at `start`; bytes up to `end` may be read. With `resume`, the bytes continue the
   * message of the failed attempt before (they may have moved in memory, but are the same bytes).
   */
  open(bytes: Buffer, start: number, end: number, resume = false, divisible = false): void {
    this.#bytes = bytes
    this.#divisible = divisible
    this.rest = 0
    this.#start = this.#pos = start
    this.#end = end
    this.#depth = this.#elements = 0
    if (!resume) this.#checkpoints = undefined
  }

  /** Absolute index in the buffer of the next byte. */
  get pos(): number {
    return this.#pos
  }

  /** Takes `count` bytes and returns their index; signals `needMore` when they are not there yet. */
  #take(count: number): number {
    const at = this.#pos
    const next = at + count
    if (next > this.#end) this.#short(next)
    this.#pos = next
    return at
  }

  #short(next: number): never {
    this.#checkSize(next)
    throw needMore
  }

  #checkSize(next: number): void {
    this.needed = next - this.#start
    const cap = this.#limits.maxMessageSize
    if (this.needed <= cap) return
    throw new ProtocolError('TOO_LARGE', `A message of at least ${this.needed} bytes exceeds the limit of ${cap}.`)
  }

  byte(): number {
    return this.#bytes[this.#take(1)]!
  }

  /** A varint of at most 32 bits; `marker` is the widest marker its type accepts (251 for u16, 252 for u32). */
  varint32(marker: 251 | 252): number {
    const first = this.byte()
    if (first < 251) return first
    if (first > marker) badMarker(first)
    if (first === 251) return this.#bytes.readUInt16LE(this.#take(2))
    return this.#bytes.readUInt32LE(this.#take(4))
  }

  /** A varint of at most 64 bits: a number while it is a safe integer, else a bigint. */
  varint64(): number | bigint {
    const first = this.byte()
    if (first < 251) return first
    if (first === 251) return this.#bytes.readUInt16LE(this.#take(2))
    if (first === 252) return this.#bytes.readUInt32LE(this.#take(4))
    if (first > 253) badMarker(first)
    const at = this.#take(8)
    const high = this.#bytes.readUInt32LE(at + 4)
    if (high < 0x20_0000) return high * 0x1_0000_0000 + this.#bytes.readUInt32LE(at)
    return this.#bytes.readBigUInt64LE(at)
  }

  /** A varint of at most 128 bits. */
  varint128(): bigint {
    if (this.#pos < this.#end && this.#bytes[this.#pos] === 254) {
      this.#pos++
      const at = this.#take(16)
      return (this.#bytes.readBigUInt64LE(at + 8) << 64n) | this.#bytes.readBigUInt64LE(at)
    }
    return BigInt(this.varint64())
  }

  /** A byte length or element count. */
  length(): number {
    const length = this.varint64()
    if (typeof length === 'number') return length
    throw new ProtocolError('TOO_LARGE', `A length of ${length} exceeds every limit.`)
  }

  /** `count` raw bytes as a view into the input: no copy. */
  view(count: number): Uint8Array {
    const at = this.#take(count)
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + at, count)
  }

  /**
   * `count` bytes of a byte stream, which must be the message's last field, as a view. Of large ones that have not arrived
   * as a whole, those that have: `rest` says how many are to follow. Only in divisible messages.
   */
  stream(count: number): Uint8Array {
    const there = this.#end - this.#pos
    if (!this.#divisible || there >= count || there < partsFrom) return this.view(count)
    this.#checkSize(this.#pos + count)
    this.rest = count - there
    return this.view(there)
  }

  /** `count` bytes as text, one character a byte. */
  latin1(count: number): string {
    const at = this.#take(count)
    return this.#bytes.toString('latin1', at, at + count)
  }

  /** `count` bytes as UTF-8 text; invalid UTF-8 is an error. */
  utf8(count: number): string {
    const at = this.#take(count)
    if (count <= shortText && this.#isAscii(at, at + count)) return this.#bytes.toString('latin1', at, at + count)
    try {
      return utf8.decode(this.#bytes.subarray(at, at + count))
    } catch {
      throw new ProtocolError('BAD_TEXT', 'A text is not valid UTF-8.')
    }
  }

  #isAscii(from: number, to: number): boolean {
    const bytes = this.#bytes
    for (let i = from; i < to; i++) if (bytes[i]! > 0x7f) return false
    return true
  }

  /**
   * Reads a counted sequence into an accumulator, one element per `readInto`. Nothing is allocated ahead of the data,
   * and an attempt that ran out of bytes leaves a checkpoint behind: decoding stays linear however the bytes arrive.
   * `readInto` must change the accumulator only after the whole element was read.
   */
  sequence<A>(create: () => A, readInto: (reader: Reader, items: A) => void): A {
    const key = this.#pos - this.#start
    const count = this.length()
    const saved = this.#checkpoints?.get(key)
    const items = saved ? (saved.items as A) : create()
    let done = saved ? saved.done : 0
    if (saved) {
      this.#pos = this.#start + saved.offset
      this.#elements = saved.elements
    } else this.#countElements(count)
    let offset = this.#pos
    let elements = this.#elements
    try {
      while (done < count) {
        readInto(this, items)
        done++
        offset = this.#pos
        elements = this.#elements
      }
    } catch (error) {
      if (error === needMore) this.#checkpoint(key, {items, done, offset: offset - this.#start, elements})
      throw error
    }
    // On a retry, finished sequences are kept too: what follows them may need many more attempts.
    if (this.#checkpoints) this.#checkpoint(key, {items, done, offset: offset - this.#start, elements})
    return items
  }

  #checkpoint(key: number, checkpoint: Checkpoint): void {
    this.#checkpoints ??= new Map()
    this.#checkpoints.set(key, checkpoint)
  }

  #countElements(count: number): void {
    this.#elements += count
    if (this.#elements <= this.#limits.maxElements) return
    throw new ProtocolError('TOO_LARGE', `A message of more than ${this.#limits.maxElements} elements is refused.`)
  }

  /** Reads one level deeper; recursive types call it so that nesting is bounded. */
  nested<T>(read: (reader: Reader) => T): T {
    if (this.#depth >= this.#limits.maxDepth) throw new ProtocolError('TOO_DEEP', 'A value is nested too deeply.')
    this.#depth++
    const value = read(this)
    this.#depth--
    return value
  }
}

function badMarker(marker: number): never {
  throw new ProtocolError('BAD_INTEGER', `The integer marker ${marker} is reserved or too wide for its type.`)
}
