import {assertions, kinds} from './contexts.ts'
import {asciiWord, lastCodePoint, perlClass, type CodePoints} from './code-points.ts'
import {PatternError} from './pattern-error.ts'
import {emit, instructionLimit, TooLarge, type Instruction} from './program.ts'
import {parsePattern} from './syntax.ts'

/** A pattern in the syntax of Rust's `regex` crate, searched anywhere in a text, and what its match means. */
export interface LabelledPattern {
  pattern: string
  /** 1 to 2^32 - 1; 0 stands for "no match". */
  label: number
  ignoreCase?: boolean
}

/** First bytes of an automaton: "MRP1". */
export const magic = 0x3150_524d
/** Operations in an automaton, each `u16 operation, u16 a, u16 b`: set (set, next), split (next, other), assert (mask, next), match (rank). */
export const operations = {set: 0, split: 1, assert: 2, match: 3} as const
/** Most classes of characters: they share 32 bits with a code point of 21. */
const classLimit = 2048

/**
 * Compiles patterns into one automaton, read by native/trap/files/rules.c and by `patternMatcher`: the label of the first
 * pattern of the list that matches anywhere in a text. Throws a PatternError for the first pattern that cannot be used.
 *
 * Little-endian: u32 magic; u16 classes, sets, masks, ranks, instructions; u16 0; u32 ranges; each range u32 (first code
 * point | class << 21); each class u8 kind (contexts.ts); each mask u64; each rank u32 label, u16 first instruction, u16
 * entry; each set one bit a class; the instructions. A rank is a run of patterns with the same label, its instructions
 * stand together, the best rank comes first.
 */
export function compilePatterns(list: readonly LabelledPattern[]): Uint8Array {
  const program: Instruction[] = []
  const ranks: {label: number; first: number; entry: number}[] = []
  for (const {pattern, label, ignoreCase} of list) {
    const syntax = parsePattern(pattern, ignoreCase)
    const rank = ranks.at(-1)
    const first = program.length
    try {
      const entry = emit(syntax, program, instructionLimit, false)
      if (rank?.label === label) rank.entry = alternative(program, entry, rank.entry)
      else ranks.push({label, first, entry})
    } catch (error) {
      if (error instanceof TooLarge) throw new PatternError(pattern, 'it is too large: its repetitions multiply')
      throw error
    }
  }
  try {
    return encode(program, ranks)
  } catch (error) {
    if (!(error instanceof TooLarge)) throw error
    const longest = list.reduce((found, {pattern}) => (pattern.length > found.length ? pattern : found), '')
    throw new PatternError(longest, `it and the others tell more than ${classLimit} kinds of characters apart`)
  }
}

function alternative(program: Instruction[], next: number, other: number): number {
  if (program.length >= instructionLimit) throw new TooLarge()
  return program.push({op: 'split', next, other}) - 1
}

/** The classes of characters of a program. */
interface Classes {
  count: number
  /** First code point and class of each range. */
  ranges: [number, number][]
  kinds: number[]
  /** For each set of the program, the classes in it. */
  members: number[][]
}

