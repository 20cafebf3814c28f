import * as z from 'zod'
import {objectName} from './target.ts'

/**
 * One schema for all who ask: building it costs more than using it, and a hundred keys have one of these. What is made of it
 * (`.optional()`, `.default()`) is another schema; `field` refuses the same for two keys.
 */
const shared = <T>(make: () => T) => {
  let made: T | undefined
  return () => (made ??= make())
}

/** A whole number of at most 16 bits. */
export const u16 = shared(() => z.int().min(0).max(65_535))
/** A whole number of at most 32 bits. */
export const u32 = shared(() => z.int().min(0).max(4_294_967_295))
/** A whole number; upstream has 64 bits, a number of JavaScript is exact up to 2^53. */
export const u64 = shared(() => z.int().min(0))
/** A text that is not empty. */
export const text = shared(() => z.string().min(1))
/** A rotated file smaller than this would hold less than a stack trace. */
const MIN_SIZE = 1024
const units = {'': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3} as const

/** A size in bytes: a whole number, or a text such as "512K", "10M", "1G" (powers of 1024); 1K at least. */
export const byteSize = () =>
  z
    .union([z.number(), z.string()], {error: 'expected a size: a number of bytes, or one with K, M or G such as "10M"'})
    .transform((value, context) => {
      const [, digits, unit = ''] = /^(\d+)([KMG]?)$/i.exec(String(value)) ?? []
      const bytes = digits === undefined ? NaN : Number(digits) * units[unit.toUpperCase() as keyof typeof units]
      if (Number.isSafeInteger(bytes) && bytes >= MIN_SIZE) return bytes
      const message = Number.isNaN(bytes)
        ? 'expected a size: a number of bytes, or one with K, M or G such as "10M"'
        : 'expected a size of at least 1K and less than 8 PiB'
      context.addIssue({code: 'custom', message})
      return z.NEVER
    })
/** A name of a Kubernetes object. */
export const kubernetesName = shared(() =>
  z.string().regex(objectName, 'must be a name of Kubernetes: small letters, digits, "-" and "."'),
)
/** A TCP port. */
export const port = shared(() => z.int().min(1).max(65_535))

/** A text or a list of texts, read as a list. */
export const list = shared(() =>
  z
    .union([z.string(), z.array(z.string())], {error: 'expected a string or a list of strings'})
    .transform((value) => (Array.isArray(value) ? value : [value])),
)

/** As `list`, and each text may hold several entries separated by `;` (the patterns of `feature.env`, config.md 5.1). */
export const patterns = shared(() =>
  z
    .union([z.string(), z.array(z.string())], {error: 'expected a string or a list of strings'})
    .transform((value) =>
      (Array.isArray(value) ? value : [value]).flatMap((entry) => entry.split(';')).filter((entry) => entry !== ''),
    ),
)

/** A map from text to text. */
export const textMap = shared(() => z.record(z.string(), z.string()))

/** Entries of a variable's or flag's text, separated by `;`. An empty text has none: an empty pattern would match everything. */
export const entriesOf = (text: string) => text.split(';').filter((entry) => entry !== '')

/** Numbers of a variable's or flag's text, separated by `;`. Throws a plain Error. */
export function numbersOf(text: string): number[] {
  const entries = entriesOf(text)
  if (entries.length > 0 && entries.every((entry) => /^\d+$/.test(entry))) return entries.map(Number)
  throw new Error('expected whole numbers separated by ";"')
}

/** A value, or a list of them, read as a list. */
export const oneOrMany = <T extends z.ZodType>(schema: T, expected: string) =>
  z
    .union([schema, z.array(schema)], {error: `expected ${expected} or a list of them`})
    .transform((value) => (Array.isArray(value) ? value : [value]) as z.output<T>[])

/** The path of an entry of such a list; none where it is the only one, which may be written without a list. */
export const placeOf = (index: number, {length}: readonly unknown[]): number[] | undefined =>
  length === 1 ? undefined : [index]
