import type {CodePoints} from './code-points.ts'
import type {Node, Syntax} from './syntax.ts'

/** An instruction of a nondeterministic automaton. `next` and `other` are indexes of instructions; a split prefers `next`. */
export type Instruction =
  | {op: 'set'; set: CodePoints; next: number}
  | {op: 'split'; next: number; other: number}
  | {op: 'assert'; mask: bigint; next: number}
  | {op: 'save'; slot: number; next: number}
  | {op: 'match'}

/** Most instructions of one program: the automaton's numbers have 16 bits. */
export const instructionLimit = 0xffff
/** Most steps of building one pattern; repetitions of nothing cost steps without making instructions. */
const stepLimit = 1_000_000

/** The pattern needs more instructions than `limit`. */
export class TooLarge extends Error {}

/**
 * Appends the instructions of a pattern to `program` and returns the index of its entry (Thompson's construction; the
 * preferences are those of a backtracking matcher). With `captures`, groups save their positions: slots 2n and 2n + 1.
 * Throws TooLarge.
 */
export function emit(syntax: Syntax, program: Instruction[], limit: number, captures: boolean): number {
  let steps = 0
  const add = (instruction: Instruction): number => {
    if (program.length >= limit) throw new TooLarge()
    return program.push(instruction) - 1
  }
  const split = (next: number, other: number, greedy: boolean) =>
    add(greedy ? {op: 'split', next, other} : {op: 'split', next: other, other: next})

  /** Instructions that match `node` and go on at `next`. */
  const build = (node: Node, next: number): number => {
    if (++steps > stepLimit) throw new TooLarge()
    switch (node.kind) {
      case 'empty':
        return next
      case 'set':
        return add({op: 'set', set: node.set, next})
      case 'assert':
        return add({op: 'assert', mask: node.mask, next})
      case 'sequence':
        return node.items.reduceRight((after, item) => build(item, after), next)
      case 'choice':
        return node.items
          .map((item) => build(item, next))
          .reduceRight((other, entry) => add({op: 'split', next: entry, other}))
      case 'group': {
        if (!captures) return build(node.item, next)
        const end = add({op: 'save', slot: 2 * node.index + 1, next})
        return add({op: 'save', slot: 2 * node.index, next: build(node.item, end)})
      }
      case 'repeat':
        return repeat(node, next)
    }
  }

  const repeat = ({item, min, max, greedy}: Node & {kind: 'repeat'}, next: number): number => {
    let entry = next
    let copies = min
    if (max === Infinity) {
      // x* where x may match nothing is (x+)?, so that the preferred way through x is tried before leaving.
      const loop = add({op: 'match'})
      const body = build(item, loop)
      program[loop] = greedy ? {op: 'split', next: body, other: next} : {op: 'split', next, other: body}
      entry = min > 0 ? body : matchesNothing(item) ? split(body, next, greedy) : loop
      copies--
    } else {
      for (let optional = min; optional < max; optional++) {
        entry = split(build(item, entry), next, greedy)
      }
    }
    for (; copies > 0; copies--) entry = build(item, entry)
    return entry
  }

  const end = add({op: 'match'})
  if (!captures) return build(syntax.node, end)
  const last = add({op: 'save', slot: 1, next: end})
  return add({op: 'save', slot: 0, next: build(syntax.node, last)})
}

/** Whether a node can match without taking a character. */
function matchesNothing(node: Node): boolean {
  switch (node.kind) {
    case 'empty':
    case 'assert':
      return true
    case 'set':
      return false
    case 'sequence':
      return node.items.every(matchesNothing)
    case 'choice':
      return node.items.some(matchesNothing)
    case 'group':
      return matchesNothing(node.item)
    case 'repeat':
      return node.min === 0 || matchesNothing(node.item)
  }
}
