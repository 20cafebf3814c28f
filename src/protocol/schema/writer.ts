import {ProtocolError} from '../errors.ts'

const slabSize = 64 * 1024
const empty: Buffer = Buffer.alloc(0)

/** Payloads from this size on are passed through by reference; smaller ones are cheaper to copy than to write apart. */
const referenceFrom = 4096

/**
 * Collects encoded messages as a list of chunks. Small parts of any number of messages share one buffer; large payloads
 * become chunks of their own without a copy, so they must not be changed until the chunks have been written.
 */
export class Writer {
  /** Bytes written and not yet taken. */
  length = 0
  #slab = empty
  /** Where the open (not yet pushed) run of bytes in the slab begins. */
  #from = 0
  #pos = 0
  #chunks: Uint8Array[] = []

  /** Runs `write` as a unit: when it throws, everything it wrote is taken back. */
  atomic(write: () => void): void {
    const chunks = this.#chunks.length
    const length = this.length
    const slab = this.#slab
    const from = this.#from
    const pos = this.#pos
    try {
      write()
    } catch (error) {
      this.#chunks.length = chunks
      this.length = length
      this.#slab = slab
      this.#from = from
      this.#pos = pos
      throw error
    }
  }

  /** Hands out everything written so far, in order, and starts anew. */
  take(): Uint8Array[] {
    this.#seal()
    const chunks = this.#chunks
    this.#chunks = []
    this.length = 0
    return chunks
  }

  #seal(): void {
    if (this.#pos > this.#from) {
      this.#chunks.push(new Uint8Array(this.#slab.buffer, this.#slab.byteOffset + this.#from, this.#pos - this.#from))
    }
    this.#from = this.#pos
  }

  /** Reserves `count` bytes in the slab and returns their index. */
  #room(count: number): number {
    const at = this.#pos
    if (at + count > this.#slab.length) return this.#grow(count)
    this.#pos = at + count
    this.length += count
    return at
  }

  #grow(count: number): number {
    this.#seal()
    this.#slab = Buffer.allocUnsafeSlow(Math.max(slabSize, count))
    this.#from = 0
    this.#pos = count
    this.length += count
    return 0
  }

  byte(value: number): void {
    const at = this.#room(1)
    this.#slab[at] = value
  }

  /** The shortest varint of a non-negative safe integer. */
  varint(value: number): void {
    if (value < 251) {
      this.byte(value)
    } else if (value <= 0xffff) {
      const at = this.#room(3)
      this.#slab[at] = 251
      this.#slab.writeUInt16LE(value, at + 1)
    } else if (value <= 0xffff_ffff) {
      const at = this.#room(5)
      this.#slab[at] = 252
      this.#slab.writeUInt32LE(value, at + 1)
    } else {
      const at = this.#room(9)
      this.#slab[at] = 253
      this.#slab.writeUInt32LE(value % 0x1_0000_0000, at + 1)
      this.#slab.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 5)
    }
  }

  /** The shortest varint of a bigint in 0 … 2^128 - 1. */
  bigVarint(value: bigint): void {
    if (value <= Number.MAX_SAFE_INTEGER) {
      this.varint(Number(value))
    } else if (value <= 0xffff_ffff_ffff_ffffn) {
      const at = this.#room(9)
      this.#slab[at] = 253
      this.#slab.writeBigUInt64LE(value, at + 1)
    } else {
      const at = this.#room(17)
      this.#slab[at] = 254
      this.#slab.writeBigUInt64LE(value & 0xffff_ffff_ffff_ffffn, at + 1)
      this.#slab.writeBigUInt64LE(value >> 64n, at + 9)
    }
  }

  /** Raw bytes: copied when small, otherwise by reference. */
  raw(bytes: Uint8Array): void {
    const count = bytes.length
    if (count === 0) return
    if (count >= referenceFrom) {
      this.#seal()
      this.#chunks.push(bytes)
      this.length += count
    } else {
      const at = this.#room(count)
      this.#slab.set(bytes, at)
    }
  }

  /** Text as UTF-8 behind its byte length. Refuses text with lone surrogates: they have no UTF-8 form. */
  text(value: string): void {
    if (!value.isWellFormed()) throw new ProtocolError('UNENCODABLE', 'A text holds a lone surrogate.')
    const count = Buffer.byteLength(value)
    this.varint(count)
    const at = this.#room(count)
    this.#slab.write(value, at, 'utf8')
  }

  /** Text of characters 0-255 as one byte each, behind its length. The caller has checked the characters. */
  latin1(value: string): void {
    this.varint(value.length)
    const at = this.#room(value.length)
    this.#slab.write(value, at, 'latin1')
  }
}
