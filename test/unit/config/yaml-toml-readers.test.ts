import {describe, expect, it} from 'vitest'
import {FileSyntaxError, type Parsed} from '../../../src/config/syntax.ts'
import {readToml} from '../../../src/config/toml-reader.ts'
import {readYaml} from '../../../src/config/yaml-reader.ts'

const mistakes = (read: (text: string) => Parsed, text: string) => {
  try {
    read(text)
  } catch (error) {
    if (error instanceof FileSyntaxError) return error.problems
    throw error
  }
  throw new Error('nothing was refused')
}
const places = ({positions}: Parsed) => [...positions].map(([key, {line, column}]) => `${key} ${line}:${column}`)
const laughs = ['a: &a [x,x,x,x,x,x,x,x,x]', ...[...'bcdefghi'].map((name, index) => alias(name, 'abcdefgh'[index]!))]
function alias(name: string, of: string): string {
  return `${name}: &${name} [${Array.from({length: 9}, () => `*${of}`).join(',')}]`
}
const deep = 'deeper than 100'

describe('readYaml', () => {
  it('reads values, anchors and merged keys, and knows where each key stands', () => {
    const parsed = readYaml('a: &x {b: 1}\nc:\n  <<: *x\n  d:\n    - e\n')
    expect(parsed.value).toEqual({a: {b: 1}, c: {b: 1, d: ['e']}})
    expect(places(parsed)).toEqual(['a 1:1', 'a.b 1:8', 'c 2:1', 'c.d 4:3', 'c.d.0 5:7'])
  })

  it('takes a document without content, or with comments only, for nothing', () => {
    expect([readYaml('').value, readYaml('# nothing\n').value]).toEqual([null, null])
  })

  it('keeps a key named __proto__ a key', () => {
    expect(Object.keys(readYaml('__proto__: {a: 1}').value as object)).toEqual(['__proto__'])
  })

  it('tells all mistakes at once', () => {
    expect(mistakes(readYaml, 'a: b: c\nd: .nan\ne: !x 1\n1: 2\nd: 3').map(({line}) => line)).toEqual([1, 2, 3, 4, 5])
  })

  it.each(
    titled([
      ['a: 1\na: 2', 2, 1, '"a" occurs twice'],
      ['a: 12345678901234567890', 1, 4, 'beyond 2^53'],
      ['a: .inf', 1, 4, 'not finite'],
      ['? [a]\n: b', 1, 3, 'no string'],
      ['~: 1', 1, 1, 'no string'],
      ['true: 1', 1, 1, 'no string'],
      ['a: !!binary aGk=', 1, 13, 'no key holds'],
      ['a: "x', 1, 6, 'closing quote'],
      ['\ta: 1', 1, 1, 'tab'],
      ['--- a\n--- b', 2, 1, 'several documents'],
      ['a:\n  b: 1\n c: 2', 3, 1, 'indentation'],
      ['a: @x', 1, 4, 'reserved'],
      ['a: &x {b: *x}', undefined, undefined, 'itself'],
      ['a: *x', undefined, undefined, 'no anchor'],
      [laughs.join('\n'), undefined, undefined, 'too many values'],
      ['['.repeat(100_000), 1, 100, deep],
      [`${'['.repeat(5000)}${']'.repeat(5000)}`, 1, 100, deep],
      ['- '.repeat(60_000), 1, 199, deep],
      [Array.from({length: 300}, (_, index) => `${' '.repeat(index)}a:`).join('\n'), 101, 101, deep],
    ]),
  )('refuses %j at its place', (_start, text, line, column, words) => {
    const [first] = mistakes(readYaml, text)
    expect([first?.line, first?.column, first?.message]).toEqual([line, column, expect.stringContaining(words)])
  })
})

describe('readToml', () => {
  it('reads tables, lists of tables and dotted keys, and knows where each stands', () => {
    const parsed = readToml('a.b = 1\n[c]\nd = [1, {e = "x"}]\n[[f]]\ng = true\n[[f]]\n[f.h]\n"i j" = 0.5\n')
    expect(parsed.value).toEqual({a: {b: 1}, c: {d: [1, {e: 'x'}]}, f: [{g: true}, {h: {'i j': 0.5}}]})
    expect(places(parsed)).toEqual([
      ...['a 1:1', 'a.b 1:3', 'c 2:2', 'c.d 3:1', 'c.d.0 3:6', 'c.d.1 3:9', 'c.d.1.e 3:10', 'f 4:3', 'f.0 4:1'],
      ...['f.0.g 5:1', 'f.1 6:1', 'f.1.h 7:4', 'f.1.h.i j 8:1'],
    ])
  })

  it('is not misled by brackets in strings and comments', () => {
    const text = `a = "${'['.repeat(200)}"\nb = '''\n${'{'.repeat(200)}'''\n# ${'['.repeat(200)}\nc = "\\"["`
    expect(Object.keys(readToml(text).value as object)).toEqual(['a', 'b', 'c'])
  })

  it('keeps a key named __proto__ a key', () => {
    expect(Object.keys(readToml('[__proto__]\na = 1').value as object)).toEqual(['__proto__'])
  })

  it.each(
    titled([
      ['a = 1\nb = \n', 2, 4, 'expected a value'],
      ['a\n', 1, 2, 'expected "="'],
      ['a = 1\na = 2', 2, 1, 'twice'],
      ['[a]\n[a]', 2, 2, 'twice'],
      ['a = "x', 1, 7, 'no end'],
      ['[a\nb = 1', 1, 3, 'on one line'],
      ['a = [1', 1, 7, 'inside a list'],
      ['a = "\\q"', 1, 7, 'escape'],
      ['a = 01', 1, 5, 'begin with 0'],
      ['a = 2026-11-23', 1, 5, 'date'],
      ['a = nan', 1, 5, 'not finite'],
      ['a = 9223372036854775808', 1, 5, 'beyond 2^53'],
      ['= 1', 1, 1, 'expected a key'],
      ['a = ' + '['.repeat(100_000), 1, 105, deep],
      [`a = ${'{a = '.repeat(5000)}1${'}'.repeat(5000)}`, 1, 505, deep],
      [`a${'.a'.repeat(10_000)} = 1`, 1, 201, deep],
    ]),
  )('refuses %j at its place', (_start, text, line, column, words) => {
    const [first] = mistakes(readToml, text)
    expect([first?.line, first?.column, first?.message]).toEqual([line, column, expect.stringContaining(words)])
  })

  it('tells all values that no key holds at once', () => {
    expect(mistakes(readToml, 'a = nan\nb = [1, 10:00:00]\n').map(({line}) => line)).toEqual([1, 2])
  })
})

/** With the beginning of the text for the title. */
function titled<T extends readonly [string, ...unknown[]]>(rows: readonly T[]): [string, ...T][] {
  return rows.map((row) => [row[0].slice(0, 40), ...row])
}
