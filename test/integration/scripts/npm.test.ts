import {execFile} from 'node:child_process'
import {existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {pathToFileURL} from 'node:url'
import {afterEach, beforeEach, expect, test} from 'vitest'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'mirrord-npm-'))
})
afterEach(() => rmSync(folder, {recursive: true, force: true}))

test("npm ci is refused where node_modules is a link, and the other tree's packages stay", async () => {
  const [own, other] = ['own', 'other'].map((name) => path.join(folder, name)) as [string, string]
  mkdirSync(own)
  mkdirSync(path.join(other, 'package'), {recursive: true})
  symlinkSync(other, path.join(own, 'node_modules'))
  writeFileSync(path.join(own, 'package.json'), '{"name": "own", "version": "1.0.0"}')
  writeFileSync(
    path.join(own, 'package-lock.json'),
    '{"name": "own", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": {"name": "own", "version": "1.0.0"}}}',
  )
  const module = pathToFileURL(path.join(import.meta.dirname, '../../../scripts/lib/npm.mjs')).href
  const runModule = pathToFileURL(path.join(import.meta.dirname, '../../../scripts/lib/run.mjs')).href
  const script = `
    import {npmCi} from '${module}'
    import {main} from '${runModule}'
    await main(() => npmCi(process.argv[1]))`
  const {code, stderr} = await new Promise<{code: unknown; stderr: string}>((resolve) => {
    execFile(process.execPath, ['--input-type=module', '-e', script, own], (error, _, stderr) =>
      resolve({code: error?.code ?? 0, stderr}),
    )
  })
  expect(stderr).toContain(`${own}/node_modules is a symbolic link to ${other}`)
  expect(code).toBe(1)
  expect(existsSync(path.join(other, 'package'))).toBe(true)
})
