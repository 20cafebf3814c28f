import {mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {afterAll, describe, expect, it} from 'vitest'
import {keepUnsaved, scriptDirectory} from '../../../src/session/remote-files.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'mirrord-remote-files-'))
afterAll(() => rmSync(folder, {recursive: true}))
mkdirSync(path.join(folder, 'dist'))
writeFileSync(path.join(folder, 'dist/main.mjs'), '')
writeFileSync(path.join(folder, 'dist/data.json'), '')

describe('the directory of the script that is run', () => {
  it('is that of the first argument that is no option', () => {
    expect(scriptDirectory(['node', '--inspect', 'dist/main.mjs', 'x.py'], folder)).toBe(path.join(folder, 'dist'))
    expect(scriptDirectory(['node', path.join(folder, 'dist/main.mjs')], '/')).toBe(path.join(folder, 'dist'))
  })

  it('is none for other files, for what is not there, and without arguments', () => {
    for (const words of [
      ['cat', 'dist/data.json'],
      ['node', 'dist/none.mjs'],
      ['node', '-e', '1'],
      ['server'],
      ['node', 'dist'],
    ])
      expect(scriptDirectory(words, folder)).toBeUndefined()
  })
})

it('keeps what could not be saved by its path in the target', () => {
  const copy = path.join(folder, 'dist/data.json')
  const kept = keepUnsaved([{path: '/var/data/x', copy, reason: 'ENOSPC'}], folder)
  expect(readFileSync(path.join(kept, 'var/data/x'), 'utf8')).toBe('')
})
