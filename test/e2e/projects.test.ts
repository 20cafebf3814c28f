import {execFileSync, type ExecFileSyncOptionsWithStringEncoding} from 'node:child_process'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {afterEach, beforeEach, describe, expect, test} from 'vitest'
import {job} from './support/each-test.ts'
import {onPath} from './support/programs.ts'
import {projects} from './support/projects.ts'

const long = process.env.MIRRORD_LONG === '1'
let folder: string

beforeEach(() => {
  folder = mkdtempSync('/tmp/me2e-project-')
})
afterEach(() => rmSync(folder, {recursive: true, force: true}))

describe('the own tests of a project pass as without mirrord', () => {
  for (const project of projects) {
    const missing = long ? project.needs.filter((name) => !onPath(name)) : ['npm run test:long']
    const title = missing.length > 0 ? `${project.name} (left out: needs ${missing.join(', ')})` : project.name
    test.skipIf(missing.length > 0)(title, {timeout: 1_200_000}, async (context) => {
      try {
        project.fetch(folder)
      } catch (error) {
        // A machine without a way to the registry has nothing to test.
        context.skip(`${project.name} cannot be downloaded: ${(error as Error).message}`)
      }
      const {words, cwd, env = {}} = project.prepare(folder)
      // What tools keep below HOME is local, so it must be the HOME in which they are installed, as in a real job.
      const machine = {PATH: `${process.env.PATH}:/usr/local/go/bin`, HOME: process.env.HOME ?? '/'}
      const plain = runPlainly(words, cwd, {...job.env, ...machine, ...env})
      const config = `${folder}/mirrord.json`
      writeFileSync(config, JSON.stringify({feature: {network: {incoming: 'off'}}}))
      const start = ['ci', 'start', '--foreground', '-f', config, '--target', 'deployment/echo', '--', ...words]
      const below = await job.run(start, {cwd, env: {...machine, ...env}})
      const counts = project.counts(plain.output)
      expect(counts.passed ?? 0, plain.output).toBeGreaterThan(project.minimum)
      expect({exit: below.code, ...project.counts(below.output)}, below.output).toEqual({exit: plain.code, ...counts})
    })
  }
})

/** Runs the tests without mirrord, with the environment that they have with it. */
function runPlainly(
  words: readonly string[],
  cwd: string,
  env: Record<string, string>,
): {code: number; output: string} {
  const options: ExecFileSyncOptionsWithStringEncoding = {
    cwd,
    env,
    encoding: 'utf8',
    stdio: 'pipe',
    maxBuffer: 64 << 20,
  }
  try {
    return {code: 0, output: execFileSync(words[0]!, words.slice(1), options)}
  } catch (error) {
    const {status, stdout, stderr} = error as {status?: number; stdout?: string; stderr?: string}
    if (typeof status !== 'number') throw error
    return {code: status, output: `${stdout}${stderr}`}
  }
}
