import {assertions} from './contexts.ts'
import {
  complement,
  everything,
  foldCase,
  intersection,
  perlClass,
  posixClasses,
  unicodeProperty,
  union,
  type CodePoints,
} from './code-points.ts'
import {PatternError} from './pattern-error.ts'

/** A pattern as a tree. Flags are applied already: sets hold every case, assertions the kind of line and word. */
export type Node =
  | {kind: 'empty'}
  | {kind: 'set'; set: CodePoints}
  | {kind: 'assert'; mask: bigint}
  | {kind: 'sequence'; items: readonly Node[]}
  | {kind: 'choice'; items: readonly Node[]}
  | {kind: 'repeat'; item: Node; min: number; max: number; greedy: boolean}
  | {kind: 'group'; item: Node; index: number}

/** A parsed pattern. */
export interface Syntax {
  node: Node
  /** Number of capturing groups; they count from 1. */
  groups: number
  names: ReadonlyMap<string, number>
}

interface Flags {
  /** Ignore case. */
  i: boolean
  /** `^` and `$` at lines too. */
  m: boolean
  /** `.` matches line ends too. */
  s: boolean
  /** `\r` and `\r\n` end lines too. */
  R: boolean
  /** Lazy by default. */
  U: boolean
  /** Unicode classes, cases and word boundaries. */
  u: boolean
  /** White space and comments between the parts of the pattern. */
  x: boolean
}

/** Deepest nesting, the default of Rust's parser. */
const nestLimit = 250

/**
 * Parses a pattern in the syntax of Rust's `regex` crate (docs.rs/regex), Unicode by default. Throws a PatternError.
 * What could match bytes that are no UTF-8 (`(?-u:.)`) is refused, as Rust does for patterns over text.
 */
export function parsePattern(pattern: string, ignoreCase = false): Syntax {
  return new Parser(pattern, ignoreCase).parse()
}

class Parser {
  private readonly pattern: string
  private readonly text: readonly string[]
  private at = 0
  private flags: Flags
  private groups = 0
  private depth = 0
  private readonly names = new Map<string, number>()

  constructor(pattern: string, ignoreCase: boolean) {
    this.pattern = pattern
    this.text = Array.from(pattern)
    this.flags = {i: ignoreCase, m: false, s: false, R: false, U: false, u: true, x: false}
  }

  parse(): Syntax {
    if (/\p{Surrogate}/u.test(this.pattern)) this.fail('it is not valid Unicode')
    const node = this.choice()
    if (this.at < this.text.length) this.fail('this ")" closes no group')
    return {node, groups: this.groups, names: this.names}
  }

  private fail(reason: string, at = this.at): never {
    throw new PatternError(this.pattern, reason, at)
  }

  private peek(offset = 0): string | undefined {
    return this.text[this.at + offset]
  }

  /** Takes `expected` if it comes next. */
  private take(expected: string): boolean {
    for (let index = 0; index < expected.length; index++) if (this.peek(index) !== expected[index]) return false
    this.at += expected.length
    return true
  }

  /** With the flag x: passes over white space and comments. */
  private skip(): void {
    if (!this.flags.x) return
    for (;;) {
      const next = this.peek()
      if (next !== undefined && /^\p{Pattern_White_Space}$/u.test(next)) this.at++
      else if (next === '#') {
        while (this.peek() !== undefined && this.peek() !== '\n') this.at++
      } else return
    }
  }

  private nested<T>(parse: () => T): T {
    if (++this.depth > nestLimit) this.fail(`it is nested deeper than ${nestLimit} levels`)
    const result = parse()
    this.depth--
    return result
  }

  private choice(): Node {
    const items: Node[] = [this.sequence()]
    while (this.take('|')) items.push(this.sequence())
    return items.length === 1 ? items[0]! : {kind: 'choice', items}
  }

