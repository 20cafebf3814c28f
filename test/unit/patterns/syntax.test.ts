import {describe, expect, it} from 'vitest'
import {compilePatterns, patternMatcher, patternReplacer, PatternError} from '../../../src/patterns/index.ts'

const matches = (pattern: string, text: string, ignoreCase = false) =>
  patternMatcher(compilePatterns([{pattern, label: 1, ignoreCase}]))(text) === 1

/** Pattern, texts that it matches, texts that it does not. */
const accepted: [string, string[], string[]][] = [
  ['', ['', 'a'], []],
  ['a.c', ['xabcx', 'aéc', 'a😀c'], ['ac', 'a\nc']],
  ['(?s)a.c', ['a\nc'], ['ac']],
  ['^/etc(/|$)', ['/etc', '/etc/hosts'], ['/etcetera', '/x/etc']],
  ['(?m)^b$', ['a\nb\nc', 'b'], ['a\rb']],
  ['(?mR)^b$', ['a\r\nb\rc'], ['ab']],
  ['\\Aab\\z', ['ab'], ['ab\n', 'xab']],
  ['[a-c-]', ['b', '-'], ['d']],
  ['[^a-c]', ['d', 'é'], ['a']],
  ['[]a]', [']', 'a'], ['[']],
  ['[a-z&&[^aeiou]]', ['b'], ['a', 'B']],
  ['[a-z--[aeiou]]', ['b'], ['a']],
  ['[a-c~~[c-e]]', ['a', 'e'], ['c']],
  ['[[:alpha:]_]', ['a', '_'], ['é', '1']],
  ['[[:^digit:]]', ['a'], ['1']],
  ['^\\d+$', ['123', '١٢٣'], ['']],
  ['(?-u)^\\d+$', ['123'], ['١٢٣']],
  ['^\\w$', ['é', '_', 'ß'], ['-', ' ']],
  ['^\\s$', [' ', '\u00a0', '\u2003'], ['x']],
  ['\\bcat\\b', ['a cat!', 'cat'], ['concat', 'écat']],
  ['(?-u:\\b)cat', ['écat'], ['acat']],
  ['\\Bcat', ['écat'], ['cat']],
  ['\\b{start}a', ['a b'], ['ba']],
  ['\\pL\\p{Lu}\\P{Lu}', ['xAb'], ['xAB']],
  ['\\p{Greek}', ['λ'], ['l']],
  ['\\p{script = greek}', ['λ'], ['l']],
  ['\\p{uppercase letter}', ['A'], ['a']],
  ['^a{2,3}$', ['aa', 'aaa'], ['a', 'aaaa']],
  ['^a{2}$', ['aa'], ['aaa']],
  ['^a{2,}?$', ['aaaa'], ['a']],
  ['^(?:ab|cd)+?$', ['abcd'], ['abc']],
  ['(?P<x>a)(?<y>b)', ['ab'], ['a']],
  ['a(?i)b|c', ['aB', 'C'], ['AB']],
  ['a(?i:b)c', ['aBc'], ['aBC']],
  ['(?x) a b # both', ['ab'], ['a b']],
  ['\\x41\\x{e9}\\u00e9\\U0001F600\\u{41}', ['Aéé😀A'], ['A']],
  ['\\t\\n\\r\\f\\v\\a', ['\t\n\r\f\v\u0007'], ['t']],
  ['\\/\\-\\#\\ \\%', ['/-# %'], ['x']],
  ['}]', ['}]'], ['}']],
  ['a**', ['', 'b'], []],
  ['(a*)*$', ['b'], []],
]

