import {readFileSync} from 'node:fs'
import {constants} from 'node:os'
import path from 'node:path'
import {describe, expect, it} from 'vitest'
import {cancelledBy, exitCodes} from '../../../src/errors/exit-codes.ts'
import {MirrordError, toReport} from '../../../src/errors/mirrord-error.ts'

const rows = Object.entries(exitCodes)

describe('the exit codes', () => {
  it('are unique', () => {
    expect(new Set(rows.map(([, {code}]) => code)).size).toBe(rows.length)
  })

  it.each(rows)('%s is in a class of its own kind and says what it means', (_name, {code, meaning}) => {
    expect([0, 1, 2, ...Array.from({length: 70}, (_, index) => 30 + index), 129, 130, 131, 143]).toContain(code)
    expect(meaning).toMatch(/^[A-Z].*\.$/)
  })
})

const documented = readFileSync(path.join(import.meta.dirname, '../../../docs/exit-codes.md'), 'utf8')
it.each(rows)('%s is in docs/exit-codes.md, with the feature that it waits for', (name, row) => {
  const later = 'later' in row ? ` Comes with: ${String(row.later)}.` : ''
  expect(documented).toContain(`| ${row.code} | ${name} | ${row.meaning}${later} |`)
})

describe('a command that was cancelled', () => {
  it.each(['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const)('by %s ends as shells expect it', (signal) => {
    expect(exitCodes[cancelledBy(signal)].code).toBe(128 + constants.signals[signal])
  })
})

describe('MirrordError', () => {
  const report = {code: 'X', exit: 'targetNotReady', what: 'It failed.', next: ['Wait.']} as const

  it('has the exit code of its report and reads as a sentence', () => {
    const error = new MirrordError({...report, why: 'Because.'})
    expect([error.exitCode, error.message]).toEqual([44, 'It failed. Because.'])
    expect(new MirrordError(report).message).toBe('It failed.')
  })

  it('survives the way to another process', () => {
    const sent = toReport(new MirrordError({...report, detail: 'a\nb'}))
    expect(new MirrordError(JSON.parse(JSON.stringify(sent)) as typeof sent).report).toEqual(sent)
  })
})

describe('toReport', () => {
  it('makes an unexpected failure of anything else, with its stack', () => {
    const report = toReport(new TypeError('x is undefined'))
    expect(report).toMatchObject({code: 'UNEXPECTED', exit: 'unexpected'})
    expect(report.what).toContain('x is undefined')
    expect(report.detail).toContain('exit-codes.test.ts')
    expect(toReport(undefined)).toMatchObject({code: 'UNEXPECTED'})
  })
})