  private sequence(): Node {
    const items: Node[] = []
    for (;;) {
      this.skip()
      const next = this.peek()
      if (next === undefined || next === '|' || next === ')') break
      if (next === '*' || next === '+' || next === '?' || next === '{')
        this.fail(`there is nothing before "${next}" to repeat`)
      const atom = this.atom()
      if (atom) items.push(this.repeated(atom))
    }
    if (items.length === 0) return {kind: 'empty'}
    return items.length === 1 ? items[0]! : {kind: 'sequence', items}
  }

  private repeated(atom: Node): Node {
    let item = atom
    for (let depth = this.depth; ;) {
      this.skip()
      const range = this.repetition()
      if (!range) return item
      if (++depth > nestLimit) this.fail(`it is nested deeper than ${nestLimit} levels`)
      const lazy = this.take('?')
      item = {kind: 'repeat', item, ...range, greedy: lazy === this.flags.U}
    }
  }

  private repetition(): {min: number; max: number} | undefined {
    if (this.take('*')) return {min: 0, max: Infinity}
    if (this.take('+')) return {min: 1, max: Infinity}
    if (this.take('?')) return {min: 0, max: 1}
    const start = this.at
    if (!this.take('{')) return undefined
    this.skip()
    const min = this.count(start)
    this.skip()
    let max = min
    if (this.take(',')) {
      this.skip()
      max = this.peek() === '}' ? Infinity : this.count(start)
      this.skip()
    }
    if (!this.take('}')) this.fail('this repetition is not closed', start)
    if (min > max) this.fail('the bounds of this repetition are the wrong way round', start)
    return {min, max}
  }

  private count(start: number): number {
    let digits = ''
    const space = () => {
      while (/^\s$/u.test(this.peek() ?? '')) this.at++
    }
    space()
    while (/^[0-9]$/.test(this.peek() ?? '')) digits += this.text[this.at++]
    space()
    if (digits === '') this.fail('this repetition has no number (a brace as such is written "\\{")', start)
    if (Number(digits) > 0xffff_ffff) this.fail('this repetition has too large a number', start)
    return Number(digits)
  }

  /** One item; undefined for flags, which match nothing by themselves. */
  private atom(): Node | undefined {
    const start = this.at
    const next = this.text[this.at++]!
    switch (next) {
      case '(':
        return this.nested(() => this.group(start))
      case '[':
        return {kind: 'set', set: this.bracketed(start)}
      case '.':
        return {kind: 'set', set: this.dot(start)}
      case '^':
        return {kind: 'assert', mask: this.flags.m ? assertions.lineStart[this.line()] : assertions.textStart}
      case '$':
        return {kind: 'assert', mask: this.flags.m ? assertions.lineEnd[this.line()] : assertions.textEnd}
      case '\\':
        return this.escape(start)
      default:
        return this.literal(next.codePointAt(0)!)
    }
  }

  private line(): 'lf' | 'crlf' {
    return this.flags.R ? 'crlf' : 'lf'
  }

  private literal(point: number): Node {
    const set: CodePoints = [point, point]
    return {kind: 'set', set: this.flags.i ? foldCase(set, this.flags.u) : set}
  }

  private dot(start: number): CodePoints {
    if (!this.flags.u) this.fail('"." without the flag u could match bytes that are not UTF-8', start)
    if (this.flags.s) return everything
    return complement(this.flags.R ? [10, 10, 13, 13] : [10, 10])
  }

  private group(start: number): Node | undefined {
    for (const look of ['?=', '?!', '?<=', '?<!']) {
      if (this.take(look)) this.fail('look-around is not supported', start)
    }
    const outer = this.flags
    let name: string | undefined
    if (this.take('?P<') || this.take('?<')) name = this.groupName()
    else if (this.take('?P=')) this.fail('back-references are not supported', start)
    else if (this.take('?')) {
      const flags = this.readFlags(start)
      if (this.take(')')) {
        this.flags = flags
        return undefined
      }
      this.at++
      this.flags = flags
      return this.closed(start, outer)
    }
    const index = ++this.groups
    if (name !== undefined) this.names.set(name, index)
    return {kind: 'group', item: this.closed(start, outer), index}
  }

