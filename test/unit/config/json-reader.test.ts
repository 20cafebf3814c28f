import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {readJson} from '../../../src/config/json-reader.ts'
import {FileSyntaxError} from '../../../src/config/syntax.ts'

describe('readJson', () => {
  it('reads what JSON.stringify writes, for any value and layout', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(0, 1, 2, '\t'), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent)
        fc.pre(!holdsInexact(value))
        expect(readJson(text).value).toEqual(JSON.parse(text))
      }),
    )
  })

  it('accepts and refuses exactly what the runtime does, but for duplicates of keys, comments and inexact numbers', () => {
    const character = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"b"',
      '1',
      '-0.5e3',
      'true',
      'null',
      ' ',
      '\n',
    )
    fc.assert(
      fc.property(fc.array(character, {maxLength: 9}), (parts) => {
        const text = parts.join('')
        const outcome = (read: () => unknown) => {
          try {
            read()
            return 'accepted'
          } catch (error) {
            return /twice|beyond|not finite/.test((error as Error).message) ? 'ours' : 'refused'
          }
        }
        const ours = outcome(() => readJson(text))
        if (ours !== 'ours') expect(ours).toBe(outcome(() => JSON.parse(text)))
      }),
      {numRuns: 2000},
    )
  })

  it('knows line and column of every key and entry', () => {
    const {positions} = readJson('{\n"a": {"b": 1,\n"c": [1,\n2]}}')
    expect([...positions].map(([key, {line, column}]) => [key, line, column])).toEqual([
      ['a', 2, 1],
      ['a.b', 2, 7],
      ['a.c', 3, 1],
      ['a.c.0', 3, 7],
      ['a.c.1', 4, 1],
    ])
  })

  it('accepts comments', () => {
    expect(readJson('// a\n{"a": /* b */ 1} // c').value).toEqual({a: 1})
  })

  it.each(
    titled([
      ['', [1, 1, 'empty']],
      ['// only this', [1, 13, 'empty']],
      ['{"a": 1,}', [1, 9, 'comma before']],
      ['[1,]', [1, 4, 'comma before']],
      ['{"a" 1}', [1, 6, 'expected ":"']],
      ["{'a': 1}", [1, 2, 'double quotes']],
      ['{a: 1}', [1, 2, 'expected a key in double quotes']],
      ['{"a": "x\ny"}', [1, 7, 'no end on its line']],
      ['{\n/* x\n}', [2, 1, 'comment has no end']],
      ['{"a": 1, "a": 2}', [1, 10, 'twice']],
      ['{} x', [1, 4, 'after the end']],
      ['{}}', [1, 3, 'after the end']],
      ['{"a": "\\x"}', [1, 7, 'escape']],
      ['{"a": "\t"}', [1, 7, 'control character']],
      ['{"a": [1', [1, 9, 'inside a list']],
      ['{"a": 1', [1, 8, 'inside an object']],
      ['{"a": nullx}', [1, 7, 'expected a value']],
      ['{"a": 1.}', [1, 7, 'number is malformed']],
      ['{"a": 1e999}', [1, 7, 'not finite']],
      ['{"a": 9007199254740993}', [1, 7, 'beyond 2^53']],
      ['"', [1, 1, 'no end']],
      [`${'['.repeat(101)}${']'.repeat(101)}`, [1, 101, 'deeper than 100']],
      ['['.repeat(100_000), [1, 101, 'deeper than 100']],
    ]),
  )('refuses %j at its place', (_start, text, [line, column, words]) => {
    const problems = mistakes(text)
    expect(problems).toEqual([{line, column, message: expect.stringContaining(words as string) as string}])
  })

  it('tells the mistakes of all lines at once, without the consequences of each', () => {
    const lines = ['{"a": tru,', '"b" 1,', '"c": "x,', '"d": [1, 2]', '"e": 01}']
    expect(mistakes(lines.join('\n')).map(({line}) => line)).toEqual([1, 2, 3, 5])
  })

  it('tells ten mistakes at most', () => {
    expect(mistakes(`{${Array.from({length: 20}, (_, key) => `"k${key}": x`).join(',\n')}}`)).toHaveLength(10)
  })
})

function holdsInexact(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.values(value).some(holdsInexact)
  return Number.isInteger(value) && !Number.isSafeInteger(value)
}

function mistakes(text: string) {
  try {
    readJson(text)
  } catch (error) {
    if (error instanceof FileSyntaxError) return error.problems
    throw error
  }
  throw new Error('nothing was refused')
}

/** With the beginning of the text for the title. */
function titled<T extends readonly [string, ...unknown[]]>(rows: readonly T[]): [string, ...T][] {
  return rows.map((row) => [row[0].slice(0, 40), ...row])
}
