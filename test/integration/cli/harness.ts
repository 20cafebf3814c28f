import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync} from 'node:fs'
import path from 'node:path'
import {afterAll, afterEach, beforeAll, beforeEach, expect} from 'vitest'

const root = path.join(import.meta.dirname, '../../..')

/** The youngest change of a file below a directory. */
function youngest(directory: string): number {
  return Math.max(
    ...readdirSync(directory, {withFileTypes: true, recursive: true})
      .filter((entry) => entry.isFile())
      .map((entry) => statSync(path.join(entry.parentPath, entry.name)).mtimeMs),
  )
}

/** The built CLI, run as a CI step would, with nothing of this process's environment but PATH. */
export interface Cli {
  /** A folder of the test's own: working directory, with home, run (RUNNER_TEMP) and tmp in it. */
  readonly folder: string
  /** `below`: a program that runs the command, with its first arguments. */
  run(
    args: string[],
    options?: {env?: Record<string, string | undefined>; stdin?: string; below?: readonly string[]},
  ): Promise<{code: number | null; stdout: string; stderr: string}>
}

/** Builds the CLI if its sources are younger, and gives each test of the file a folder. */
export function useCli(): Cli {
  let folder: string
  let compileCache: string

  beforeAll(async () => {
    compileCache = mkdtempSync('/tmp/mct-cache-')
    const built = path.join(root, 'lib/cli.js')
    // The entries that did not change are not written again, so the whole folder is looked at.
    if (existsSync(built) && youngest(path.join(root, 'lib')) > youngest(path.join(root, 'src'))) return
    const child = spawn(process.execPath, [path.join(root, 'scripts/build.mjs')], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const [code] = (await once(child, 'exit')) as [number]
    expect(code).toBe(0)
  }, 300_000)
  afterAll(() => rmSync(compileCache, {recursive: true, force: true}))
  beforeEach(() => {
    folder = mkdtempSync('/tmp/mct-')
    for (const name of ['home', 'run', 'tmp']) mkdirSync(path.join(folder, name))
  })
  afterEach(() => rmSync(folder, {recursive: true, force: true}))

  return {
    get folder() {
      return folder
    },
    async run(args, options = {}) {
      const env = {
        PATH: process.env.PATH,
        HOME: path.join(folder, 'home'),
        RUNNER_TEMP: path.join(folder, 'run'),
        TMPDIR: path.join(folder, 'tmp'),
        MIRRORD_CI_JOB: folder,
        NODE_COMPILE_CACHE: compileCache,
        ...options.env,
      }
      const mirrord = [process.execPath, path.join(root, 'bin/run.js'), ...args]
      const [program = '', ...words] = [...(options.below ?? []), ...mirrord]
      const child = spawn(program, words, {
        cwd: folder,
        env: Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined)),
        stdio: ['pipe', 'pipe', 'pipe'],
      })
      let stdout = ''
      let stderr = ''
      child.stdout.on('data', (text: Buffer) => (stdout += text.toString()))
      child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
      child.stdin.on('error', () => {})
      child.stdin.end(options.stdin)
      const [code] = (await once(child, 'close')) as [number | null]
      return {code, stdout, stderr}
    },
  }
}
