/**
 * What may stand on either side of a position. An assertion is the set of the pairs that satisfy it, as a mask of bits
 * `before * kinds + after`; so `^`, `$`, `\b` and all their relatives are one kind of instruction.
 */
export const kinds = {edge: 0, newline: 1, carriageReturn: 2, asciiWord: 3, otherWord: 4, other: 5} as const
/** How many there are. */
export const kindCount = 6

type Test = (before: number, after: number) => boolean

function mask(test: Test): bigint {
  let bits = 0n
  for (let before = 0; before < kindCount; before++) {
    for (let after = 0; after < kindCount; after++) {
      if (test(before, after)) bits |= 1n << BigInt(before * kindCount + after)
    }
  }
  return bits
}

const {edge, newline, carriageReturn} = kinds
const words = {
  unicode: (kind: number) => kind === kinds.asciiWord || kind === kinds.otherWord,
  ascii: (kind: number) => kind === kinds.asciiWord,
}

/** `^` and `$` at lines, by what ends a line: `\n`, or with the flag R `\n`, `\r` and `\r\n`. */
const lineStart = {
  lf: mask((before) => before === edge || before === newline),
  crlf: mask(
    (before, after) => before === edge || before === newline || (before === carriageReturn && after !== newline),
  ),
}
const lineEnd = {
  lf: mask((_, after) => after === edge || after === newline),
  crlf: mask(
    (before, after) => after === edge || after === carriageReturn || (after === newline && before !== carriageReturn),
  ),
}

const boundaries = (word: (kind: number) => boolean) => ({
  boundary: mask((before, after) => word(before) !== word(after)),
  notBoundary: mask((before, after) => word(before) === word(after)),
  start: mask((before, after) => !word(before) && word(after)),
  end: mask((before, after) => word(before) && !word(after)),
  startHalf: mask((before) => !word(before)),
  endHalf: mask((_, after) => !word(after)),
})

/** The masks of the assertions. */
export const assertions = {
  textStart: mask((before) => before === edge),
  textEnd: mask((_, after) => after === edge),
  lineStart,
  lineEnd,
  unicode: boundaries(words.unicode),
  ascii: boundaries(words.ascii),
}
