import {asciiWord, contains, perlClass} from './code-points.ts'
import {kindCount, kinds} from './contexts.ts'
import {PatternError} from './pattern-error.ts'
import {emit, instructionLimit, TooLarge, type Instruction} from './program.ts'
import {parsePattern} from './syntax.ts'

/** Where a pattern and its groups matched: indexes into the text, two for each group, undefined for a group that took no part. */
type Captures = readonly (number | undefined)[]

/**
 * Replaces the leftmost match of a pattern in a text as the `regex` crate of Rust does (`Regex::replace`): of the matches
 * that begin there the one that a backtracking matcher prefers, `$1`, `$name`, `${name}` and `$$` expanded in the
 * replacement. The result is undefined when nothing matches. Time is linear in the text. Throws a PatternError.
 */
export function patternReplacer(pattern: string, replacement: string): (text: string) => string | undefined {
  const syntax = parsePattern(pattern)
  const program: Instruction[] = []
  let entry: number
  try {
    entry = emit(syntax, program, instructionLimit, true)
  } catch (error) {
    if (error instanceof TooLarge) throw new PatternError(pattern, 'it is too large: its repetitions multiply')
    throw error
  }
  return (text) => {
    const points = Array.from(text.isWellFormed() ? text : '', (character) => character.codePointAt(0)!)
    const captures = search(program, entry, points)
    if (!captures) return undefined
    const slice = (from: number, to?: number) =>
      points.slice(from, to).reduce((result, point) => result + String.fromCodePoint(point), '')
    const group = (name: string) => {
      const index = /^[0-9]+$/.test(name) ? Number(name) : (syntax.names.get(name) ?? -1)
      const [first, last] = [captures[2 * index], captures[2 * index + 1]]
      return first === undefined || last === undefined ? '' : slice(first, last)
    }
    return slice(0, captures[0]) + expand(replacement, group) + slice(captures[1]!)
  }
}

/** `$` takes the longest name of letters, digits and underscores behind it; anything else leaves it as it is. */
function expand(replacement: string, group: (name: string) => string): string {
  return replacement.replace(/\$(?:\$|\{([^}]*)\}|([0-9A-Za-z_]+))/g, (whole, braced?: string, bare?: string) =>
    whole === '$$' ? '$' : group(braced ?? bare ?? ''),
  )
}

/** A thread of the matcher: where it is in the program, and what it has captured. */
interface Thread {
  at: number
  captures: Captures
}

/** Follows all ways through the program at once, the preferred first (Pike's matcher). */
function search(program: readonly Instruction[], entry: number, points: readonly number[]): Captures | undefined {
  let found: Captures | undefined
  let threads: Thread[] = []
  const seen = new Int32Array(program.length).fill(-1)

  const follow = (into: Thread[], thread: Thread, position: number): void => {
    const stack = [thread]
    for (let next = stack.pop(); next; next = stack.pop()) {
      const {at, captures} = next
      if (seen[at] === position) continue
      seen[at] = position
      const instruction = program[at]!
      switch (instruction.op) {
        case 'split':
          stack.push({at: instruction.other, captures}, {at: instruction.next, captures})
          break
        case 'save': {
          const saved = [...captures]
          saved[instruction.slot] = position
          stack.push({at: instruction.next, captures: saved})
          break
        }
        case 'assert':
          if (holds(instruction.mask, points, position)) stack.push({at: instruction.next, captures})
          break
        default:
          into.push(next)
      }
    }
  }

  for (let position = 0; ; position++) {
    if (!found) {
      // A match may begin here, with less preference than those that began before.
      follow(threads, {at: entry, captures: []}, position)
    }
    const next: Thread[] = []
    for (const {at, captures} of threads) {
      const instruction = program[at]!
      if (instruction.op === 'match') {
        found = captures
        break
      }
      if (instruction.op === 'set' && position < points.length && contains(instruction.set, points[position]!)) {
        follow(next, {at: instruction.next, captures}, position + 1)
      }
    }
    threads = next
    if (position >= points.length || (found && threads.length === 0)) return found
  }
}

function holds(mask: bigint, points: readonly number[], position: number): boolean {
  const before = kindAt(points, position - 1)
  return ((mask >> BigInt(before * kindCount + kindAt(points, position))) & 1n) === 1n
}

function kindAt(points: readonly number[], position: number): number {
  const point = points[position]
  if (point === undefined) return kinds.edge
  if (point === 10) return kinds.newline
  if (point === 13) return kinds.carriageReturn
  if (contains(asciiWord, point)) return kinds.asciiWord
  return point > 0x7f && contains(perlClass.w(true), point) ? kinds.otherWord : kinds.other
}