  private closed(start: number, outer: Flags): Node {
    const item = this.choice()
    if (!this.take(')')) this.fail('this group is not closed', start)
    this.flags = outer
    return item
  }

  private groupName(): string {
    const start = this.at
    while (this.peek() !== undefined && this.peek() !== '>') this.at++
    const name = this.text.slice(start, this.at).join('')
    if (!this.take('>')) this.fail('this name of a group is not closed', start)
    if (!/^[_\p{Alphabetic}][\p{Alphabetic}\p{N}_.[\]]*$/u.test(name))
      this.fail(`"${name}" is not a name for a group`, start)
    if (this.names.has(name)) this.fail(`two groups are named "${name}"`, start)
    return name
  }

  private readFlags(start: number): Flags {
    const flags = {...this.flags}
    const seen = new Set<string>()
    let value = true
    for (;;) {
      const flag = this.peek()
      if (flag === undefined) this.fail('this group is not closed', start)
      if (flag === ')' || flag === ':') {
        if (this.peek(-1) === '-') this.fail('"-" is not followed by a flag')
        if (flag === ')' && seen.size === 0) this.fail('this group has no flag', start)
        return flags
      }
      if (flag === '-') {
        if (!value) this.fail('"-" stands twice in these flags')
        value = false
      } else if (Object.hasOwn(flags, flag)) {
        if (seen.has(flag)) this.fail(`the flag "${flag}" stands twice`)
        seen.add(flag)
        flags[flag as keyof Flags] = value
      } else this.fail(`"${flag}" is not a flag (known: i, m, s, R, U, u, x)`)
      this.at++
    }
  }

  private escape(start: number): Node {
    const next = this.peek()
    if (next === undefined) this.fail('it ends in the middle of an escape', start)
    const {boundary, notBoundary, ...half} = this.flags.u ? assertions.unicode : assertions.ascii
    switch (next) {
      case 'A':
        this.at++
        return {kind: 'assert', mask: assertions.textStart}
      case 'z':
        this.at++
        return {kind: 'assert', mask: assertions.textEnd}
      case 'B':
        this.at++
        return {kind: 'assert', mask: notBoundary}
      case '<':
        this.at++
        return {kind: 'assert', mask: half.start}
      case '>':
        this.at++
        return {kind: 'assert', mask: half.end}
      case 'b': {
        this.at++
        const named = /^\{(start|end|start-half|end-half)\}/.exec(this.text.slice(this.at, this.at + 12).join(''))
        if (!named && this.peek() === '{' && /^[A-Za-z-]$/.test(this.peek(1) ?? '')) {
          this.fail('a word boundary is one of \\b{start}, \\b{end}, \\b{start-half}, \\b{end-half}', start)
        }
        if (!named) return {kind: 'assert', mask: boundary}
        this.at += named[0].length
        const which = {start: 'start', end: 'end', 'start-half': 'startHalf', 'end-half': 'endHalf'} as const
        return {kind: 'assert', mask: half[which[named[1] as keyof typeof which]]}
      }
      default: {
        const escaped = this.escaped(start)
        return typeof escaped === 'number' ? this.literal(escaped) : {kind: 'set', set: escaped}
      }
    }
  }

