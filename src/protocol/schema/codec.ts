import type {Reader} from './reader.ts'
import type {Writer} from './writer.ts'

/**
 * How one wire type is read and written. Messages are built from these by composition; the TypeScript type of a message
 * is inferred from its codec (`Infer`), so the wire table, the decoder, the encoder and the types cannot drift apart.
 */
export interface Codec<T> {
  read(reader: Reader): T
  write(writer: Writer, value: T): void
  /** Describes the type as data, for tools that walk the schema (tests derive generators from it). */
  readonly shape: Shape
}

/** The value type of a codec. */
export type Infer<C> = C extends Codec<infer T> ? T : never

/** A codec of any value: what containers hold. `never` on the writing side keeps it assignable from every codec. */
export interface AnyCodec {
  read(reader: Reader): unknown
  write(writer: Writer, value: never): void
  readonly shape: Shape
}

/** The structure of a wire type as plain data. */
export type Shape =
  | {kind: 'unit' | 'bool' | 'bytes' | 'string' | 'ip' | 'headers'}
  | {kind: 'int'; bits: 8 | 16 | 32 | 64 | 128; signed: boolean}
  | {kind: 'text'; name: TextKind}
  | {kind: 'range'; min: number; max: number}
  | {kind: 'option' | 'list' | 'set'; of: Shape}
  | {kind: 'map'; key: Shape; value: Shape}
  | {kind: 'array'; of: Shape; length: number}
  | {kind: 'struct'; fields: Readonly<Record<string, Shape>>}
  | {kind: 'enum'; variants: Readonly<Record<string, Shape>>}
  | {kind: 'lazy'; of: () => Shape}

/** Strings that are validated beyond being UTF-8 (spec protocol.md 1.4). */
export type TextKind = 'method' | 'uri' | 'httpVersion' | 'semver'
