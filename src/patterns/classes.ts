import {complement, foldCase, intersection, perlClass, posixClasses, union, type CodePoints} from './code-points.ts'
import {findProperty} from './properties.ts'
import type {Reader} from './reader.ts'

/** What stands behind a backslash, inside brackets or not: one code point or a class. */
export function escaped(reader: Reader, start: number): number | CodePoints {
  const next = reader.text[reader.at++]
  if (next === undefined) reader.fail('it ends in the middle of an escape', start)
  const control = {a: 7, f: 12, t: 9, n: 10, r: 13, v: 11}
  if (Object.hasOwn(control, next)) return control[next as keyof typeof control]
  switch (next) {
    case 'd':
    case 's':
    case 'w':
      return perlClass[next](reader.flags.u)
    case 'D':
    case 'S':
    case 'W':
      return negated(reader, perlClass[next.toLowerCase() as 'd' | 's' | 'w'](reader.flags.u), start)
    case 'p':
    case 'P':
      return property(reader, start, next === 'P')
    case 'x':
      return hex(reader, start, 2)
    case 'u':
      return hex(reader, start, 4)
    case 'U':
      return hex(reader, start, 8)
  }
  if (/^[0-9]$/.test(next)) reader.fail('back-references are not supported', start)
  // Any other character of ASCII may be escaped; letters and digits are kept for meanings to come.
  if (next.codePointAt(0)! < 0x80 && /^[^0-9A-Za-z<>]$/.test(next)) return next.codePointAt(0)!
  return reader.fail(`"\\${next}" is not a known escape`, start)
}

function hex(reader: Reader, start: number, digits: number): number {
  let text = ''
  const braces = reader.take('{')
  while (braces ? reader.peek() !== '}' : text.length < digits) {
    const next = reader.peek()
    if (next === undefined || !/^[0-9A-Fa-f]$/.test(next)) reader.fail('this escape needs hexadecimal digits', start)
    text += next
    reader.at++
  }
  if (braces) reader.at++
  const point = parseInt(text, 16)
  if (text === '' || point > 0x10_ffff || (point >= 0xd800 && point <= 0xdfff)) {
    reader.fail('this escape is not a Unicode character', start)
  }
  if (!reader.flags.u && point > 0x7f && digits === 2 && !braces) {
    reader.fail('this escape without the flag u could match bytes that are not UTF-8', start)
  }
  return point
}

function property(reader: Reader, start: number, negated: boolean): CodePoints {
  if (!reader.flags.u) reader.fail('Unicode classes need the flag u', start)
  let name = ''
  if (reader.take('{')) {
    while (reader.peek() !== undefined && reader.peek() !== '}') name += reader.text[reader.at++]
    if (!reader.take('}')) reader.fail('this Unicode class is not closed', start)
  } else name = reader.text[reader.at++] ?? ''
  const unequal = name.includes('!=')
  const set = findProperty(name.replace('!=', '='))
  if (!set)
    reader.fail(
      `"${name}" is not a Unicode class that is known here (write it as in Uppercase_Letter or Script=Greek)`,
      start,
    )
  const cased = reader.flags.i ? foldCase(set, true) : set
  return negated === unequal ? cased : complement(cased)
}

function negated(reader: Reader, set: CodePoints, start: number): CodePoints {
  if (!reader.flags.u) reader.fail('a negated class without the flag u could match bytes that are not UTF-8', start)
  return complement(set)
}

/** A class in brackets, its "[" taken. Operators work from left to right, as in Rust. */
export function bracketed(reader: Reader, start: number): CodePoints {
  return reader.nested(() => {
    reader.skip()
    const isNegated = reader.take('^')
    let left: CodePoints | undefined
    let operator = ''
    let items: CodePoints[] = []
    let first = true
    const operand = () => {
      const set = union(...items)
      items = []
      const right = reader.flags.i ? foldCase(set, reader.flags.u) : set
      if (left === undefined) return right
      if (operator === '&&') return intersection(left, right)
      if (operator === '--') return intersection(left, complement(right))
      return union(intersection(left, complement(right)), intersection(right, complement(left)))
    }
    for (;;) {
      reader.skip()
      const next = reader.peek()
      if (next === undefined) reader.fail('this class is not closed', start)
      if (first) {
        // A "-" or a "]" at the beginning stands for itself.
        while (reader.peek() === '-') {
          items.push([0x2d, 0x2d])
          reader.at++
          reader.skip()
        }
        if (items.length === 0 && reader.take(']')) items.push([0x5d, 0x5d])
        first = false
        continue
      }
      if (next === ']') {
        reader.at++
        break
      }
      if (next === '[') {
        items.push(posix(reader) ?? nestedClass(reader))
        continue
      }
      const found = ['&&', '--', '~~'].find((candidate) => reader.take(candidate))
      if (found) {
        left = operand()
        operator = found
        continue
      }
      items.push(range(reader, start))
    }
    const set = operand()
    if (!reader.flags.u && set.length > 0 && set.at(-1)! > 0x7f) {
      reader.fail('a class without the flag u holds ASCII characters only', start)
    }
    return isNegated ? negated(reader, set, start) : set
  })
}

function nestedClass(reader: Reader): CodePoints {
  const start = reader.at++
  return bracketed(reader, start)
}

function posix(reader: Reader): CodePoints | undefined {
  const start = reader.at
  const found = /^\[:(\^?)([a-z]+):\]/.exec(reader.text.slice(reader.at, reader.at + 12).join(''))
  const set = found && Object.hasOwn(posixClasses, found[2]!) ? posixClasses[found[2]!] : undefined
  if (!found || !set) return undefined
  reader.at += found[0].length
  return found[1] === '^' ? negated(reader, set, start) : set
}

function range(reader: Reader, start: number): CodePoints {
  const from = reader.at
  const first = member(reader, start)
  reader.skip()
  const next = after(reader)
  if (reader.peek() !== '-' || next === ']' || next === '-' || next === undefined) {
    return typeof first === 'number' ? [first, first] : first
  }
  reader.at++
  reader.skip()
  const last = member(reader, start)
  if (typeof first !== 'number' || typeof last !== 'number') reader.fail('a class cannot be an end of a range', from)
  if (first > last) reader.fail('this range is the wrong way round', from)
  return [first, last]
}

/** The character behind the next one, white space of the flag x left out. */
function after(reader: Reader): string | undefined {
  const at = reader.at
  reader.at++
  reader.skip()
  const next = reader.peek()
  reader.at = at
  return next
}

function member(reader: Reader, start: number): number | CodePoints {
  const at = reader.at
  const next = reader.text[reader.at++]
  if (next === undefined) reader.fail('this class is not closed', start)
  if (next !== '\\') return next.codePointAt(0)!
  if (/^[AzbB<>]$/.test(reader.peek() ?? '')) reader.fail('an assertion has no meaning in a class', at)
  return escaped(reader, at)
}
