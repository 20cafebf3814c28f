import {readdirSync, readFileSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {describe, expect, it} from 'vitest'
import {exitCodes} from '../../../src/errors/exit-codes.ts'
import {UPSTREAM_VERSION} from '../../../src/util/upstream-version.ts'
import {useCli} from './harness.ts'

const root = path.join(import.meta.dirname, '../../..')
const cli = useCli()
const mirrord = cli.run

const leftOver = () => [...readdirSync(path.join(cli.folder, 'run')), ...readdirSync(path.join(cli.folder, 'tmp'))]

describe('a run', () => {
  it.each(['ci start', 'exec'])('[LIF-15] of %s inside of a run of upstream is refused', async (command) => {
    const env = {MIRRORD_RESOLVED_CONFIG: 'e30='}
    const {code, stderr} = await mirrord([...command.split(' '), '-t', 'pod/x', '--', 'true'], {env})
    expect([code, stderr]).toEqual([exitCodes.interceptionUnavailable.code, expect.stringContaining('NESTED_RUN')])
    expect(leftOver()).toEqual([])
  })
})

describe('ci stop', () => {
  it('succeeds with nothing to stop, however often', async () => {
    for (let round = 0; round < 2; round++) {
      const {code, stdout, stderr} = await mirrord(['ci', 'stop'])
      expect([code, stdout, stderr]).toEqual([0, 'Nothing to stop: no mirrord session of this job is running.\n', ''])
    }
    expect(leftOver()).toEqual([])
  })

  it.each([['--grace', '-1'], ['--grace', 'x'], ['--nope']])('refuses %s %s', async (...words) => {
    const {code, stderr} = await mirrord(['ci', 'stop', ...words.filter((word) => word !== undefined)])
    expect(code).toBe(2)
    expect(stderr).not.toBe('')
  })

  it('[D27] asks for no API key and no kubeconfig, nor does its help', async () => {
    const {code, stdout} = await mirrord(['ci', 'stop'], {env: {MIRRORD_CI_API_KEY: 'no key', KUBECONFIG: '/nowhere'}})
    expect([code, stdout]).toEqual([0, 'Nothing to stop: no mirrord session of this job is running.\n'])
    const help = await mirrord(['ci', 'stop', '--help'])
    expect(help.stdout).toContain('ci stop')
    expect(help.stdout).not.toMatch(/\bkeys?\b/i)
  })

  it('reports what a session has on record, with its exit code, and shows where the output is', async () => {
    const {SessionStore} = await import('../../../src/session/state.ts')
    const {currentJob} = await import('../../../src/session/current-job.ts')
    const store = currentJob({RUNNER_TEMP: path.join(cli.folder, 'run'), MIRRORD_CI_JOB: cli.folder})
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
    expect(stdout).toBe('Removed node (deployment/web), output in /out/server-1\n')
    expect(stderr).toContain('Error: It crashed.\n  Next: Fix it.\n  Code: PROGRAM_CRASHED (exit 74)\n\n  | boom')
    expect(leftOver()).toEqual([])
  })
})

describe('ci api-key', () => {
  it.each([[[]], [['-f']], [['-f', 'none.json']]])('says that it needs the operator: %j', async (flags) => {
    const {code, stdout, stderr} = await mirrord(['ci', 'api-key', ...flags])
    expect([code, stdout]).toEqual([exitCodes.operator.code, ''])
    expect(stderr).toMatch(/^Error: .*\n {2}Why: .*\n {2}Next: .*\n {2}Code: API_KEY_NEEDS_OPERATOR \(exit 60\)\n$/)
  })
})

describe('--json', () => {
  const parse = (text: string) => JSON.parse(text) as Record<string, unknown>

  it('gives the result of a stop as one object', async () => {
    const {code, stdout, stderr} = await mirrord(['ci', 'stop', '--json'])
    expect([code, parse(stdout), stderr]).toEqual([0, {sessions: [], reports: [], exit: 0}, ''])
  })

  it.each([
    ['a wrong flag', ['ci', 'start', '--json', '--nope', 'node'], 'USAGE', exitCodes.usage.code],
    ['a missing program', ['ci', 'start', '--json'], 'USAGE', exitCodes.usage.code],
    ['an impossible pair', ['ci', 'start', '--json', '--foreground', 'node'], 'USAGE', exitCodes.usage.code],
    ['no kubeconfig', ['ci', 'start', '--json', 'node'], 'KUBECONFIG_MISSING', exitCodes.kubeconfig.code],
    ['an unknown session', ['ci', 'stop', '--json', 'nobody'], 'SESSION_NOT_FOUND', exitCodes.sessionNotFound.code],
  ])('gives an error as one object, and to people on stderr: %s', async (_name, args, error, exit) => {
    const {code, stdout, stderr} = await mirrord(args)
    expect([code, parse(stdout)]).toMatchObject([
      exit,
      {error: {code: error, exit, what: expect.any(String) as unknown}},
    ])
    expect(stderr).toContain(`Code: ${error} (exit ${exit})`)
  })

  it.each([['-ojson'], ['-o=json'], ['--output=json']])('is also meant by %s of ls', async (flag) => {
    const {code, stdout} = await mirrord(['ls', flag, '--nope'])
    expect([code, parse(stdout)]).toMatchObject([exitCodes.usage.code, {error: {code: 'USAGE'}}])
    expect((await mirrord(['ls', '--output', 'table', '--nope'])).stdout).toBe('')
  })

  it('is nothing when the program has it', async () => {
    expect(await mirrord(['ci', 'start', '--', 'node', '--json'])).toMatchObject({stdout: ''})
  })
})

describe('the words of a command line', () => {
  it.each([
    [['ci', ''], 'The name of the command is empty.', 'mirrord ci --help'],
    [[''], 'The name of the command is empty.', 'mirrord --help'],
    [['ci', '--version'], '--version is no command.', 'mirrord ci --help'],
    [['ci', '--foreground', 'start'], '--foreground is no command.', 'mirrord ci --help'],
    [['config', 'show', '--grace='], '--grace: expected an integer but received: "".', 'mirrord config show --help'],
    [['config', 'show', '--fs-mode', 'all'], 'Expected --fs-mode=all to be one of', 'mirrord config show --help'],
    [['ci', 'start', '--help=all'], '--help takes no value.', 'mirrord ci start --help'],
    [['ci', 'start', '-f', 'node'], 'PROGRAM is missing: "node" was taken', '-f -- node'],
  ])('[LIF-12] %j: says what is wrong, and where to read on', async (words, what, next) => {
    const {code, stdout, stderr} = await mirrord(words)
    expect([code, stdout]).toEqual([exitCodes.usage.code, ''])
    expect(stderr).toContain(what)
    expect(stderr).toContain(next)
  })

  it('[LIF-12] a program that -f has taken as its file is recognised', async () => {
    const {code, stderr} = await mirrord(['ci', 'start', '-f', 'node', 'app.js'])
    expect([code, stderr]).toEqual([exitCodes.configNotFound.code, expect.stringContaining('-f -- node')])
    const other = await mirrord(['ci', 'start', '-f', 'mirrord.json', 'node', 'app.js'])
    expect([other.code, other.stderr]).toEqual([code, expect.not.stringContaining('-f --')])
  })

  it.each([
    [
      ['ci', 'help', 'start'],
      ['ci', 'start', '--help'],
    ],
    [
      ['ci', 'help'],
      ['ci', '--help'],
    ],
    [
      ['help', 'ci', 'start'],
      ['ci', 'start', '--help'],
    ],
    [
      ['config', 'help', 'show'],
      ['config', 'show', '--help'],
    ],
  ])('%j is %j', async (words, same) => {
    const shown = await mirrord(words)
    expect(shown).toMatchObject({code: 0, stderr: ''})
    expect(shown).toEqual(await mirrord(same))
  })

  it.each([
    ['ci container', ['docker', 'ps'], 'docker ps starts no container'],
    ['ci container', ['--', 'sh', '-c', 'true'], 'no container runtime'],
    ['container', ['docker', 'run'], 'docker run has no image'],
    ['container', ['podman', 'run', '-d', 'x'], 'stays attached'],
    ['ci container', ['podman', 'run', '-t', 'x'], 'no terminal'],
  ])('%s %j is refused before the cluster is asked', async (command, words, what) => {
    const {code, stderr} = await mirrord([...command.split(' '), '-t', 'pod/web', ...words])
    expect([code, stderr]).toEqual([exitCodes.usage.code, expect.stringContaining(what)])
  })
})

describe('exec', () => {
  it('[LIF-14] needs a program', async () => {
    expect(await mirrord(['exec', '-t', 'pod/web'])).toMatchObject({code: 2, stdout: ''})
  })

  it('says what to do while it cannot mirror', async () => {
    const {code, stderr} = await mirrord(['exec', '-t', 'pod/web', '--', 'node'])
    expect(code).toBe(exitCodes.configUnsupported.code)
    expect(stderr).toContain('give --steal, or "steal" or "off" in the file')
    expect(stderr).toContain('Next: Set feature.network.incoming.mode, to a value that is named above.')
  })

  it.each([[['--steal', '-t', 'pod/web']], [[]]])(
    '[LIF-11] asks for a kubeconfig like ci start with %j',
    async (flags) => {
      const {code, stderr} = await mirrord(['exec', ...flags, '--', 'node'])
      expect([code, stderr]).toEqual([exitCodes.kubeconfig.code, expect.stringContaining('KUBECONFIG_MISSING')])
    },
  )
})

describe('ci start', () => {
  it.each([
    ['[LIF-14] no program', []],
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
    writeFileSync(path.join(cli.folder, 'my.json'), '{"target": "nonsense/x"}')
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
    for (const title of ['TRAFFIC FLAGS', 'READINESS FLAGS', 'AGENT AND CLUSTER FLAGS', 'EXAMPLES'])
      expect(stdout).toContain(title)
    expect(stdout).toContain('$ mirrord ci start --target deployment/ip-visit-counter go run ip-visit-counter.go')
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
    const {default: CiStart} = await import('../../../src/commands/ci/start.ts')
    for (const flag of Object.keys(CiStart.flags)) expect(stdout).toMatch(new RegExp(`--(\\[?no-\\]?)?${flag}\\b`))
  })
})

describe('the help of every command', async () => {
  const {commands} = JSON.parse(readFileSync(path.join(root, 'oclif.manifest.json'), 'utf8')) as {
    commands: Record<
      string,
      {flags: Record<string, {summary?: string; hidden?: boolean}>; summary?: string; examples?: string[]}
    >
  }

  // oclif answers `help --help` with the overview.
  const own = Object.entries(commands).filter(([id]) => id !== 'help')

  it.each(own)('%s: fits, says what each flag is, and has examples', async (id, command) => {
    const {code, stdout, stderr} = await mirrord([...id.split(':'), '--help'], {env: {KUBECONFIG: '/nowhere'}})
    expect([code, stderr]).toEqual([0, ''])
    const lines = stdout.split('\n')
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(100)
    // What few need has a title of its own, below the first screen.
    const group = lines.findIndex((line) => /^[A-Z ]+ FLAGS$/.test(line))
    expect(group === -1 ? lines.length : group).toBeLessThanOrEqual(42)
    expect(command.summary).toBeTruthy()
    expect(command.examples?.length).toBeGreaterThan(0)
    for (const [name, {summary}] of Object.entries(command.flags)) {
      expect(summary, name).toMatch(/^[^A-Z\s].*[^.]$/)
      expect(stdout).toMatch(new RegExp(`--(\\[?no-\\]?)?${name}\\b`))
    }
  })
})

describe('the command line itself', () => {
  it.each([
    ['help', 'ci', 'stop'],
    ['ci', 'stop', '-h'],
    ['ci', 'stop', 'name', '--help'],
  ])('shows help without a kubeconfig: %s %s %s', async (...args) => {
    const {code, stdout} = await mirrord(args)
    expect(code).toBe(0)
    expect(stdout).toContain('$ mirrord ci stop [NAME...] [flags]')
  })

  it.each([
    [['--nope'], 'A command comes first, its flags after it: --nope is no command.'],
    [['help', 'nope'], 'There is no command `mirrord nope`.'],
    [['ls', 'extra'], 'Unexpected argument: extra.'],
    [['ci', 'api-key', 'extra'], 'Unexpected argument: extra.'],
    [['ci', 'status', 'one', ''], 'Unexpected argument: "".'],
    [['verify-config', ''], 'PATH is empty.'],
    [['completion', ''], 'Expected "" to be one of: bash, zsh, powershell.'],
    [['ci', 'logs', '-f', '-f'], '--follow is given more than once.'],
    [['ci', 'stop', '--grace', '-1'], '--grace needs a value.'],
    [['ci', 'stop', '--grace=-1'], '--grace: expected an integer greater than or equal to 0 but received: -1.'],
  ])('says in one sentence what is wrong with %j', async (args, what) => {
    const {code, stdout, stderr} = await mirrord(args)
    expect([code, stdout, stderr.split('\n')[0]]).toEqual([exitCodes.usage.code, '', `Error: ${what}`])
  })

  it('takes ten thousand arguments of a program', async () => {
    const args = Array.from({length: 10_000}, (_, index) => `ü ${index}`)
    expect((await mirrord(['ci', 'start', 'node', ...args])).code).toBe(exitCodes.kubeconfig.code)
  })

  it('shows its version', async () => {
    const {version} = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {version: string}
    const {code, stdout} = await mirrord(['--version'])
    expect(code).toBe(0)
    expect(stdout).toContain(version)
    const verbose = await mirrord(['-V', '--verbose'])
    expect(verbose).toEqual({
      code: 0,
      stdout: `${stdout}goes by mirrord ${UPSTREAM_VERSION}: its agent image and protocol\n`,
      stderr: '',
    })
  })

  it('refuses a command that does not exist, and says which may have been meant [EXIT-2]', async () => {
    const {code, stdout, stderr} = await mirrord(['ci', 'strat', '--target', 'x'])
    expect([code, stdout]).toEqual([exitCodes.usage.code, ''])
    expect(stderr).toMatch(/no command `mirrord ci strat`.*\n.*Did you mean `mirrord ci start`\?/)
    expect((await mirrord(['nope'])).code).toBe(exitCodes.usage.code)
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
    expect(readdirSync(path.join(cli.folder, 'home'))).toEqual([])
  })
})
