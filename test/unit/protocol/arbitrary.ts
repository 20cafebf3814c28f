import fc from 'fast-check'
import {httpVersions, ipToString, type Codec, type Shape} from '../../../src/protocol/index.ts'

const maxNesting = 2

const token = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,20}$/)
const lowerToken = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9a-z]{1,20}$/)
const headerValue = fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,30}$/)
// A quotation mark is allowed in the path but not in the query.
const path = fc.stringMatching(/^\/[!"$-;=@-[\]_a-z{|}~]{0,20}(\?[!$-;=?-~]{0,20})?$/)

const texts = {
  method: token,
  uri: fc.oneof(fc.constant('*'), fc.webUrl(), path),
  httpVersion: fc.constantFrom(...httpVersions),
  semver: fc.tuple(fc.nat(), fc.nat(), fc.nat()).map((parts) => parts.join('.')),
}

/** Header lines as decoding gives them: lower-case names, lines of one name adjacent. */
const headers = fc
  .uniqueArray(fc.tuple(lowerToken, fc.array(headerValue, {minLength: 1, maxLength: 3})), {
    selector: ([name]) => name,
    maxLength: 4,
  })
  .map((groups) => groups.flatMap(([name, values]) => values.map((value) => [name, value] as const)))

function integer(bits: number, signed: boolean): fc.Arbitrary<unknown> {
  const max = 2n ** BigInt(signed ? bits - 1 : bits) - 1n
  const any = fc.bigInt(signed ? -max - 1n : 0n, max)
  if (bits === 128) return fc.oneof(any, fc.bigInt(0n, 300n), fc.bigInt(0n, 2n ** 65n))
  const small = fc.bigInt(signed ? -127n : 0n, bits === 8 ? 255n : 300n)
  const edges = [0n, 250n, 251n, 65_535n, 65_536n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, max, -max - 1n]
  const legal = edges.filter((edge) => edge <= max && (signed || edge >= 0n))
  return fc.oneof(small, any, fc.constantFrom(...legal)).map((value) => {
    return Number.isSafeInteger(Number(value)) ? Number(value) : value
  })
}

/** Values of a wire type, derived from its shape. */
function arbitraryOf(shape: Shape, nesting = 0): fc.Arbitrary<unknown> {
  switch (shape.kind) {
    case 'unit':
      return fc.constant(undefined)
    case 'bool':
      return fc.boolean()
    case 'bytes':
      return fc.oneof(
        {weight: 20, arbitrary: fc.uint8Array({maxLength: 40})},
        fc.constant(new Uint8Array(5000).fill(9)),
      )
    case 'string':
      return fc.string({unit: 'binary', maxLength: 80})
    case 'ip':
      return fc.oneof(...[4, 16].map((n) => fc.uint8Array({minLength: n, maxLength: n}))).map(ipToString)
    case 'headers':
      return headers
    case 'int':
      return integer(shape.bits, shape.signed)
    case 'range':
      return fc.integer({min: shape.min, max: shape.max})
    case 'text':
      return texts[shape.name]
    case 'option':
      return fc.option(arbitraryOf(shape.of, nesting), {nil: undefined})
    case 'list':
      if (shape.of.kind === 'lazy' && nesting >= maxNesting) return fc.constant([])
      return fc.array(arbitraryOf(shape.of, nesting), {maxLength: 4})
    case 'set':
      return fc.array(arbitraryOf(shape.of, nesting), {maxLength: 4}).map((items) => new Set(items))
    case 'map':
      return fc
        .array(fc.tuple(arbitraryOf(shape.key, nesting), arbitraryOf(shape.value, nesting)), {maxLength: 4})
        .map((entries) => new Map(entries))
    case 'array':
      return fc.array(arbitraryOf(shape.of, nesting), {minLength: shape.length, maxLength: shape.length})
    case 'struct':
      return fc.record(mapValues(shape.fields, (field) => arbitraryOf(field, nesting)))
    case 'enum':
      return fc.oneof(...Object.entries(shape.variants).map(([type, content]) => variant(type, content, nesting)))
    case 'lazy':
      return arbitraryOf(shape.of(), nesting + 1)
  }
}

function variant(type: string, content: Shape, nesting = 0): fc.Arbitrary<unknown> {
  if (content.kind === 'unit') return fc.constant({type})
  return arbitraryOf(content, nesting).map((value) => ({type, value}))
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, convert: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, convert(value)]))
}

/** Any value of a codec. */
export function valuesOf<T>(codec: Codec<T>): fc.Arbitrary<T> {
  return arbitraryOf(codec.shape) as fc.Arbitrary<T>
}

/** Values of each variant of an enum codec, by variant name. */
export function variantsOf<T>(codec: Codec<T>): [name: string, values: fc.Arbitrary<T>][] {
  if (codec.shape.kind !== 'enum') throw new TypeError('The codec is not an enum.')
  return Object.entries(codec.shape.variants).map(([name, shape]) => [name, variant(name, shape) as fc.Arbitrary<T>])
}
