import {expect, test} from 'vitest'
import {fnv1a, randomId} from '../../../src/util/hash.ts'

test('fnv1a gives the published values', () => {
  expect(['', 'a', 'foobar'].map((text) => fnv1a(text))).toEqual(['811c9dc5', 'e40c292c', 'bf9cf968'])
})

test('random ids are 8 hexadecimal digits and differ', () => {
  const ids = new Set(Array.from({length: 100}, () => randomId()))
  expect([...ids].every((id) => /^[0-9a-f]{8}$/.test(id))).toBe(true)
  expect(ids.size).toBeGreaterThan(95)
})
