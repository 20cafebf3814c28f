import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {FileSyntaxError, readJson} from '../../../src/config/json-reader.ts'

describe('readJson', () => {
  it('reads what JSON.stringify writes, for any value and layout', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(0, 1, 2, '\t'), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent)
        expect(readJson(text).value).toEqual(JSON.parse(text))
      }),
    )
  })

  it('accepts and refuses exactly what the runtime does, duplicates of keys excepted', () => {
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
            return error instanceof FileSyntaxError && error.message.includes('twice') ? 'twice' : 'refused'
          }
        }
        const ours = outcome(() => readJson(text))
        if (ours !== 'twice') expect(ours).toBe(outcome(() => JSON.parse(text)))
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

  it.each([
    ['', 1, 1, 'empty'],
    ['{"a": 1,}', 1, 9, 'comma before'],
    ['[1,]', 1, 4, 'comma before'],
    ['{"a" 1}', 1, 6, 'expected ":"'],
    ["{'a': 1}", 1, 2, 'double quotes'],
    ['{"a": "x\ny"}', 1, 9, 'line break'],
    ['{\n// x\n}', 2, 1, 'comments'],
    ['{"a": 1, "a": 2}', 1, 10, 'twice'],
    ['{} x', 1, 4, 'after the end'],
    ['{"a": "\\x"}', 1, 7, 'escape'],
    ['{"a": [1', 1, 9, 'inside a list'],
    ['{"a": nullx}', 1, 7, 'expected a value'],
    ['"', 1, 1, 'no end'],
  ])('refuses %j at %i:%i', (text, line, column, words) => {
    let thrown: unknown
    try {
      readJson(text)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(FileSyntaxError)
    expect(thrown).toMatchObject({line, column})
    expect((thrown as Error).message).toContain(words)
  })

  it('survives absurd nesting with a typed error', () => {
    expect(() => readJson('['.repeat(100_000))).toThrow(FileSyntaxError)
  })
})
