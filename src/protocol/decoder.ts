import {asBuffer} from './message-codec.ts'
import type {Codec} from './schema/codec.ts'
import {needMore, Reader, type DecodeLimits} from './schema/reader.ts'

const minStep = 64
const maxStep = 64 * 1024
const growEagerlyTo = 1024 * 1024

/**
 * Cuts a byte stream into messages (spec protocol.md 1.5). Feed it with `push`, then call `next` until it returns
 * undefined. A message that lies within one chunk is decoded in place, its payloads are views into the chunk. Otherwise
 * its parts are gathered once, in a buffer that grows with the data received, never with a length that was announced.
 * The work is linear in the bytes received, however they are cut.
 */
export class MessageDecoder<T> {
  readonly #codec: Codec<T>
  readonly #reader: Reader
  readonly #chunks: Buffer[] = []
  /** Read position in the first chunk. */
  #offset = 0
  /** The beginning of a message whose end has not arrived, if any. */
  #partial: Buffer | undefined
  #filled = 0
  /** Bytes without which the partial message cannot be complete. */
  #needed = 0
  /** Bytes to take beyond `#needed` on the next attempt; doubles so that attempts stay few. */
  #step = minStep
  #failure: Error | undefined
  readonly #divide: ((message: T, bytes: Uint8Array) => T) | undefined
  /** The message whose first part was returned, and how many of its bytes are to follow. */
  #divided: {message: T; rest: number} | undefined

  /**
   * @param divide allows large stream data to be returned in parts, as they arrive, instead of being gathered: makes a
   * message like a given one with other bytes
   */
  constructor(codec: Codec<T>, limits?: Partial<DecodeLimits>, divide?: (message: T, bytes: Uint8Array) => T) {
    this.#codec = codec
    this.#reader = new Reader(limits)
    this.#divide = divide
  }

  /** Adds received bytes. The chunk must not be changed afterwards: messages refer to it. */
  push(chunk: Uint8Array): void {
    if (chunk.length > 0) this.#chunks.push(asBuffer(chunk))
  }

  /**
   * The next complete message, or undefined when more bytes are needed. Throws ProtocolError when the bytes cannot be a
   * message; that is final, every later call throws the same error.
   */
  next(): T | undefined {
    if (this.#failure) throw this.#failure
    try {
      for (let chunk = this.#chunks[0]; chunk; chunk = this.#chunks[0]) {
        const message = this.#divided
          ? this.#part(this.#divided, chunk)
          : this.#partial
            ? this.#continue(this.#partial, chunk)
            : this.#begin(chunk)
        if (message !== undefined) return message
      }
      return undefined
    } catch (error) {
      this.#failure = error as Error
      throw error
    }
  }

  /** Bytes received that are not part of a message returned by `next`: 0 at a clean end of the stream. */
  get leftover(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.length, this.#filled - this.#offset)
  }

  /** Whether the last message returned was a part, and the rest of it has not come. */
  get unfinished(): boolean {
    return this.#divided !== undefined
  }

  /** The next part of a divided message. */
  #part(divided: {message: T; rest: number}, chunk: Buffer): T {
    const bytes = chunk.subarray(this.#offset, this.#offset + divided.rest)
    divided.rest -= bytes.length
    if (divided.rest === 0) this.#divided = undefined
    this.#consume(chunk, this.#offset + bytes.length)
    return this.#divide!(divided.message, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length))
  }

  /** Decodes in place; an incomplete rest of the chunk becomes the partial message. */
  #begin(chunk: Buffer): T | undefined {
    const reader = this.#reader
    reader.open(chunk, this.#offset, chunk.length, false, this.#divide !== undefined)
    const message = this.#attempt()
    if (message !== undefined) {
      if (reader.rest > 0) this.#divided = {message, rest: reader.rest}
      this.#consume(chunk, reader.pos)
      return message
    }
    const rest = chunk.subarray(this.#offset)
    this.#needed = reader.needed
    this.#step = minStep
    this.#partial = Buffer.allocUnsafeSlow(Math.max(rest.length + minStep, Math.min(this.#needed, growEagerlyTo)))
    this.#partial.set(rest)
    this.#filled = rest.length
    this.#consume(chunk, chunk.length)
    return undefined
  }

  /** Adds bytes of the chunk to the partial message and decodes it once it can be complete. */
  #continue(partial: Buffer, chunk: Buffer): T | undefined {
    const wanted = Math.max(this.#needed - this.#filled, this.#step)
    const count = Math.min(wanted, chunk.length - this.#offset)
    const buffer = this.#grow(partial, this.#filled + count)
    buffer.set(chunk.subarray(this.#offset, this.#offset + count), this.#filled)
    const before = this.#filled
    this.#filled += count
    if (this.#filled < this.#needed) {
      this.#consume(chunk, this.#offset + count)
      return undefined
    }
    this.#reader.open(buffer, 0, this.#filled, true)
    const message = this.#attempt()
    if (message === undefined) {
      this.#needed = this.#reader.needed
      this.#step = Math.min(this.#step * 2, maxStep)
      this.#consume(chunk, this.#offset + count)
      return undefined
    }
    // The message was incomplete with the bytes before, so it ends within those just added.
    this.#consume(chunk, this.#offset + this.#reader.pos - before)
    this.#partial = undefined
    this.#filled = 0
    return message
  }

  #attempt(): T | undefined {
    try {
      return this.#codec.read(this.#reader)
    } catch (error) {
      if (error === needMore) return undefined
      throw error
    }
  }

  #grow(partial: Buffer, size: number): Buffer {
    if (size <= partial.length) return partial
    const eager = Math.min(this.#needed, growEagerlyTo)
    const larger = Buffer.allocUnsafeSlow(Math.max(size, eager, Math.min(partial.length * 2, this.#needed + maxStep)))
    larger.set(partial.subarray(0, this.#filled))
    this.#partial = larger
    return larger
  }

  #consume(chunk: Buffer, offset: number): void {
    this.#offset = offset
    if (offset < chunk.length) return
    this.#chunks.shift()
    this.#offset = 0
  }
}
