import {mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {afterAll, expect, it} from 'vitest'
import {keepUnsaved} from '../../../src/session/remote-files.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'mirrord-remote-files-'))
afterAll(() => rmSync(folder, {recursive: true}))
mkdirSync(path.join(folder, 'dist'))
writeFileSync(path.join(folder, 'dist/data.json'), '')

it('keeps what could not be saved by its path in the target', () => {
  const copy = path.join(folder, 'dist/data.json')
  const kept = keepUnsaved([{path: '/var/data/x', copy, reason: 'ENOSPC'}], folder)
  expect(readFileSync(path.join(kept, 'var/data/x'), 'utf8')).toBe('')
})
