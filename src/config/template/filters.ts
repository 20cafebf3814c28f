import {Arguments, type Given} from './arguments.ts'
import {formatDate} from './dates.ts'
import {expect, ofList, ofNumber, ofText, type Filter} from './filter-kinds.ts'
import {markup} from './markup-filters.ts'
import {isEqual, TemplateError, toPlain, toText, type Value} from './value.ts'

/** Applies a filter. Throws a TemplateError; undefined is a value that is not there, such as the first of no entries. */
export function applyFilter(name: string, input: Value, given: Given): Value | undefined {
  const filter = filters[name]!
  return filter.apply(input, new Arguments(`the filter "${name}"`, filter.names ?? [], given))
}

export const isFilter = (name: string): boolean => Object.hasOwn(filters, name) || name === 'default'
export const filterNames = (): string[] => [...Object.keys(filters), 'default']

/** Tera's filters, which configurations of upstream are written for; `default` is the interpreter's own. */
const filters: Readonly<Record<string, Filter>> = {
  upper: ofText((text) => text.toUpperCase()),
  lower: ofText((text) => text.toLowerCase()),
  trim: ofText((text) => text.trim()),
  trim_start: ofText((text) => text.trimStart()),
  trim_end: ofText((text) => text.trimEnd()),
  trim_start_matches: ofText((text, given) => trimStartMatches(text, given.text('pat')), ['pat']),
  trim_end_matches: ofText((text, given) => trimEndMatches(text, given.text('pat')), ['pat']),
  replace: ofText((text, given) => text.replaceAll(given.text('from'), () => given.text('to')), ['from', 'to']),
  capitalize: ofText((text) => capitalized(text)),
  title: ofText((text) => text.replaceAll(/[\p{L}\p{N}']+/gu, capitalized)),
  truncate: ofText(
    (text, given) => {
      const characters = [...text]
      const length = given.number('length', 255)
      return characters.length <= length ? text : characters.slice(0, length).join('') + given.text('end', '…')
    },
    ['length', 'end'],
  ),
  slugify: ofText(slug),
  wordcount: ofText((text) => text.split(/\s+/).filter((word) => word !== '').length),
  split: ofText((text, given) => text.split(given.text('pat')), ['pat']),
  urlencode: ofText(
    (text, given) => {
      const safe = given.text('safe', '/')
      return [...text].map((char) => (safe.includes(char) ? char : urlEncoded(char))).join('')
    },
    ['safe'],
  ),
  urlencode_strict: ofText((text) => urlEncoded(text)),
  addslashes: ofText((text) => text.replaceAll(/[\\"']/g, String.raw`\$&`)),
  ...markup,
  as_str: {apply: (input) => toText(input)},
  safe: {apply: (input) => input},
  json_encode: {
    names: ['pretty'],
    apply: (input, given) => JSON.stringify(toPlain(input), undefined, given.flag('pretty') ? 2 : undefined),
  },
  int: {names: ['default', 'base'], apply: (input, given) => toInteger(input, given)},
  float: {names: ['default'], apply: (input, given) => toFloat(input, given)},
  abs: ofNumber(Math.abs),
  round: ofNumber(rounded, ['method', 'precision']),
  date: {names: ['format'], apply: (input, given) => formatDate(input, given.text('format', '%Y-%m-%d'))},
  length: {
    apply: (input) => {
      if (input instanceof Map) return input.size
      return [
        ...expect<string | Value[]>(
          input,
          'a text or a list',
          (value) => typeof value === 'string' || Array.isArray(value),
        ),
      ].length
    },
  },
  reverse: {
    apply: (input) =>
      typeof input === 'string'
        ? [...input].reverse().join('')
        : expect<readonly Value[]>(input, 'a text or a list', Array.isArray).toReversed(),
  },
  first: ofList((list) => list[0]),
  last: ofList((list) => list.at(-1)),
  nth: ofList((list, given) => list[given.number('n')], ['n']),
  join: ofList((list, given) => list.map(toText).join(given.text('sep', '')), ['sep']),
  sort: ofList(sorted),
  unique: ofList((list) => list.filter((value, index) => list.findIndex((other) => isEqual(other, value)) === index)),
  slice: ofList(
    (list, given) => list.slice(given.number('start', 0), given.number('end', list.length)),
    ['start', 'end'],
  ),
  concat: ofList((list, given) => list.concat(given.required('with')), ['with']),
  get: {
    names: ['key', 'default'],
    apply: (input, given) =>
      expect<ReadonlyMap<string, Value>>(input, 'an object', (value) => value instanceof Map).get(given.text('key')) ??
      given.optional('default'),
  },
}

function capitalized(text: string): string {
  const [first = '', ...rest] = text
  return first.toUpperCase() + rest.join('').toLowerCase()
}

function slug(text: string): string {
  const ascii = text.normalize('NFKD').replaceAll(/\p{M}/gu, '').toLowerCase()
  return ascii.replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-|-$/g, '')
}

function urlEncoded(text: string): string {
  const encoded = encodeURIComponent(text.toWellFormed())
  return encoded.replaceAll(/[!'()*~]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

function trimStartMatches(text: string, pattern: string): string {
  let rest = text
  while (pattern !== '' && rest.startsWith(pattern)) rest = rest.slice(pattern.length)
  return rest
}

function trimEndMatches(text: string, pattern: string): string {
  let rest = text
  while (pattern !== '' && rest.endsWith(pattern)) rest = rest.slice(0, -pattern.length)
  return rest
}

function toInteger(input: Value, given: Arguments): Value {
  const base = given.number('base', 10)
  if (!Number.isInteger(base) || base < 2 || base > 36) throw new TemplateError('"base" must be from 2 to 36')
  if (typeof input === 'number') return Math.trunc(input)
  const digits =
    typeof input === 'string'
      ? input
          .trim()
          .replace(/^0[xob]/i, '')
          .toLowerCase()
      : ''
  const valid =
    /^[+-]?[0-9a-z]+$/.test(digits) && [...digits.replace(/^[+-]/, '')].every((digit) => parseInt(digit, 36) < base)
  if (valid) return parseInt(digits, base)
  return otherwise(given, 'a whole number')
}

function toFloat(input: Value, given: Arguments): Value {
  if (typeof input === 'number') return input
  const number = typeof input === 'string' && input.trim() !== '' ? Number(input) : NaN
  return Number.isFinite(number) ? number : otherwise(given, 'a number')
}

function otherwise(given: Arguments, expected: string): Value {
  const fallback = given.optional('default')
  if (fallback === undefined)
    throw new TemplateError(`its input is not ${expected}; say what holds then with default=…`)
  return fallback
}

function rounded(number: number, given: Arguments): number {
  const methods: Readonly<Record<string, (value: number) => number>> = {
    common: Math.round,
    ceil: Math.ceil,
    floor: Math.floor,
  }
  const method = given.text('method', 'common')
  if (!Object.hasOwn(methods, method)) throw new TemplateError('"method" must be common, ceil or floor')
  const factor = 10 ** given.number('precision', 0)
  return methods[method]!(number * factor) / factor
}

function sorted(list: readonly Value[]): readonly Value[] {
  const kinds = new Set(list.map((value) => typeof value))
  if (kinds.size > 1 || kinds.has('object'))
    throw new TemplateError('it sorts texts or numbers, not both and nothing else')
  return list.toSorted((a, b) => (a === b ? 0 : a! < b! ? -1 : 1))
}
