import {readFileSync} from 'node:fs'
import {describe, expect, it} from 'vitest'
import {compilePatterns, patternMatcher, patternReplacer, PatternError} from '../../../src/patterns/index.ts'
import {compiler, matchNatively} from './native.ts'

/** Random patterns with what version 1.13.2 of the `regex` crate did with them. */
interface Vector {
  pattern: string
  ignoreCase?: true
  refused?: true
  /** The results of `Regex::replace`, by text. */
  replacement?: string
  texts?: Record<string, string>
  /** Texts that the pattern matches, and others. */
  matches?: string[]
  others?: string[]
}
const file = new URL('../../fixtures/patterns/rust-regex-1.13.2.json', import.meta.url)
const vectors = JSON.parse(readFileSync(file, 'utf8')) as Vector[]
const compile = ({pattern, ignoreCase}: Vector) => compilePatterns([{pattern, ignoreCase, label: 7}])

describe('patterns as Rust understands them', () => {
  it('refuses what Rust refuses, and only that', () => {
    for (const vector of vectors) {
      let error: unknown
      try {
        compile(vector)
      } catch (caught) {
        error = caught
      }
      expect({...vector, refused: error !== undefined}).toEqual({...vector, refused: vector.refused === true})
      if (vector.refused) expect(error).toBeInstanceOf(PatternError)
    }
  })

  it('matches what Rust matches', () => {
    const tested = vectors.filter(({matches}) => matches)
    expect(tested.length).toBeGreaterThan(300)
    for (const vector of tested) {
      const match = patternMatcher(compile(vector))
      const texts = [...vector.matches!, ...vector.others!]
      expect({...vector, matches: texts.filter((text) => match(text) === 7)}).toEqual(vector)
      expect({...vector, others: texts.filter((text) => match(text) === 0)}).toEqual(vector)
    }
  })

  it('replaces what Rust replaces', () => {
    const tested = vectors.filter(({texts}) => texts)
    expect(tested.length).toBeGreaterThan(100)
    for (const vector of tested) {
      const replace = patternReplacer(vector.pattern, vector.replacement!)
      const texts = Object.fromEntries(Object.keys(vector.texts!).map((text) => [text, replace(text) ?? text]))
      expect({...vector, texts}).toEqual(vector)
    }
  })

  it.skipIf(!compiler)('matches in the trap what Rust matches (needs gcc)', () => {
    const tested = vectors.filter(({matches}) => matches)
    const answers = matchNatively(
      tested.map((vector) => ({automaton: compile(vector), texts: [...vector.matches!, ...vector.others!]})),
    )
    tested.forEach((vector, index) => {
      const expected = [...vector.matches!.map(() => 7), ...vector.others!.map(() => 0)]
      expect({...vector, labels: answers[index]}).toEqual({...vector, labels: expected})
    })
  })
})
