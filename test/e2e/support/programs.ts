import {execFileSync} from 'node:child_process'
import {existsSync, globSync, mkdtempSync, rmSync} from 'node:fs'
import path from 'node:path'

const folder = path.join(import.meta.dirname, '../programs')
const root = path.join(import.meta.dirname, '../../..')

/** A program of the tests in one language: `words` run it on a port under a name. */
export interface Program {
  language: string
  words: (port: number, name: string) => string[]
}

export const node = path.join(root, 'node_modules/.bin/node')

/** Where the set-up of `npm run test:long` puts Bun and Deno (scripts/lib/runtimes.mjs), for whichever processor. */
const runtimes = path.join(root, 'test/apps/matrix/runtimes/node_modules')
const fromNpm = globSync('{@oven/*/bin,@deno/*}', {cwd: runtimes}).map((folder) => path.join(runtimes, folder))

/** A program that the set-up installed, of PATH, or of the usual place of Go; else undefined. */
export const onPath = (name: string) =>
  [...fromNpm, ...(process.env.PATH ?? '').split(':'), '/usr/local/go/bin']
    .map((entry) => path.join(entry, name))
    .find((file) => existsSync(file))

/** The system's Python: the shims of a version manager look for their files in the HOME of whoever installed them. */
export const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3'

/** Go, where it is installed. */
export const go = onPath('go')

/** Builds what has to be built; `dispose` removes it. */
export function programs(): {all: Program[]; dispose(): void} {
  const built = mkdtempSync('/tmp/me2e-programs-')
  const c = path.join(built, 'server-static')
  execFileSync('gcc', ['-std=gnu11', '-O1', '-Wall', '-Wextra', '-Werror', '-static', '-o', c, 'server.c'], {
    cwd: folder,
  })
  const all: Program[] = [
    {language: 'Node', words: (port, name) => [node, path.join(folder, 'server.mjs'), `${port}`, name]},
    {language: 'Python', words: (port, name) => [python, path.join(folder, 'server.py'), `${port}`, name]},
    {language: 'static C', words: (port, name) => [c, `${port}`, name]},
  ]
  if (go) {
    const binary = path.join(built, 'server-go')
    execFileSync(go, ['build', '-o', binary, 'server.go'], {cwd: folder, env: {...process.env, CGO_ENABLED: '0'}})
    all.push({language: 'static Go', words: (port, name) => [binary, `${port}`, name]})
  }
  return {all, dispose: () => rmSync(built, {recursive: true, force: true})}
}
