import {magic, operations} from './automaton.ts'
import {kindCount, kinds} from './contexts.ts'

/** An automaton as `compilePatterns` writes it, read again. */
interface Automaton {
  classes: number
  ranges: Uint32Array
  kinds: Uint8Array
  masks: readonly bigint[]
  ranks: readonly {label: number; first: number; entry: number}[]
  sets: readonly Uint8Array[]
  /** Operation, a, b of each instruction. */
  program: Uint16Array
}

/** What the text so far means; see native/trap/files/rules.c, which does the same. */
interface State {
  pending: readonly number[]
  before: number
  best: number
  end: number
  next: (State | undefined)[]
}

/** States kept before all are forgotten: a bound on memory, not on what can be matched. */
const stateLimit = 4096
const allKinds = (1 << kindCount) - 1

/**
 * A matcher of what `compilePatterns` made: the label of the first pattern of the list that matches anywhere in a text, 0
 * for none. The same as the trap's matcher; a text that is not valid Unicode counts as an empty one.
 */
export function patternMatcher(automaton: Uint8Array): (text: string) => number {
  return matcher(decode(automaton))
}

function matcher(automaton: Automaton): (text: string) => number {
  const {program, ranks, sets, masks} = automaton
  const count = program.length / 3
  const ascii = Uint16Array.from({length: 128}, (_, point) => classOf(automaton, point))
  const marks = new Uint8Array(count)
  let states = new Map<string, State>()

  const limitOf = (rank: number) => ranks[rank]?.first ?? count
  const row = (at: number, before: number) =>
    Number((masks[program[3 * at + 1]!]! >> BigInt(before * kindCount)) & BigInt(allKinds))

  /** Marks what is reached without a character; an assertion goes on if it holds for every kind in `after`. */
  const reach = (from: number, before: number, after: number, best: number): number => {
    const stack = [from]
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      if (marks[at]) continue
      marks[at] = 1
      const [a, b] = [program[3 * at + 1]!, program[3 * at + 2]!]
      const operation = program[3 * at]
      if (operation === operations.split) stack.push(b, a)
      else if (operation === operations.assert && (row(at, before) & after) === after) stack.push(b)
      else if (operation === operations.match) best = Math.min(best, a)
    }
    return best
  }
  /** Follows the waiting assertions, the kind of the next character being known. */
  const resolve = (pending: readonly number[], before: number, kind: number, best: number): number => {
    marks.fill(0)
    for (const at of pending) if (program[3 * at] === operations.assert) best = reach(at, before, 1 << kind, best)
    return best
  }
  const makeState = (seeds: readonly number[], before: number, best: number): State => {
    marks.fill(0)
    for (const seed of seeds) best = reach(seed, before, allKinds, best)
    for (let rank = 0; rank < best && rank < ranks.length; rank++) {
      best = reach(ranks[rank]!.entry, before, allKinds, best)
    }
    const pending: number[] = []
    let kind: number = kinds.other
    for (let at = 0; at < limitOf(best); at++) {
      if (!marks[at]) continue
      const held = program[3 * at] === operations.assert ? row(at, before) : 0
      if (held !== 0 && held !== allKinds) kind = before
      else if (program[3 * at] !== operations.set) continue
      pending.push(at)
    }
    const key = `${kind},${best},${pending.join()}`
    const known = states.get(key)
    if (known) return known
    if (states.size >= stateLimit) states = new Map()
    const state = {pending, before: kind, best, end: resolve(pending, kind, kinds.edge, best), next: []}
    states.set(key, state)
    return state
  }
  const step = (state: State, number: number): State => {
    const kind = automaton.kinds[number]!
    const best = resolve(state.pending, state.before, kind, state.best)
    for (const at of state.pending) marks[at] = 1
    const seeds: number[] = []
    for (let at = 0; at < limitOf(best); at++) {
      if (!marks[at] || program[3 * at] !== operations.set) continue
      const set = sets[program[3 * at + 1]!]!
      if ((set[number >> 3]! >> (number & 7)) & 1) seeds.push(program[3 * at + 2]!)
    }
    return makeState(seeds, kind, best)
  }

  let start = makeState([], kinds.edge, ranks.length)
  let kept = states
  return (text) => {
    if (kept !== states) {
      // All states were forgotten, and must not be kept alive by the first one.
      start = makeState([], kinds.edge, ranks.length)
      kept = states
    }
    let state = start
    for (const character of text.isWellFormed() ? text : '') {
      const point = character.codePointAt(0)!
      const number = point < 128 ? ascii[point]! : classOf(automaton, point)
      state = state.next[number] ??= step(state, number)
    }
    return ranks[state.end]?.label ?? 0
  }
}

function classOf({ranges}: Automaton, point: number): number {
  let low = 0
  let high = ranges.length
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if ((ranges[middle]! & 0x1f_ffff) <= point) low = middle
    else high = middle
  }
  return ranges[low]! >>> 21
}

/** Reads an automaton of our own making. */
function decode(bytes: Uint8Array): Automaton {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(0, true) !== magic) throw new Error('This is not an automaton of patterns.')
  const [classes, sets, masks, ranks, instructions] = [4, 6, 8, 10, 12].map((at) => view.getUint16(at, true)) as [
    number,
    number,
    number,
    number,
    number,
  ]
  const ranges = view.getUint32(16, true)
  let at = 20
  const each = <T>(count: number, size: number, read: (at: number) => T): T[] =>
    Array.from({length: count}, () => {
      at += size
      return read(at - size)
    })
  return {
    classes,
    ranges: Uint32Array.from(each(ranges, 4, (from) => view.getUint32(from, true))),
    kinds: Uint8Array.from(each(classes, 1, (from) => view.getUint8(from))),
    masks: each(masks, 8, (from) => view.getBigUint64(from, true)),
    ranks: each(ranks, 8, (from) => ({
      label: view.getUint32(from, true),
      first: view.getUint16(from + 4, true),
      entry: view.getUint16(from + 6, true),
    })),
    sets: each(sets, Math.ceil(classes / 8), (from) => bytes.subarray(from, from + Math.ceil(classes / 8))),
    program: Uint16Array.from(each(3 * instructions, 2, (from) => view.getUint16(from, true))),
  }
}
