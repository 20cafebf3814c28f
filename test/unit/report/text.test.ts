import {expect, test} from 'vitest'
import {
  formatBound,
  formatBytes,
  formatCount,
  formatDuration,
  formatStatuses,
  quantileBound,
  visible,
} from '../../../src/report/text.ts'
import {latency} from './example.ts'

test('numbers, bytes and durations keep few digits and the right unit', () => {
  expect([0, 999, 1000, 1_234_567].map(formatCount)).toEqual(['0', '999', '1\u202f000', '1\u202f234\u202f567'])
  expect([0, 999, 1000, 9949, 9950, 999_499, 999_600, 5e12].map(formatBytes)).toEqual([
    '0 B',
    '999 B',
    '1.0 kB',
    '9.9 kB',
    '10 kB',
    '999 kB',
    '1.0 MB',
    '5.0 TB',
  ])
  expect([0, 999, 999.6, 4260, 59_949, 60_000, 185_000, 3_600_000, 7_800_000].map(formatDuration)).toEqual([
    '0 ms',
    '999 ms',
    '1.0 s',
    '4.3 s',
    '59.9 s',
    '1 min 00 s',
    '3 min 05 s',
    '1 h 00 min',
    '2 h 10 min',
  ])
})

test('quantiles are the bounds of their buckets', () => {
  expect(quantileBound(latency(0), 0.5)).toBeUndefined()
  expect(quantileBound(latency(4, 95, 5), 0.95)).toBe(20)
  expect(quantileBound(latency(4, 94, 6), 0.95)).toBe(50)
  expect([undefined, 20, 5000, quantileBound(latency(13, 1), 0.5)].map(formatBound)).toEqual([
    '–',
    '≤ 20 ms',
    '≤ 5 s',
    '> 10 s',
  ])
})

test('statuses are ordered by how often they came', () => {
  expect(formatStatuses({200: 3, 500: 1200, none: 3})).toBe('500 × 1\u202f200, 200 × 3, no answer × 3')
})

test('invisible and turning characters are spelled out', () => {
  expect(visible('a\u202eb\u0000\u200d\u2028\r\n\tö日')).toBe('a\\u202eb\\u0000\\u200d\\u2028\\u000d\n\tö日')
})
