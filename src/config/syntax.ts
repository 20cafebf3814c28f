/** Where something stands in a file; both count from 1. */
export interface Position {
  line: number
  /** Absent inside of a value that a template filled in. */
  column?: number
}

/** A value read from a file, with the position of every key and list entry, by path (`a.b.0`). */
export interface Parsed {
  value: unknown
  positions: Map<string, Position>
  /** Scalars as they are written, by path, where the format leaves it to the key what they are: YAML. */
  texts?: Map<string, string>
}

/** Files of the formats whose parsers take a microsecond or two for each character in the worst case. */
export const maxSlowBytes = 128 * 1024

/** Refuses a text that such a parser would take seconds for. Throws a FileSyntaxError. */
export function refuseLong(source: string, format: string): void {
  if (source.length <= maxSlowBytes) return
  throw new FileSyntaxError([{message: `it is larger than ${maxSlowBytes / 1024} KiB, the limit for ${format}`}])
}

/** One mistake in a file. The message holds no text of the file: files hold secrets. */
export interface SyntaxProblem extends Partial<Position> {
  message: string
}

/** How deep a file may be nested: the parsers are recursive, and no configuration comes near. */
export const maxDepth = 100
/** How many mistakes are told at once; the rest is mostly their consequence. */
const maxProblems = 10

/** The mistakes of a file in its order: the first of each line, at most 10. */
export class FileSyntaxError extends Error {
  override readonly name = 'FileSyntaxError'
  readonly problems: readonly SyntaxProblem[]
  readonly advice: string | undefined

  constructor(problems: readonly SyntaxProblem[], advice?: string) {
    const sorted = problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0) || 0)
    const shown = sorted.filter(({line}, index) => line === undefined || line !== sorted[index - 1]?.line)
    super(shown[0]?.message)
    this.advice = advice
    this.problems = shown.slice(0, maxProblems)
  }
}

/** Lines of a text: offsets to places and back. */
export class Lines {
  readonly #starts = [0]

  constructor(text: string) {
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) this.#starts.push(at + 1)
  }

  positionAt(offset: number): Required<Position> {
    let low = 0
    let high = this.#starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#starts[middle]! <= offset) low = middle
      else high = middle - 1
    }
    return {line: low + 1, column: offset - this.#starts[low]! + 1}
  }

  offsetAt({line, column = 1}: Position): number {
    return (this.#starts[line - 1] ?? this.#starts.at(-1)!) + column - 1
  }
}

/** What a reader collects while it walks the syntax tree of its format. */
export class Reading {
  readonly positions = new Map<string, Position>()
  readonly texts = new Map<string, string>()
  readonly problems: SyntaxProblem[] = []

  problem(message: string, position?: Position): void {
    this.problems.push({message, ...position})
  }

  /** Notes where a key or entry stands (the first time that it is met) and returns its path. */
  place(parent: string, key: string | number, position?: Position): string {
    const path = parent === '' ? `${key}` : `${parent}.${key}`
    if (position && !this.positions.has(path)) this.positions.set(path, position)
    return path
  }

  /** Notes a number that no key of a configuration can hold; returns it otherwise unchanged. */
  number(value: number, position?: Position): number {
    if (!Number.isFinite(value)) this.problem('a number that is not finite', position)
    else if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      this.problem('a whole number beyond 2^53, too large to be exact', position)
    }
    return value
  }

  /** Whether a value at this depth is too deep, which is noted. */
  tooDeep(depth: number, position?: Position): boolean {
    if (depth <= maxDepth) return false
    this.problem(`nested deeper than ${maxDepth} levels`, position)
    return true
  }

  /** The result. Throws a FileSyntaxError if there was any problem. */
  done(value: unknown): Parsed {
    if (this.problems.length > 0) throw new FileSyntaxError(this.problems)
    return {value, positions: this.positions, ...(this.texts.size > 0 ? {texts: this.texts} : {})}
  }
}

/** Sets a key; one that is named __proto__ becomes a key, not the prototype. */
export function setKey(object: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(object, key, {value, enumerable: true, writable: true, configurable: true})
}

/** A key or sentence for a message: one line without control characters, which a log would obey, and not endless. */
export function printable(text: string, longest: number): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`)
  return line.length <= longest ? line : `${line.slice(0, longest)}…`
}

/** Longest key that a message tells in full, in characters. */
export const longestKey = 200