  /** What stands behind a backslash, inside brackets or not: one code point or a class. */
  private escaped(start: number): number | CodePoints {
    const next = this.text[this.at++]
    if (next === undefined) this.fail('it ends in the middle of an escape', start)
    const control = {a: 7, f: 12, t: 9, n: 10, r: 13, v: 11}
    if (Object.hasOwn(control, next)) return control[next as keyof typeof control]
    switch (next) {
      case 'd':
      case 's':
      case 'w':
        return perlClass[next](this.flags.u)
      case 'D':
      case 'S':
      case 'W':
        return this.negated(perlClass[next.toLowerCase() as 'd' | 's' | 'w'](this.flags.u), start)
      case 'p':
      case 'P':
        return this.property(start, next === 'P')
      case 'x':
        return this.hex(start, 2)
      case 'u':
        return this.hex(start, 4)
      case 'U':
        return this.hex(start, 8)
    }
    if (/^[0-9]$/.test(next)) this.fail('back-references are not supported', start)
    // Any other character of ASCII may be escaped; letters and digits are kept for meanings to come.
    if (next.codePointAt(0)! < 0x80 && /^[^0-9A-Za-z<>]$/.test(next)) return next.codePointAt(0)!
    return this.fail(`"\\${next}" is not a known escape`, start)
  }

  private hex(start: number, digits: number): number {
    let text = ''
    const braces = this.take('{')
    while (braces ? this.peek() !== '}' : text.length < digits) {
      const next = this.peek()
      if (next === undefined || !/^[0-9A-Fa-f]$/.test(next)) this.fail('this escape needs hexadecimal digits', start)
      text += next
      this.at++
    }
    if (braces) this.at++
    const point = parseInt(text, 16)
    if (text === '' || point > 0x10_ffff || (point >= 0xd800 && point <= 0xdfff)) {
      this.fail('this escape is not a Unicode character', start)
    }
    if (!this.flags.u && point > 0x7f && digits === 2 && !braces) {
      this.fail('this escape without the flag u could match bytes that are not UTF-8', start)
    }
    return point
  }

  private property(start: number, negated: boolean): CodePoints {
    if (!this.flags.u) this.fail('Unicode classes need the flag u', start)
    let name = ''
    if (this.take('{')) {
      while (this.peek() !== undefined && this.peek() !== '}') name += this.text[this.at++]
      if (!this.take('}')) this.fail('this Unicode class is not closed', start)
    } else name = this.text[this.at++] ?? ''
    const unequal = name.includes('!=')
    const set = findProperty(name.replace('!=', '='))
    if (!set)
      this.fail(
        `"${name}" is not a Unicode class that is known here (write it as in Uppercase_Letter or Script=Greek)`,
        start,
      )
    const cased = this.flags.i ? foldCase(set, true) : set
    return negated === unequal ? cased : complement(cased)
  }

  private negated(set: CodePoints, start: number): CodePoints {
    if (!this.flags.u) this.fail('a negated class without the flag u could match bytes that are not UTF-8', start)
    return complement(set)
  }

  /** A class in brackets, its "[" taken. Operators work from left to right, as in Rust. */
  private bracketed(start: number): CodePoints {
    return this.nested(() => {
      this.skip()
      const negated = this.take('^')
      let left: CodePoints | undefined
      let operator = ''
      let items: CodePoints[] = []
      let first = true
      const operand = () => {
        const set = union(...items)
        items = []
        const right = this.flags.i ? foldCase(set, this.flags.u) : set
        if (left === undefined) return right
        if (operator === '&&') return intersection(left, right)
        if (operator === '--') return intersection(left, complement(right))
        return union(intersection(left, complement(right)), intersection(right, complement(left)))
      }
      for (;;) {
        this.skip()
        const next = this.peek()
        if (next === undefined) this.fail('this class is not closed', start)
        if (first) {
          // A "-" or a "]" at the beginning stands for itself.
          while (this.peek() === '-') {
            items.push([0x2d, 0x2d])
            this.at++
            this.skip()
          }
          if (items.length === 0 && this.take(']')) items.push([0x5d, 0x5d])
          first = false
          continue
        }
        if (next === ']') {
          this.at++
          break
        }
        if (next === '[') {
          items.push(this.posix() ?? this.nestedClass())
          continue
        }
        const found = ['&&', '--', '~~'].find((candidate) => this.take(candidate))
        if (found) {
          left = operand()
          operator = found
          continue
        }
        items.push(this.range(start))
      }
      const set = operand()
      if (!this.flags.u && set.length > 0 && set.at(-1)! > 0x7f) {
        this.fail('a class without the flag u holds ASCII characters only', start)
      }
      return negated ? this.negated(set, start) : set
    })
  }

