/** A set of code points: ascending, disjoint ranges as `[first, last, first, last, ...]`. */
export type CodePoints = readonly number[]

/** The highest code point. */
export const lastCodePoint = 0x10_ffff

/** Every code point. */
export const everything: CodePoints = [0, lastCodePoint]

/** The set of ranges given in any order, overlapping or not. */
export function union(...sets: readonly CodePoints[]): CodePoints {
  const pairs: [number, number][] = []
  for (const set of sets) for (let at = 0; at < set.length; at += 2) pairs.push([set[at]!, set[at + 1]!])
  pairs.sort((a, b) => a[0] - b[0])
  const result: number[] = []
  for (const [first, last] of pairs) {
    const end = result.length - 1
    if (end > 0 && first <= result[end]! + 1) result[end] = Math.max(result[end]!, last)
    else result.push(first, last)
  }
  return result
}

/** Every code point that is not in the set. */
export function complement(set: CodePoints): CodePoints {
  const result: number[] = []
  let next = 0
  for (let at = 0; at < set.length; at += 2) {
    if (set[at]! > next) result.push(next, set[at]! - 1)
    next = set[at + 1]! + 1
  }
  if (next <= lastCodePoint) result.push(next, lastCodePoint)
  return result
}

/** The code points of both sets. */
export const intersection = (a: CodePoints, b: CodePoints) => complement(union(complement(a), complement(b)))

/** Whether a code point is in the set. */
export function contains(set: CodePoints, point: number): boolean {
  for (let at = 0; at < set.length && set[at]! <= point; at += 2) if (point <= set[at + 1]!) return true
  return false
}

/** The set with every other case of its members (Unicode's simple case folding; ASCII letters only without `unicode`). */
export function foldCase(set: CodePoints, unicode: boolean): CodePoints {
  if (set.length === 0) return set
  const key = `${unicode ? 'u' : 'a'}${set.join()}`
  const known = folded.get(key)
  if (known) return known
  // Two characters beyond ASCII fold to ASCII: the long s and the Kelvin sign.
  const ascii = set.at(-1)! < 0x80
  const cases = !unicode ? asciiCases(set) : ascii ? union(asciiCases(set), longS(set), kelvin(set)) : casesOf(set)
  const result = union(set, cases)
  folded.set(key, result)
  return result
}
const folded = new Map<string, CodePoints>()
const longS = (set: CodePoints) => (contains(set, 0x53) || contains(set, 0x73) ? [0x17f, 0x17f] : [])
const kelvin = (set: CodePoints) => (contains(set, 0x4b) || contains(set, 0x6b) ? [0x212a, 0x212a] : [])

function asciiCases(set: CodePoints): CodePoints {
  const upper = intersection(set, [0x41, 0x5a]).map((point) => point + 32)
  const lower = intersection(set, [0x61, 0x7a]).map((point) => point - 32)
  return union(upper, lower)
}

/** The flags `iu` of RegExp compare by simple case folding, as ECMA-262's Canonicalize says. */
function casesOf(set: CodePoints): CodePoints {
  const result: CodePoints[] = []
  for (const {0: match} of casedText().matchAll(new RegExp(source(set), 'giu'))) {
    const point = match.codePointAt(0)!
    result.push([point, point])
  }
  return union(...result)
}

/** Every code point that another case exists for, in one text. */
const casedText = once(() =>
  [...allText().matchAll(/\p{Changes_When_Casemapped}/gu)].map(({0: match}) => match).join(''),
)

/** The set of a Unicode property, written as in RegExp (`L`, `Script=Greek`); undefined when there is none. */
export function unicodeProperty(name: string): CodePoints | undefined {
  const known = properties.get(name)
  if (known) return known
  let expression: RegExp
  try {
    expression = new RegExp(
      `[${name
        .split('|')
        .map((part) => `\\p{${part}}`)
        .join('')}]+`,
      'gu',
    )
  } catch {
    return undefined
  }
  const result: number[] = []
  for (const match of allText().matchAll(expression)) {
    result.push(pointAt(match.index), pointAt(match.index + match[0].length) - 1)
  }
  properties.set(name, result)
  return result
}
const properties = new Map<string, CodePoints>()

/** Every code point but the surrogates, in order. */
const allText = once(() => {
  const units = new Uint16Array(bmpUnits + 2 * 0x10_0000)
  for (let unit = 0; unit < bmpUnits; unit++) units[unit] = unit < 0xd800 ? unit : unit + 0x800
  for (let astral = 0; astral < 0x10_0000; astral++) {
    units[bmpUnits + 2 * astral] = 0xd800 + (astral >> 10)
    units[bmpUnits + 2 * astral + 1] = 0xdc00 + (astral & 0x3ff)
  }
  return Buffer.from(units.buffer).toString('utf16le')
})
const bmpUnits = 0x1_0000 - 0x800

/** The code point at an index of `allText`. */
function pointAt(index: number): number {
  if (index < 0xd800) return index
  return index < bmpUnits ? index + 0x800 : 0x1_0000 + (index - bmpUnits) / 2
}

function source(set: CodePoints): string {
  const hex = (point: number) => `\\u{${point.toString(16)}}`
  let text = ''
  for (let at = 0; at < set.length; at += 2) text += `${hex(set[at]!)}-${hex(set[at + 1]!)}`
  return `[${text}]`
}

function once<T>(make: () => T): () => T {
  let value: T | undefined
  return () => (value ??= make())
}

/** `\d`, `\s` and `\w` of Unicode (UTS 18, annex C) and of ASCII. */
export const perlClass = {
  d: (unicode: boolean) => (unicode ? unicodeProperty('Nd')! : [0x30, 0x39]),
  s: (unicode: boolean) => (unicode ? unicodeProperty('White_Space')! : [9, 13, 32, 32]),
  w: (unicode: boolean) => (unicode ? unicodeProperty('Alphabetic|M|Nd|Pc|Join_Control')! : asciiWord),
}
/** The letters, digits and underscore of ASCII. */
export const asciiWord: CodePoints = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a]

/** The classes that POSIX names, over ASCII: `[[:alpha:]]`. */
export const posixClasses: Readonly<Record<string, CodePoints>> = {
  alnum: [0x30, 0x39, 0x41, 0x5a, 0x61, 0x7a],
  alpha: [0x41, 0x5a, 0x61, 0x7a],
  ascii: [0, 0x7f],
  blank: [9, 9, 32, 32],
  cntrl: [0, 0x1f, 0x7f, 0x7f],
  digit: [0x30, 0x39],
  graph: [0x21, 0x7e],
  lower: [0x61, 0x7a],
  print: [0x20, 0x7e],
  punct: [0x21, 0x2f, 0x3a, 0x40, 0x5b, 0x60, 0x7b, 0x7e],
  space: [9, 13, 32, 32],
  upper: [0x41, 0x5a],
  word: asciiWord,
  xdigit: [0x30, 0x39, 0x41, 0x46, 0x61, 0x66],
}
