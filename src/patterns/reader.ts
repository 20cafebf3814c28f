import {PatternError} from './pattern-error.ts'

/** What `(?i)` and the like switch. */
export interface Flags {
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
export const nestLimit = 250

/** A pattern being read, character by character. */
export class Reader {
  readonly pattern: string
  readonly text: readonly string[]
  /** Index in `text` of what comes next. */
  at = 0
  flags: Flags
  depth = 0

  constructor(pattern: string, ignoreCase: boolean) {
    this.pattern = pattern
    this.text = Array.from(pattern)
    this.flags = {i: ignoreCase, m: false, s: false, R: false, U: false, u: true, x: false}
  }

  /** @throws PatternError, always */
  fail(reason: string, at = this.at): never {
    throw new PatternError(this.pattern, reason, at)
  }

  /** What comes next; undefined at the end. */
  peek(offset = 0): string | undefined {
    return this.text[this.at + offset]
  }

  /** Takes `expected` if it comes next. */
  take(expected: string): boolean {
    for (let index = 0; index < expected.length; index++) if (this.peek(index) !== expected[index]) return false
    this.at += expected.length
    return true
  }

  /** With the flag x: passes over white space and comments. */
  skip(): void {
    if (!this.flags.x) return
    for (;;) {
      const next = this.peek()
      if (next !== undefined && /^\p{Pattern_White_Space}$/u.test(next)) this.at++
      else if (next === '#') {
        while (this.peek() !== undefined && this.peek() !== '\n') this.at++
      } else return
    }
  }

  /** Runs `parse` one level deeper. */
  nested<T>(parse: () => T): T {
    if (++this.depth > nestLimit) this.fail(`it is nested deeper than ${nestLimit} levels`)
    const result = parse()
    this.depth--
    return result
  }
}
