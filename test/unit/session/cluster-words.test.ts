import {expect, it} from 'vitest'
import {ClusterWords} from '../../../src/session/cluster-words.ts'

const report = {code: 'X', exit: 'programDied', what: 'It died.', next: [], detail: 'its output'} as const

it('adds what went wrong in the last minute, each once with its number and age', () => {
  const words = new ClusterWords()
  words.note('an old one', 1000)
  words.note('the connection to 10.0.0.1:5432 failed: ECONNREFUSED', 60_500)
  words.note('the name db did not resolve', 61_000)
  words.note('the connection to 10.0.0.1:5432 failed: ECONNREFUSED', 61_500)
  expect(words.addTo(report, 62_000).detail).toBe(
    [
      'its output',
      '--- the cluster',
      '1.0 s ago: the name db did not resolve',
      '0.5 s ago, 2 times: the connection to 10.0.0.1:5432 failed: ECONNREFUSED',
    ].join('\n'),
  )
})

it('keeps the last twenty, and leaves a report alone when there is nothing', () => {
  const words = new ClusterWords()
  expect(words.addTo(report, 0)).toBe(report)
  for (let number = 0; number < 30; number++) words.note(`word ${number}`, 0)
  const lines = words.addTo({...report, detail: undefined}, 0).detail!.split('\n')
  expect(lines).toHaveLength(21)
  expect(lines[1]).toBe('0.0 s ago: word 10')
})