/** Pattern and part of the reason for its refusal. */
const refused: [string, string][] = [
  ['(?=a)', 'look-around is not supported'],
  ['(?!a)', 'look-around is not supported'],
  ['(?<=a)b', 'look-around is not supported'],
  ['(?<!a)b', 'look-around is not supported'],
  ['(a)\\1', 'back-references are not supported'],
  ['(?P<n>a)(?P=n)', 'back-references are not supported'],
  ['(a', 'group is not closed (at character 1)'],
  ['a)', 'closes no group (at character 2)'],
  ['[a', 'class is not closed'],
  ['[z-a]', 'range is the wrong way round'],
  ['[a-\\d]', 'class cannot be an end of a range'],
  ['*a', 'nothing before "*"'],
  ['a|+', 'nothing before "+"'],
  ['a{', 'has no number'],
  ['a{2', 'repetition is not closed'],
  ['a{,3}', 'has no number'],
  ['a{3,2}', 'wrong way round'],
  ['\\q', '"\\q" is not a known escape'],
  ['\\Q.\\E', '"\\Q" is not a known escape'],
  ['a\\', 'ends in the middle of an escape'],
  ['\\x{110000}', 'not a Unicode character'],
  ['\\x{d800}', 'not a Unicode character'],
  ['\\xg0', 'hexadecimal digits'],
  ['\\p{Nonsense}', '"Nonsense" is not a Unicode class'],
  ['\\pſ', '"ſ" is not a Unicode class'],
  ['(?z)a', '"z" is not a flag'],
  ['(?>a)', '">" is not a flag'],
  ['(?i-)a', 'not followed by a flag'],
  ['(?)', 'no flag'],
  ['(?<n>a)(?<n>b)', 'two groups have the same name'],
  ['(?<1>a)', 'not a name for a group'],
  ['(?-u:.)', 'not UTF-8'],
  ['(?-u)\\xff', 'not UTF-8'],
  ['(?-u)[^a]', 'not UTF-8'],
  ['((a{1000}){1000}){1000}', 'too large'],
  ['(?:(?:){4000000000}){4000000000}', 'too large'],
  ['\\w{70000}', 'too large'],
  ['('.repeat(300) + ')'.repeat(300), 'nested deeper'],
  ['a' + '*'.repeat(300), 'nested deeper'],
  ['\ud800', 'not valid Unicode'],
]

describe('the syntax of patterns', () => {
  it.each(accepted)('reads %j', (pattern, yes, no) => {
    expect(yes.filter((text) => !matches(pattern, text))).toEqual([])
    expect(no.filter((text) => matches(pattern, text))).toEqual([])
  })

  it.each(refused)('refuses %j', (pattern, reason) => {
    let error: unknown
    try {
      compilePatterns([
        {pattern: 'fine', label: 1},
        {pattern, label: 1},
      ])
    } catch (caught) {
      error = caught
    }
    expect(error).toBeInstanceOf(PatternError)
    expect((error as PatternError).pattern).toBe(pattern)
    expect((error as PatternError).reason).toContain(reason)
    expect((error as PatternError).message).toContain(`the pattern "${pattern}" cannot be used`)
  })

  it('ignores case as Unicode folds it', () => {
    for (const [pattern, text] of [
      ['straße', 'STRASSE'.replace('SS', 'ẞ')],
      ['k', '\u212a'],
      ['ſ', 'S'],
      ['σ', 'ς'],
      ['[α-ω]', 'Ω'],
      ['É', 'é'],
      ['\\p{Lu}', 'a'],
    ] as const) {
      expect([pattern, matches(pattern, text, true), matches(pattern, text)]).toEqual([pattern, true, false])
    }
    expect(matches('i', '\u0130', true)).toBe(false)
    expect(matches('[^k]', '\u212a', true)).toBe(false)
  })

  it('gives the label of the first pattern of the list, wherever the others match', () => {
    const match = patternMatcher(
      compilePatterns([
        {pattern: 'z$', label: 9},
        {pattern: 'b', label: 2},
        {pattern: 'a', label: 4},
        {pattern: '^a', label: 1},
      ]),
    )
    expect(['abz', 'ab', 'a', 'xyz', 'x', ''].map(match)).toEqual([9, 2, 4, 9, 0, 0])
    expect(patternMatcher(compilePatterns([]))('a')).toBe(0)
  })

  it('takes a text that is not valid Unicode for an empty one', () => {
    expect(matches('^$', 'a\ud800')).toBe(true)
    expect(matches('a', 'a\ud800')).toBe(false)
  })

  it('takes time in proportion to the text, whatever the pattern', () => {
    const text = 'a'.repeat(4000)
    expect(matches('(a*)*(a|aa)+b', text)).toBe(false)
    expect(patternReplacer('(a*)*(a|aa)+b', 'x')(text.slice(0, 400))).toBeUndefined()
    // Its deterministic automaton has 2^15 states: more than are kept.
    expect(matches('^(a|b)*a(a|b){14}$', 'ab'.repeat(2000) + 'a'.repeat(15))).toBe(true)
  })

  it.each([
    ['/(baz)', '/tmp/mirrord-$1', '/baz/test', '/tmp/mirrord-baz/test'],
    ['/foo', '/bar', '/x/foo/foo', '/x/bar/foo'],
    ['(?<first>[^/]+)/(?<last>.*)', '${last}/$first', '/a/b/c', '/b/c/a'],
    ['a', '$1x$$', 'cat', 'c$t'],
    ['a', '${1}x$', 'cat', 'cx$t'],
    ['a|ab', 'x', 'abc', 'xbc'],
    ['a*?', 'x', 'aa', 'xaa'],
  ])('replaces %s by %s in %s', (pattern, replacement, text, expected) => {
    expect(patternReplacer(pattern, replacement)(text)).toBe(expected)
  })
})