  private nestedClass(): CodePoints {
    const start = this.at++
    return this.bracketed(start)
  }

  private posix(): CodePoints | undefined {
    const start = this.at
    const found = /^\[:(\^?)([a-z]+):\]/.exec(this.text.slice(this.at, this.at + 12).join(''))
    const set = found && Object.hasOwn(posixClasses, found[2]!) ? posixClasses[found[2]!] : undefined
    if (!found || !set) return undefined
    this.at += found[0].length
    return found[1] === '^' ? this.negated(set, start) : set
  }

  private range(start: number): CodePoints {
    const from = this.at
    const first = this.member(start)
    this.skip()
    const next = this.after()
    if (this.peek() !== '-' || next === ']' || next === '-' || next === undefined) {
      return typeof first === 'number' ? [first, first] : first
    }
    this.at++
    this.skip()
    const last = this.member(start)
    if (typeof first !== 'number' || typeof last !== 'number') this.fail('a class cannot be an end of a range', from)
    if (first > last) this.fail('this range is the wrong way round', from)
    return [first, last]
  }

  /** The character behind the next one, white space of the flag x left out. */
  private after(): string | undefined {
    const at = this.at
    this.at++
    this.skip()
    const next = this.peek()
    this.at = at
    return next
  }

  private member(start: number): number | CodePoints {
    const at = this.at
    const next = this.text[this.at++]
    if (next === undefined) this.fail('this class is not closed', start)
    if (next !== '\\') return next.codePointAt(0)!
    if (/^[AzbB<>]$/.test(this.peek() ?? '')) this.fail('an assertion has no meaning in a class', at)
    return this.escaped(at)
  }
}

/**
 * The set of a Unicode class by its name in Rust's loose spelling (case, spaces, "-" and "_" do not count): a general
 * category, a binary property or a script, alone or as `gc=`, `sc=`, `scx=`.
 */
function findProperty(text: string): CodePoints | undefined {
  const [, key, value] = /^([^=:]*)[=:](.*)$/.exec(text) ?? [undefined, undefined, text]
  const plain = (name: string) => name.replace(/[\s_-]/g, '').toLowerCase()
  if (key === undefined) {
    if (plain(value) === 'any') return everything
    if (plain(value) === 'ascii') return [0, 0x7f]
    if (plain(value) === 'assigned') return complement(unicodeProperty('Cn')!)
  }
  const prefixes: Record<string, string> = {
    generalcategory: 'gc=',
    gc: 'gc=',
    script: 'sc=',
    sc: 'sc=',
    scriptextensions: 'scx=',
    scx: 'scx=',
  }
  const prefix = key === undefined ? undefined : prefixes[plain(key)]
  if (key !== undefined && prefix === undefined) return undefined
  for (const name of spellings(value)) {
    for (const before of prefix === undefined ? ['', 'gc=', 'sc='] : [prefix]) {
      const set = unicodeProperty(`${before}${name}`)
      if (set) return set
    }
  }
  return undefined
}

/** RegExp takes names in their exact spelling only: the usual ones of a loose name. */
function spellings(name: string): string[] {
  if (!/^[A-Za-z0-9_\s-]+$/.test(name)) return []
  const capital = (word: string) => word.slice(0, 1).toUpperCase() + word.slice(1).toLowerCase()
  const words = name.trim().split(/[\s_-]+/)
  return [name, words.map(capital).join('_'), capital(words.join('')), name.toUpperCase()].filter((spelling) =>
    /^[A-Za-z0-9_]+$/.test(spelling),
  )
}
