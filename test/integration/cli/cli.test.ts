import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it} from 'vitest'
import {exitCodes} from '../../../src/errors/exit-codes.ts'

const root = path.join(import.meta.dirname, '../../..')
let folder: string
let compileCache: string

/** The youngest change of a source file of the CLI. */
function youngest(directory: string): number {
  return Math.max(
    ...readdirSync(directory, {withFileTypes: true, recursive: true})
      .filter((entry) => entry.isFile())
      .map((entry) => statSync(path.join(entry.parentPath, entry.name)).mtimeMs),
  )
}

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

/** Runs the built CLI as a CI step would, with nothing of this process's environment but PATH. */
async function mirrord(args: string[], options: {env?: Record<string, string | undefined>; stdin?: string} = {}) {
  const env = {
    PATH: process.env.PATH,
    HOME: path.join(folder, 'home'),
    RUNNER_TEMP: path.join(folder, 'run'),
    TMPDIR: path.join(folder, 'tmp'),
    MIRRORD_CI_JOB: folder,
    NODE_COMPILE_CACHE: compileCache,
    ...options.env,
  }
  const child = spawn(process.execPath, [path.join(root, 'bin/run.js'), ...args], {
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
}

const leftOver = () => [...readdirSync(path.join(folder, 'run')), ...readdirSync(path.join(folder, 'tmp'))]

describe('ci stop', () => {
  it('succeeds with nothing to stop, however often', async () => {
    for (let round = 0; round < 2; round++) {
      const {code, stdout, stderr} = await mirrord(['ci', 'stop'])
      expect([code, stdout, stderr]).toEqual([0, 'Nothing to stop: no mirrord session of this job is running.\n', ''])
    }
    expect(leftOver()).toEqual([])
  })

  it.each([['--grace', '-1'], ['--grace', 'x'], ['extra'], ['--nope']])('refuses %s %s', async (...words) => {
    const {code, stderr} = await mirrord(['ci', 'stop', ...words.filter((word) => word !== undefined)])
    expect(code).toBe(2)
    expect(stderr).not.toBe('')
  })

  it('reports what a session has on record, with its exit code, and shows where the output is', async () => {
    const {SessionStore} = await import('../../../src/session/state.ts')
    const {currentJob} = await import('../../../src/session/current-job.ts')
    const store = currentJob({RUNNER_TEMP: path.join(folder, 'run'), MIRRORD_CI_JOB: folder})
    expect(store).toBeInstanceOf(SessionStore)
    const directory = store.create()
    directory.write({
      format: 1,
      id: directory.id,
      job: store.job,
      name: 'node',
      program: 'server',
      target: 'deployment/web',
      state: 'ended',
      createdAt: new Date().toISOString(),
      session: {pid: 2 ** 22 - 1, startTime: '1', bootId: 'another'},
      outputDirectory: '/out/server-1',
      failure: {
        code: 'PROGRAM_CRASHED',
        exit: 'programCrashed',
        what: 'It crashed.',
        next: ['Fix it.'],
        detail: 'boom',
      },
    })
    const {code, stdout, stderr} = await mirrord(['ci', 'stop'])
    expect(code).toBe(exitCodes.programCrashed.code)
    expect(stdout).toBe('Removed server (deployment/web), output in /out/server-1\n')
    expect(stderr).toContain('Error: It crashed.\n  Next: Fix it.\n  Code: PROGRAM_CRASHED (exit 74)\n\n  | boom')
    expect(leftOver()).toEqual([])
  })
})

describe('ci api-key', () => {
  it('says that it needs the operator', async () => {
    const {code, stdout, stderr} = await mirrord(['ci', 'api-key'])
    expect([code, stdout]).toEqual([exitCodes.operator.code, ''])
    expect(stderr).toMatch(/^Error: .*\n {2}Why: .*\n {2}Next: .*\n {2}Code: API_KEY_NEEDS_OPERATOR \(exit 60\)\n$/)
  })
})

describe('ci start', () => {
  it.each([
    ['no program', []],
    ['nothing after the separator', ['--']],
    ['only flags', ['-t', 'pod/web', '-f']],
    ['an unknown flag before the program', ['--nope', 'node', 'app.js']],
    ['an unknown short flag', ['-z', 'node']],
    ['a flag without its value', ['--target']],
    ['a flag given twice', ['-t', 'pod/a', '-t', 'pod/b', 'node']],
    ['a time that is no number', ['--ready-timeout', 'soon', 'node']],
  ])('with %s is a usage error', async (_name, args) => {
    const {code, stdout, stderr} = await mirrord(['ci', 'start', ...args])
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain('Error')
    expect(leftOver()).toEqual([])
  })

  it('does not take its standard input for the program', async () => {
    expect((await mirrord(['ci', 'start'], {stdin: 'node\n'})).code).toBe(2)
  })

  it.each([
    ['app', '--help'],
    ['app', '--version'],
    ['app', '--json'],
    ['--', 'app', '--help'],
  ])('leaves the flags of the program to the program: %s %s', async (...words) => {
    const {code, stdout, stderr} = await mirrord(['ci', 'start', '-t', 'pod/web', ...words])
    expect([code, stdout]).toEqual([exitCodes.kubeconfig.code, ''])
    expect(stderr).toContain('KUBECONFIG_MISSING')
    expect(leftOver()).toEqual([])
  })

  it('names the cause and the remedy of a missing kubeconfig, also without HOME', async () => {
    const {code, stderr} = await mirrord(['ci', 'start', 'node'], {env: {HOME: undefined}})
    expect(code).toBe(exitCodes.kubeconfig.code)
    expect(stderr).toMatch(/^Error: .*\n {2}Why: /m)
    expect(stderr).toContain('HOME is not set')
  })

  it('refuses a configuration file that a bare -f means and that is not there', async () => {
    const {code, stderr} = await mirrord(['ci', 'start', '-f', '--', 'node'])
    expect(code).toBe(exitCodes.configNotFound.code)
    expect(stderr).toContain('.mirrord/mirrord.json')
  })

  it.each([
    ['after a space', ['-f', 'my.json', 'node']],
    ['after =', ['-f=my.json', 'node']],
    ['at once', ['-fmy.json', 'node']],
    ['long', ['--config-file', 'my.json', 'node']],
  ])('reads the configuration file that is named %s', async (_name, args) => {
    writeFileSync(path.join(folder, 'my.json'), '{"target": "nonsense/x"}')
    const {code, stderr} = await mirrord(['ci', 'start', ...args])
    expect(code).toBe(exitCodes.configInvalid.code)
    expect(stderr).toContain('my.json')
  })

  it('shows in its help how it is used, every flag, and examples as the documentation writes them', async () => {
    const {code, stdout, stderr} = await mirrord(['ci', 'start', '--help'])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(
      /\$ mirrord ci start \[--target TARGET\] \[-f \[FILE\]\] \[flags\] \[--\]\s+PROGRAM \[ARGUMENTS\]/,
    )
    for (const title of ['TARGET FLAGS', 'TRAFFIC AND ENVIRONMENT FLAGS', 'AGENT AND CLUSTER FLAGS', 'EXAMPLES'])
      expect(stdout).toContain(title)
    expect(stdout).toContain('$ mirrord ci start --target deployment/ip-visit-counter go run ip-visit-counter.go')
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
    const {default: CiStart} = await import('../../../src/commands/ci/start.ts')
    for (const flag of Object.keys(CiStart.flags)) expect(stdout).toMatch(new RegExp(`--(\\[no-\\])?${flag}\\b`))
  })
})

describe('the command line itself', () => {
  it('shows its version', async () => {
    const {version} = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {version: string}
    const {code, stdout} = await mirrord(['--version'])
    expect(code).toBe(0)
    expect(stdout).toContain(version)
  })

  it('refuses a command that does not exist', async () => {
    const {code, stdout, stderr} = await mirrord(['ci', 'nope'])
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain('nope')
  })

  it.each([{NODE_ENV: 'test'}, {NODE_ENV: 'development'}, {HOME: undefined}, {DEBUG: ''}])(
    'is not disturbed by %j',
    async (env) => {
      const {code, stderr} = await mirrord(['ci', 'stop'], {env})
      expect([code, stderr]).toEqual([0, ''])
    },
  )

  it('writes nothing into HOME', async () => {
    await mirrord(['ci', 'stop'])
    await mirrord(['ci', 'start', 'node'])
    expect(readdirSync(path.join(folder, 'home'))).toEqual([])
  })
})
