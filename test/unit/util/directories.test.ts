import {existsSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterEach, beforeEach, expect, it} from 'vitest'
import {makeDirectories} from '../../../src/util/directories.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync('/tmp/mct-directories-')
})
afterEach(() => rmSync(folder, {recursive: true, force: true}))

it('makes what is missing, once', () => {
  const deep = path.join(folder, 'a/b/c')
  expect([makeDirectories(deep), existsSync(deep), makeDirectories(deep)]).toEqual([true, true, false])
})

it('fails where there can be none, and does not try for ever', () => {
  expect(() => makeDirectories('/proc/mirrord/deep')).toThrow('ENOENT')
  writeFileSync(path.join(folder, 'file'), '')
  expect(() => makeDirectories(path.join(folder, 'file'))).toThrow('EEXIST')
  expect(() => makeDirectories(path.join(folder, 'file/below'))).toThrow()
})
