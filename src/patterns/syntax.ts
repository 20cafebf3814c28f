import {bracketed, escaped} from './classes.ts'
import {complement, everything, foldCase, type CodePoints} from './code-points.ts'
import {assertions} from './contexts.ts'
import {nestLimit, Reader, type Flags} from './reader.ts'

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

/**
 * Parses a pattern in the syntax of Rust's `regex` crate (docs.rs/regex), Unicode by default. Throws a PatternError.
 * What could match bytes that are no UTF-8 (`(?-u:.)`) is refused, as Rust does for patterns over text.
 */
export function parsePattern(pattern: string, ignoreCase = false): Syntax {
  return new Parser(pattern, ignoreCase).parse()
}

class Parser extends Reader {
  private groups = 0
  private readonly names = new Map<string, number>()

  parse(): Syntax {
    if (/\p{Surrogate}/u.test(this.pattern)) this.fail('it is not valid Unicode')
    const node = this.choice()
    if (this.at < this.text.length) this.fail('this ")" closes no group')
    return {node, groups: this.groups, names: this.names}
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
        return {kind: 'set', set: bracketed(this, start)}
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
      this.fail('this is not a name for a group', start)
    if (this.names.has(name)) this.fail('two groups have the same name', start)
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
        const point = escaped(this, start)
        return typeof point === 'number' ? this.literal(point) : {kind: 'set', set: point}
      }
    }
  }
}