function encode(program: readonly Instruction[], ranks: readonly {label: number; first: number; entry: number}[]) {
  const sets = new Index<CodePoints>((set) => set.join())
  const masks = new Index<bigint>(String)
  for (const instruction of program) {
    if (instruction.op === 'set') sets.of(instruction.set)
    if (instruction.op === 'assert') masks.of(instruction.mask)
  }
  const classes = divide(sets.items, masks.items)
  const out = new Writer()
  out.u32(magic)
  for (const count of [classes.count, sets.items.length, masks.items.length, ranks.length, program.length, 0])
    out.u16(count)
  out.u32(classes.ranges.length)
  for (const [first, number] of classes.ranges) out.u32((first | (number << 21)) >>> 0)
  for (const kind of classes.kinds) out.u8(kind)
  for (const mask of masks.items) out.u64(mask)
  for (const {label, first, entry} of ranks) {
    out.u32(label)
    out.u16(first)
    out.u16(entry)
  }
  for (const members of classes.members) {
    const bits = new Uint8Array(Math.ceil(classes.count / 8))
    for (const member of members) bits[member >> 3]! |= 1 << (member & 7)
    bits.forEach((byte) => out.u8(byte))
  }
  program.forEach((instruction, index) => {
    out.u16(operations[instruction.op as keyof typeof operations])
    if (instruction.op === 'match') {
      out.u16(ranks.findLastIndex(({first}) => first <= index))
      out.u16(0)
    } else if (instruction.op === 'split') {
      out.u16(instruction.next)
      out.u16(instruction.other)
    } else if (instruction.op === 'set') {
      out.u16(sets.of(instruction.set))
      out.u16(instruction.next)
    } else if (instruction.op === 'assert') {
      out.u16(masks.of(instruction.mask))
      out.u16(instruction.next)
    }
  })
  return out.bytes()
}

/** Divides all code points into classes whose members no set and no assertion tells apart. */
function divide(sets: readonly CodePoints[], masks: readonly bigint[]): Classes {
  const edges = new Map<number, number[]>([[0, []]])
  const mark = (point: number, index: number) => {
    const known = edges.get(point)
    if (known) known.push(index)
    else edges.set(point, [index])
  }
  const wordMasks = Object.values(assertions.unicode)
  const unicode = wordMasks.some((mask) => masks.includes(mask))
  const words: CodePoints[] =
    masks.length === 0 ? [] : [[10, 10], [13, 13], asciiWord, unicode ? perlClass.w(true) : asciiWord]
  const all = [...sets, ...words]
  all.forEach((set, index) => {
    for (let at = 0; at < set.length; at += 2) {
      mark(set[at]!, index)
      if (set[at + 1]! < lastCodePoint) mark(set[at + 1]! + 1, index)
    }
  })
  const numbers = new Map<string, number>()
  const result: Classes = {count: 0, ranges: [], kinds: [], members: sets.map(() => [])}
  const inside = new Set<number>()
  for (const point of [...edges.keys()].sort((a, b) => a - b)) {
    for (const index of edges.get(point)!) if (!inside.delete(index)) inside.add(index)
    const active = [...inside].sort((a, b) => a - b)
    const key = active.join()
    let number = numbers.get(key)
    if (number === undefined) {
      number = result.count++
      numbers.set(key, number)
      result.kinds.push(kindOf(active.map((index) => index - sets.length)))
      for (const index of active) result.members[index]?.push(number)
    }
    if (result.ranges.at(-1)?.[1] !== number) result.ranges.push([point, number])
  }
  if (result.count > classLimit) throw new TooLarge()
  return result
}

function kindOf(words: readonly number[]): number {
  if (words.includes(0)) return kinds.newline
  if (words.includes(1)) return kinds.carriageReturn
  if (words.includes(2)) return kinds.asciiWord
  return words.includes(3) ? kinds.otherWord : kinds.other
}

/** Numbers things in the order in which they come. */
class Index<T> {
  readonly items: T[] = []
  private readonly numbers = new Map<string, number>()
  private readonly key: (item: T) => string

  constructor(key: (item: T) => string) {
    this.key = key
  }

  of(item: T): number {
    const key = this.key(item)
    const known = this.numbers.get(key)
    if (known !== undefined) return known
    this.numbers.set(key, this.items.length)
    return this.items.push(item) - 1
  }
}

class Writer {
  private readonly values: number[] = []

  u8(value: number): void {
    this.values.push(value)
  }

  u16(value: number): void {
    this.values.push(value & 0xff, value >> 8)
  }

  u32(value: number): void {
    for (let shift = 0; shift < 32; shift += 8) this.values.push((value >>> shift) & 0xff)
  }

  u64(value: bigint): void {
    this.u32(Number(value & 0xffff_ffffn))
    this.u32(Number(value >> 32n))
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.values)
  }
}
