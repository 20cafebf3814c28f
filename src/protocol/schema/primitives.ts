import {ProtocolError} from '../errors.ts'
import type {Codec} from './codec.ts'

/** Zero bytes: unit variants and unit structs. */
export const unit: Codec<undefined> = {
  shape: {kind: 'unit'},
  read: () => undefined,
  write: () => undefined,
}

/** One byte, 0 or 1 (spec protocol.md 1.3). */
export const bool: Codec<boolean> = {
  shape: {kind: 'bool'},
  read: (reader) => readFlag(reader.byte()),
  write: (writer, value) => writer.byte(value ? 1 : 0),
}

/** Interprets the tag byte of a bool or option; anything but 0 and 1 is an error. */
export function readFlag(tag: number): boolean {
  if (tag > 1) throw new ProtocolError('BAD_TAG', `A bool or option tag is ${tag}, expected 0 or 1.`)
  return tag === 1
}

/** One raw byte, never a varint (spec protocol.md 1.2). */
export const u8: Codec<number> = {
  shape: {kind: 'int', bits: 8, signed: false},
  read: (reader) => reader.byte(),
  write: (writer, value) => writer.byte(checkRange(value, 0, 0xff, 'u8')),
}

export const u16: Codec<number> = {
  shape: {kind: 'int', bits: 16, signed: false},
  read: (reader) => reader.varint32(251),
  write: (writer, value) => writer.varint(checkRange(value, 0, 0xffff, 'u16')),
}

export const u32: Codec<number> = {
  shape: {kind: 'int', bits: 32, signed: false},
  read: (reader) => reader.varint32(252),
  write: (writer, value) => writer.varint(checkRange(value, 0, 0xffff_ffff, 'u32')),
}

/** Zigzag varint: 0, -1, 1, -2 … become 0, 1, 2, 3 … (spec protocol.md 1.2). */
export const i32: Codec<number> = {
  shape: {kind: 'int', bits: 32, signed: true},
  read: (reader) => unzigzag(reader.varint32(252)),
  write: (writer, value) => writer.varint(zigzag(checkRange(value, -0x8000_0000, 0x7fff_ffff, 'i32'))),
}

/**
 * A 64-bit integer: a number while it is a safe integer (|n| <= 2^53 - 1), else a bigint. One wire value always gives
 * the same JavaScript value, so ids work as Map keys. Both forms are accepted for encoding.
 */
export type Int64 = number | bigint

export const u64: Codec<Int64> = {
  shape: {kind: 'int', bits: 64, signed: false},
  read: (reader) => reader.varint64(),
  write: (writer, value) => {
    if (typeof value === 'number') writer.varint(checkRange(value, 0, Number.MAX_SAFE_INTEGER, 'u64'))
    else writer.bigVarint(checkBigRange(value, 0n, 0xffff_ffff_ffff_ffffn, 'u64'))
  },
}

export const i64: Codec<Int64> = {
  shape: {kind: 'int', bits: 64, signed: true},
  read: (reader) => {
    const value = reader.varint64()
    return typeof value === 'number' ? unzigzag(value) : narrow(bigUnzigzag(value))
  },
  write: (writer, value) => {
    if (typeof value === 'number' && value > -0x8000_0000 && value < 0x8000_0000 && Number.isInteger(value)) {
      writer.varint(zigzag(value))
    } else writer.bigVarint(bigZigzag(checkBigRange(toBigInt(value), -(2n ** 63n), 2n ** 63n - 1n, 'i64')))
  },
}

/** Always a bigint: used for uuids and operator pings, which are only compared. */
export const u128: Codec<bigint> = {
  shape: {kind: 'int', bits: 128, signed: false},
  read: (reader) => reader.varint128(),
  write: (writer, value) => writer.bigVarint(checkBigRange(value, 0n, 2n ** 128n - 1n, 'u128')),
}

/** UTF-8 text. */
export const string: Codec<string> = {
  shape: {kind: 'string'},
  read: (reader) => reader.utf8(reader.length()),
  write: (writer, value) => writer.text(value),
}

/** Raw bytes. Decoded as a view into the input; keeping it keeps the received chunk alive. */
export const bytes: Codec<Uint8Array> = {
  shape: {kind: 'bytes'},
  read: (reader) => reader.view(reader.length()),
  write: (writer, value) => {
    writer.varint(value.length)
    writer.raw(value)
  },
}

/** Raw bytes of a byte stream, the message's last field: may be delivered in parts (see `Reader.stream`). */
export const streamBytes: Codec<Uint8Array> = {...bytes, read: (reader) => reader.stream(reader.length())}

function zigzag(value: number): number {
  return value >= 0 ? value * 2 : value * -2 - 1
}

function unzigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2
}

function bigZigzag(value: bigint): bigint {
  return value >= 0n ? value << 1n : (-value << 1n) - 1n
}

function bigUnzigzag(value: bigint): bigint {
  return (value & 1n) === 0n ? value >> 1n : -((value + 1n) >> 1n)
}

function narrow(value: bigint): Int64 {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

function toBigInt(value: Int64): bigint {
  if (typeof value === 'bigint') return value
  return BigInt(checkRange(value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 'i64'))
}

function checkRange(value: number, min: number, max: number, type: string): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new ProtocolError('UNENCODABLE', `${value} is not a ${type}.`)
}

function checkBigRange(value: bigint, min: bigint, max: bigint, type: string): bigint {
  if (value >= min && value <= max) return value
  throw new ProtocolError('UNENCODABLE', `${value} is not a ${type}.`)
}
