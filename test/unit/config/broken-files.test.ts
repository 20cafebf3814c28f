import {readdirSync, readFileSync} from 'node:fs'
import path from 'node:path'
import {describe, expect, it} from 'vitest'
import {resolveConfig} from '../../../src/config/index.ts'
import {exitCodes} from '../../../src/errors/exit-codes.ts'
import {MirrordError} from '../../../src/errors/mirrord-error.ts'
import {canary, expected} from '../../fixtures/config/expected.ts'

const cwd = path.join(import.meta.dirname, '../../fixtures/config/broken')

async function refusal(name: string): Promise<MirrordError> {
  const resolved = resolveConfig({flags: {'config-file': name}, env: {}, cwd})
  const error: unknown = await resolved.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof MirrordError)) throw new Error(`${name}: expected a MirrordError`, {cause: error})
  return error
}

describe('broken configuration files', () => {
  it('are all in the table', () => {
    expect(expected.map(([file]) => file).sort()).toEqual(readdirSync(cwd).sort())
    expect(expected.length).toBeGreaterThanOrEqual(200)
  })

  it.each(expected)('%s', async (file, code, exit, line, ...words) => {
    expect(readFileSync(path.join(cwd, file), 'utf8')).toContain(canary)
    const error = await refusal(file)
    const {report} = error
    expect([report.code, exitCodes[report.exit].code]).toEqual([code, exit])
    const said = [report.what, report.why ?? '', report.detail ?? '', ...report.next].join('\n')
    for (const word of words) expect(said.toLowerCase()).toContain(word.toLowerCase())
    expect(said).toContain(line === null ? file : `${file}:${line}`)
    if (line !== null) expect(report.places?.map((place) => place.line)).toContain(line)
    for (const place of report.places ?? []) expect(place.file).toBe(path.join(cwd, file))
    // Neither a value of the file nor anything of ours that only a developer reads.
    const all = `${JSON.stringify(report)}\n${error.message}`
    expect(all).not.toContain(canary)
    expect(all).not.toMatch(/\bat .*\.[jt]s:\d|undefined|\[object|NaN/)
    expect(all.length).toBeLessThan(8000)
    expect(Object.prototype).not.toHaveProperty('polluted')
  })
})
