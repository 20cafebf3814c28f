import {expect, test} from 'vitest'
import {escapeMarkdown, markdownReport} from '../../../src/report/markdown.ts'
import {exampleJob, exampleSession, heavySession, hostile, hostileSession} from './example.ts'

const whole = 'mirrord-report.json'
const roomy = {maxBytes: 1_000_000, whole}

test('says first what failed, then shows each session with its tables', () => {
  const text = markdownReport(exampleJob(), roomy)!
  expect(text.split('\n')[0]).toBe('## mirrord: 1 of 2 sessions failed')
  expect(text).toContain('❌ Failed&#58;'.replace('&#58;', ':'))
  expect(text).toContain('| <code>/visits/:id</code> | POST | 8080 | 295 | 201 × 286, 409 × 9 | ≤ 10 ms | ≤ 50 ms |')
  expect(text).toContain('redis.shop.svc.cluster.local')
  expect(text.trimEnd().endsWith('Everything is in <code>mirrord&#45;report.json</code>.')).toBe(true)
})

test('nothing from outside is more than text', () => {
  const escaped = escapeMarkdown(`${hostile}\n# x`)
  expect(escaped.replace(/&#\d+;/g, '')).not.toMatch(/[<>|`*_[\]$@\\]|:\/\/|\n/)
  const text = markdownReport(exampleJob([hostileSession()]), roomy)!
  expect(text).not.toMatch(/<(?!\/?code>)/)
  expect(text).not.toContain('](')
  expect(text).not.toContain('https://')
  const own = markdownReport(
    exampleJob([
      exampleSession({
        warnings: [],
        incoming: {mode: 'off', ports: [], routes: []},
        dns: [],
        files: {fetched: [], written: []},
      }),
    ]),
    roomy,
  )!
  // Every row has as many cells as its head: no value added one.
  for (const table of `${text}\n${own}`.split(/\n\n+/).filter((part) => part.startsWith('|'))) {
    const cells = table
      .trimEnd()
      .split('\n')
      .map((line) => line.split('|').length)
    expect(new Set(cells).size).toBe(1)
  }
})

test('long tables are cut, and say so', () => {
  const text = markdownReport(exampleJob([heavySession(2000)]), roomy)!
  expect(text).toContain('… and 1\u202f950 more rows.')
})

test.each([300_000, 20_000, 5000, 1500, 300, 120])('at most %i bytes, whatever there is to say', (maxBytes) => {
  const many = Array.from({length: 12}, (_, index) => ({
    ...heavySession(200),
    session: {...exampleSession().session, id: String(index), name: `日本-${index}`},
  }))
  const text = markdownReport(exampleJob(many), {maxBytes, whole})
  if (text === undefined) {
    expect(maxBytes).toBeLessThan(200)
    return
  }
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(maxBytes)
  expect(text).toContain('12 sessions')
  expect(text).toContain('mirrord&#45;report.json')
  if (maxBytes < 100_000) expect(text).toMatch(/more rows|not shown for lack of space|do not fit here/)
})
