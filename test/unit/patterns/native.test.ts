import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {compilePatterns, patternMatcher} from '../../../src/patterns/index.ts'
import {compiler, matchNatively, sanitizing} from './native.ts'

const numRuns = process.env.MIRRORD_LONG ? 5000 : 400
const seed = Number(process.env.MIRRORD_SEED ?? Date.now() % 2 ** 31)

/** Patterns in the syntax that Rust and RegExp (flags us) understand in the same way. */
const pattern = fc.letrec<{choice: string; sequence: string; item: string; atom: string}>((tie) => ({
  choice: fc.array(tie('sequence'), {minLength: 1, maxLength: 3}).map((items) => items.join('|')),
  sequence: fc.array(tie('item'), {maxLength: 4}).map((items) => items.join('')),
  item: fc
    .tuple(tie('atom'), fc.constantFrom('', '', '', '*', '+', '?', '{2}', '{1,3}', '{0,2}', '{2,}', '*?', '+?'))
    // RegExp cannot repeat assertions, and takes exponential time for repeated groups without a bound.
    .map(([atom, repeat]) => (/^[$^]$/.test(atom) || (atom.length > 8 && /[*+,]/.test(repeat)) ? atom : atom + repeat)),
  atom: fc.oneof(
    {maxDepth: 2},
    fc.constantFrom(
      ...['a', 'b', '/', 'etc', '\\.', '-', 'é', 'λ', '😀', '.', '^', '$', '\\d', '\\p{L}'],
      ...['[a-c]', '[^/]', '[^a-z0-9]', '[é-λ]', '[\\d_]', '[a\\-.]', '\\x41'],
    ),
    tie('choice').map((inner) => `(${inner})`),
    tie('choice').map((inner) => `(?:${inner})`),
  ),
})).choice

const part = fc.constantFrom('a', 'b', 'A', '/', 'etc', '.', '-', '0', '_', 'é', 'λ', '😀', 'z', '/home', '/app')
const text = fc.array(part, {maxLength: 7}).map((parts) => parts.join(''))

describe.skipIf(!compiler)('the matcher of the trap (needs gcc)', {timeout: 180_000}, () => {
  it(`agrees with RegExp and with the matcher in TypeScript (seed ${seed})`, () => {
    const lists = fc.sample(
      fc.tuple(fc.array(pattern, {minLength: 1, maxLength: 5}), fc.array(text, {minLength: 8, maxLength: 12})),
      {
        numRuns,
        seed,
      },
    )
    const groups = lists.map(([patterns, texts], index) => {
      const list = patterns.map((source, at) => ({pattern: source, label: 10 - at, ignoreCase: index % 2 === 1}))
      const automaton = compilePatterns(list)
      const match = patternMatcher(automaton)
      // RegExp's \d is ASCII, and so are the digits of these texts; `.` differs only for line ends, which they have not.
      const expected = texts.map(
        (one) => list.find((entry) => new RegExp(entry.pattern, entry.ignoreCase ? 'iu' : 'u').test(one))?.label ?? 0,
      )
      expect({patterns, texts, labels: texts.map(match)}).toEqual({patterns, texts, labels: expected})
      return {automaton, texts, patterns, expected}
    })
    matchNatively(groups).forEach((labels, index) => {
      const {patterns, texts, expected} = groups[index]!
      expect({patterns, texts, labels}).toEqual({patterns, texts, labels: expected})
    })
    expect(groups.some(({expected}) => expected.includes(0)) && groups.some(({expected}) => expected.includes(9))).toBe(
      true,
    )
  })

  it('takes a text that is not UTF-8 for an empty one', () => {
    const automaton = compilePatterns([
      {pattern: '^$', label: 1},
      {pattern: '^/etc', label: 2},
    ])
    const bytes = (...values: number[]) => Uint8Array.from([...Buffer.from('/etc/'), ...values])
    const malformed = [
      [0x80],
      [0xc0, 0xaf],
      [0xc3],
      [0xe0, 0x80, 0x80],
      [0xed, 0xa0, 0x80],
      [0xe2, 0x82],
      [0xf0, 0x80, 0x80, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
      [0xf5, 0x80, 0x80, 0x80],
      [0xff],
    ]
    const valid = ['é', '\u0800', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}', '']
    const answers = matchNatively([
      {automaton, texts: [...malformed.map((tail) => bytes(...tail)), ...valid.map((tail) => `/etc/${tail}`)]},
    ])
    expect(answers).toEqual([[...malformed.map(() => 1), ...valid.map(() => 2)]])
  })

  it('keeps to its memory: an automaton with more states than there is room for', () => {
    const pattern = '^(a|b)*a(a|b){14}$'
    const automaton = compilePatterns([{pattern, label: 3}])
    const texts = Array.from({length: 40}, (_, round) =>
      Array.from({length: 2000}, (_, at) =>
        (Math.imul(at + 1, 2_654_435_761 + 2 * round) >>> 13) & 1 ? 'a' : 'b',
      ).join(''),
    )
    const expected = texts.map((one) => (one.at(-15) === 'a' ? 3 : 0))
    expect(new Set(expected).size).toBe(2)
    expect(matchNatively([{automaton, texts: [...texts, ...texts]}])).toEqual([[...expected, ...expected]])
  })

  it('keeps to its memory: as many classes of characters as there may be', () => {
    const letters = Array.from({length: 2000}, (_, index) => String.fromCodePoint(0x4e00 + index))
    const automaton = compilePatterns(letters.map((letter, index) => ({pattern: `${letter}$`, label: index + 1})))
    const texts = letters.map((letter) => `/${letter}${letter}`)
    expect(matchNatively([{automaton, texts}])).toEqual([letters.map((_, index) => index + 1)])
  })

  it.skipIf(!sanitizing)(
    `refuses malformed automata, and survives those that it takes (needs AddressSanitizer; seed ${seed})`,
    () => {
      const automata = [
        compilePatterns([]),
        compilePatterns([{pattern: '^/etc(/|$)', label: 1}]),
        compilePatterns(
          ['\\bé+', '(?m)^a.*z$', '[^/]{2,4}', '(a|b)*c'].map((pattern, at) => ({pattern, label: at + 1})),
        ),
      ]
      const texts = ['/etc/hosts', 'aé z\nabc', '', Uint8Array.of(0xff)]
      const change = fc.tuple(fc.nat(), fc.constantFrom(0, 1, 2, 0x7f, 0xff), fc.boolean())
      const groups = fc
        .sample(
          fc.tuple(fc.constantFrom(...automata), fc.array(change, {minLength: 1, maxLength: 3}), fc.nat({max: 9})),
          {
            numRuns: numRuns * 5,
            seed,
          },
        )
        .map(([automaton, changes, cut]) => {
          const bytes = Uint8Array.from(automaton)
          for (const [at, value, add] of changes)
            bytes[at % bytes.length] = add ? bytes[at % bytes.length]! + value : value
          return {automaton: cut === 0 ? bytes.subarray(0, changes[0]![0] % bytes.length) : bytes, texts}
        })
      groups.push(...automata.map((automaton) => ({automaton: new Uint8Array([...automaton, 0]), texts})))
      const answers = matchNatively(groups)
      expect(answers.some((answer) => answer === undefined)).toBe(true)
      expect(answers.some((answer) => answer !== undefined)).toBe(true)
      expect(answers.slice(-3)).toEqual([undefined, undefined, undefined])
    },
  )
})
