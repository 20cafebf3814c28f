import {ProtocolError} from '../errors.ts'
import type {AnyCodec, Codec, Infer, Shape} from './codec.ts'
import {readFlag} from './primitives.ts'
import type {Reader} from './reader.ts'

/** One tag byte, then the value if the tag is 1. `undefined` stands for absent, so options must not be nested. */
export function option<T extends NonNullable<unknown>>(of: Codec<T>): Codec<T | undefined> {
  return {
    shape: {kind: 'option', of: of.shape},
    read: (reader) => (readFlag(reader.byte()) ? of.read(reader) : undefined),
    write: (writer, value) => {
      writer.byte(value === undefined ? 0 : 1)
      if (value !== undefined) of.write(writer, value)
    },
  }
}

/** A counted list, in order. */
export function list<T>(of: Codec<T>): Codec<readonly T[]> {
  const create = (): T[] => []
  const readInto = (reader: Reader, items: T[]) => void items.push(of.read(reader))
  return {
    shape: {kind: 'list', of: of.shape},
    read: (reader) => reader.sequence(create, readInto),
    write: (writer, value) => {
      writer.varint(value.length)
      for (const item of value) of.write(writer, item)
    },
  }
}

/** A hash set of texts: order is kept, duplicates collapse as in the reference implementation. */
export function set(of: Codec<string>): Codec<ReadonlySet<string>> {
  const create = () => new Set<string>()
  const readInto = (reader: Reader, items: Set<string>) => void items.add(of.read(reader))
  return {
    shape: {kind: 'set', of: of.shape},
    read: (reader) => reader.sequence(create, readInto),
    write: (writer, value) => {
      writer.varint(value.size)
      for (const item of value) of.write(writer, item)
    },
  }
}

/** A hash map: order is kept, the last of several equal keys wins as in the reference implementation. */
export function map<V>(key: Codec<string>, value: Codec<V>): Codec<ReadonlyMap<string, V>> {
  const create = () => new Map<string, V>()
  const readInto = (reader: Reader, items: Map<string, V>) => void items.set(key.read(reader), value.read(reader))
  return {
    shape: {kind: 'map', key: key.shape, value: value.shape},
    read: (reader) => reader.sequence(create, readInto),
    write: (writer, entries) => {
      writer.varint(entries.size)
      for (const [name, item] of entries) {
        key.write(writer, name)
        value.write(writer, item)
      }
    },
  }
}

/** Two elements without a count (`[T; 2]`). */
export function pair<T>(of: Codec<T>): Codec<readonly [T, T]> {
  return {
    shape: {kind: 'array', of: of.shape, length: 2},
    read: (reader) => [of.read(reader), of.read(reader)],
    write: (writer, value) => {
      of.write(writer, value[0])
      of.write(writer, value[1])
    },
  }
}

type StructOf<F extends Record<string, AnyCodec>> = {
  -readonly [K in keyof F as undefined extends Infer<F[K]> ? never : K]: Infer<F[K]>
} & {
  -readonly [K in keyof F as undefined extends Infer<F[K]> ? K : never]?: Infer<F[K]>
}
/** The value of a struct codec. Optional wire fields may be left out. */
export type Struct<F extends Record<string, AnyCodec>> = {[K in keyof StructOf<F>]: StructOf<F>[K]}

/** Fields in the order of the table, nothing else on the wire. */
export function struct<const F extends Record<string, AnyCodec>>(fields: F): Codec<Struct<F>> {
  const names = Object.keys(fields)
  const codecs = Object.values(fields) as unknown as Codec<unknown>[]
  const size = names.length
  return {
    shape: {kind: 'struct', fields: shapesOf(fields)},
    read: (reader) => {
      const value: Record<string, unknown> = {}
      for (let i = 0; i < size; i++) value[names[i]!] = codecs[i]!.read(reader)
      return value as Struct<F>
    },
    write: (writer, value) => {
      const record = value as Record<string, unknown>
      for (let i = 0; i < size; i++) codecs[i]!.write(writer, record[names[i]!])
    },
  }
}

/** The value of an enum codec: `{type: 'Name', value}`, or `{type: 'Name'}` for variants without content. */
export type Variant<V extends Record<string, AnyCodec>> = {
  [K in keyof V & string]: [Infer<V[K]>] extends [undefined]
    ? {type: K; value?: undefined}
    : {type: K; value: Infer<V[K]>}
}[keyof V & string]

/** A varint index into the table, then the content of that variant. The order of the table is the wire format. */
export function variants<const V extends Record<string, AnyCodec>>(table: V): Codec<Variant<V>> {
  const names = Object.keys(table)
  const codecs = Object.values(table) as unknown as Codec<unknown>[]
  const indexes = new Map(names.map((name, index) => [name, index]))
  // Variants without content are shared frozen values: the most frequent control messages then allocate nothing.
  const units = names.map((name, index) =>
    codecs[index]!.shape.kind === 'unit' ? Object.freeze({type: name}) : undefined,
  )
  return {
    shape: {kind: 'enum', variants: shapesOf(table)},
    read: (reader) => {
      const index = reader.varint32(252)
      if (index >= names.length)
        throw new ProtocolError('BAD_TAG', `Variant ${index} of ${names.join('/')} is unknown.`)
      return (units[index] ?? {type: names[index]!, value: codecs[index]!.read(reader)}) as Variant<V>
    },
    write: (writer, value) => {
      const index = indexes.get(value.type)
      if (index === undefined) throw new ProtocolError('UNENCODABLE', `There is no variant ${value.type}.`)
      writer.varint(index)
      codecs[index]!.write(writer, value.value)
    },
  }
}

/** Breaks the cycle of a recursive type and bounds its nesting while decoding. */
export function lazy<T>(of: () => Codec<T>): Codec<T> {
  return {
    shape: {kind: 'lazy', of: () => of().shape},
    read: (reader) => reader.nested((nested) => of().read(nested)),
    write: (writer, value) => of().write(writer, value),
  }
}

function shapesOf(table: Record<string, AnyCodec>): Record<string, Shape> {
  return Object.fromEntries(Object.entries(table).map(([name, codec]) => [name, codec.shape]))
}
