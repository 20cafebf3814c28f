import {Parser} from '@oclif/core'
import {describe, expect, it} from 'vitest'
import {normalizeArguments, unshield, type CommandShape} from '../../../src/cli/arguments.ts'
import CiLogs from '../../../src/commands/ci/logs.ts'
import CiContainer from '../../../src/commands/ci/container.ts'
import CiStart from '../../../src/commands/ci/start.ts'
import Container from '../../../src/commands/container.ts'
import Exec from '../../../src/commands/exec.ts'
import Ls from '../../../src/commands/ls.ts'
import {MirrordError} from '../../../src/errors/mirrord-error.ts'

const start: CommandShape = {name: 'ci start', flags: CiStart.flags, passthrough: true}
const words = (line: string | readonly string[]) =>
  typeof line === 'string' ? line.split(' ').filter(Boolean) : [...line]
const normal = (line: string | readonly string[], command = start) => normalizeArguments(words(line), command)
const file = '--config-file=./.mirrord/mirrord.json'

/** What oclif makes of it: the flags that were given, and the program with its arguments. */
async function parsed(line: string | readonly string[]) {
  const {flags, raw} = await Parser.parse(normal(line), {
    flags: CiStart.flags,
    args: CiStart.args,
    strict: false,
    '--': true,
    context: undefined,
  })
  const given = Object.entries(flags).filter(([name]) =>
    raw.some((token) => token.type === 'flag' && token.flag === name),
  )
  return {
    flags: Object.fromEntries(given.map(([name, value]) => [name, unshield(value)])),
    program: raw.flatMap((token) => (token.type === 'arg' ? [token.input] : [])),
  }
}

function refusal(line: string | readonly string[], command = start) {
  try {
    return normal(line, command)
  } catch (error) {
    if (!(error instanceof MirrordError)) throw error
    expect(error.report).toMatchObject({code: 'USAGE', exit: 'usage'})
    return error.report
  }
}

describe('the words of a command line', () => {
  it.each([
    // As the docs page writes them.
    ['--target deployment/ip-visit-counter go run x.go', '--target=deployment/ip-visit-counter -- go run x.go'],
    ['--config-file mirrord.json npm run x', '--config-file=mirrord.json -- npm run x'],
    // The configuration file, with and without a value.
    ['-f', file],
    ['-f -- node app.js', `${file} -- node app.js`],
    ['-f --steal node app.js', `${file} --steal -- node app.js`],
    ['-f my.json node app.js', '--config-file=my.json -- node app.js'],
    ['-f=my.json node app.js', '--config-file=my.json -- node app.js'],
    ['-fmy.json node app.js', '--config-file=my.json -- node app.js'],
    ['--config-file=my.json node', '--config-file=my.json -- node'],
    ['-f - node', '--config-file=- -- node'],
    // The program's own flags are its own.
    ['-t x go run main.go -v', '--target=x -- go run main.go -v'],
    ['-t x app --help', '--target=x -- app --help'],
    ['-t x app --json -c -f', '--target=x -- app --json -c -f'],
    ['-t x app --target y', '--target=x -- app --target y'],
    ['docker run -e A=1 -e B=2 img', '-- docker run -e A=1 -e B=2 img'],
    ['', ''],
    ['-t x', '--target=x'],
    // Help, and only before the program.
    ['--help', '--help'],
    ['-h', '--help'],
    ['-t x -h', '--help'],
    ['--nope --help', '--help'],
    ['-eh', '--help'],
  ])('%j becomes %j', (line, expected) => {
    expect(normal(line).join(' ')).toBe(expected)
  })

  it.each([
    ['-t x -- node app.js -p 1', ['node', 'app.js', '-p', '1']],
    ['-t x node -- app.js -p 1', ['node', 'app.js', '-p', '1']],
    ['-t x node app.js -- -p 1', ['node', 'app.js', '--', '-p', '1']],
    ['-- sh -c x -- y', ['sh', '-c', 'x', '--', 'y']],
    ['-t x -- sh -- -- y', ['sh', '--', '--', 'y']],
    ['-t x sh -- -- y', ['sh', '--', 'y']],
    ['node app.js one two', ['node', 'app.js', 'one', 'two']],
    ['node app.js - -c', ['node', 'app.js', '-', '-c']],
    ['- x', ['-', 'x']],
    ['-- -weird', ['-weird']],
    ['-- --target y', ['--target', 'y']],
    ['--', []],
  ])('[LIF-12] %j: the program and its arguments are %j', async (line, program) => {
    const {passthrough, ...shape} = start
    expect(passthrough).toBe(true)
    expect(normalizeArguments(words(line), {...shape, passthrough}).includes('--')).toBe(true)
    if (program.length > 0) expect((await parsed(line)).program).toEqual(program)
  })

  it.each([
    ['-c node app.js', true, ['node', 'app.js']],
    ['-c=true node', true, ['node']],
    ['-c=false node', false, ['node']],
    ['-c true node', true, ['true', 'node']],
    ['--accept-invalid-certificates=false node', false, ['node']],
    ['--accept-invalid-certificates=true node', true, ['node']],
    ['--no-accept-invalid-certificates node', false, ['node']],
    ['node', undefined, ['node']],
    ['node -c', undefined, ['node', '-c']],
  ])('[LIF-16] %j: certificates %j', async (line, value, program) => {
    const {flags, program: found} = await parsed(line)
    expect([flags['accept-invalid-certificates'], found]).toEqual([value, program])
  })

  it.each([
    ['-t x node', {target: 'x'}],
    ['-tx node', {target: 'x'}],
    ['-t=x node', {target: 'x'}],
    ['--target x node', {target: 'x'}],
    ['--target=x node', {target: 'x'}],
    ['--target=a=b node', {target: 'a=b'}],
    ['-ta=b node', {target: 'a=b'}],
    ['-t - node', {target: '-'}],
    ['-ec node', {'ephemeral-container': true, 'accept-invalid-certificates': true}],
    ['-ce node', {'ephemeral-container': true, 'accept-invalid-certificates': true}],
    ['-etx node', {'ephemeral-container': true, target: 'x'}],
    ['-et x node', {'ephemeral-container': true, target: 'x'}],
    ['-et=x node', {'ephemeral-container': true, target: 'x'}],
    ['-ec=false node', {'ephemeral-container': true, 'accept-invalid-certificates': false}],
    ['-ef -- node', {'ephemeral-container': true, 'config-file': './.mirrord/mirrord.json'}],
    ['--agent-ttl 5 --steal node', {'agent-ttl': 5, steal: true}],
    ['--no-wait --no-intercept node', {wait: false, intercept: false}],
    ['--ready-tcp 1 --ready-tcp=2 node', {'ready-tcp': ['1', '2']}],
    // A value that starts with a dash has "=", also where oclif would take it for a flag.
    ['--ready-log=--steal node', {'ready-log': ['--steal']}],
    ['--ready-log=-error node', {'ready-log': ['-error']}],
    ['-k=-t node', {key: '-t'}],
    ['-k=--no-wait node', {key: '--no-wait'}],
    ['--key=--- node', {key: '---'}],
    ['--key=schlüssel-✓ node', {key: 'schlüssel-✓'}],
  ])('[LIF-11] %j: flags %j', async (line, flags) => {
    expect(await parsed(line)).toEqual({flags, program: ['node']})
  })

  it.each([
    ['--traget=pod/x node', 'There is no flag --traget.', 'Did you mean --target?'],
    ['--targ pod/x node', 'There is no flag --targ.', 'Did you mean --target?'],
    ['--no-steal node', 'There is no flag --no-steal.', 'Flags of the program come after its name.'],
    ['-z node', 'There is no flag -z.', 'Flags of the program come after its name.'],
    ['-ez node', 'There is no flag -z.', 'Flags of the program come after its name.'],
    ['--__proto__ node', 'There is no flag --__proto__.', 'Flags of the program come after its name.'],
    ['-t', '--target needs a value.', 'See what there is: mirrord ci start --help'],
    ['-t -- node', '--target needs a value.', 'See what there is: mirrord ci start --help'],
    ['-t --steal node', '--target needs a value.', 'A value that starts with a dash needs "=": --target=--steal'],
    ['--agent-ttl -1 node', '--agent-ttl needs a value.', 'A value that starts with a dash needs "=": --agent-ttl=-1'],
    ['-t a -t b node', '--target is given more than once.', 'See what there is: mirrord ci start --help'],
    ['-t a --target=b node', '--target is given more than once.', 'See what there is: mirrord ci start --help'],
    ['--steal --steal node', '--steal is given more than once.', 'See what there is: mirrord ci start --help'],
    [
      '-c -c=false node',
      '--accept-invalid-certificates is given more than once.',
      'See what there is: mirrord ci start --help',
    ],
    ['-f a -f b node', '--config-file is given more than once.', 'See what there is: mirrord ci start --help'],
    ['--steal=true node', '--steal takes no value.', 'See what there is: mirrord ci start --help'],
    ['-e=true node', '--ephemeral-container takes no value.', 'See what there is: mirrord ci start --help'],
    ['--no-wait=1 node', '--no-wait takes no value.', 'See what there is: mirrord ci start --help'],
    [
      '-c=maybe node',
      '--accept-invalid-certificates is given alone, or as --accept-invalid-certificates=true or =false.',
      'See what there is: mirrord ci start --help',
    ],
    ['-f= node', '--config-file has an empty value.', 'See what there is: mirrord ci start --help'],
  ])('[LIF-12] %j is refused', (line, what, next) => {
    expect(refusal(line)).toMatchObject({what, next: expect.arrayContaining([next]) as unknown})
  })

  it('keeps empty arguments where they are, and takes an empty value for what it is', () => {
    expect(normal(['app', '', 'a', ''])).toEqual(['--', 'app', '', 'a', ''])
    for (const line of [
      ['', 'node'],
      ['--', ''],
      ['-t', 'x', ''],
    ])
      expect(refusal(line)).toMatchObject({what: 'PROGRAM is empty.'})
    expect(normal(['-t', '', 'node'])).toEqual(['--target=', '--', 'node'])
    expect(refusal(['-f', '', 'node'])).toMatchObject({what: '--config-file has an empty value.'})
  })

  it('leaves the arguments of other commands between their flags', () => {
    const logs = {name: 'ci logs', flags: CiLogs.flags, passthrough: false}
    expect(normal('server -f --tail 5', logs)).toEqual(['server', '--follow', '--tail=5'])
    expect(normal('-f server', logs)).toEqual(['--follow', 'server'])
    expect(normal('-f -- -server', logs)).toEqual(['--follow', '--', '-server'])
    const ls = {name: 'ls', flags: Ls.flags, passthrough: false}
    expect(normal('--namespace shop -t pod', ls)).toEqual(['--target-namespace=shop', '--target-type=pod'])
    expect(refusal('--namespace shop -n x', ls)).toMatchObject({what: '--target-namespace is given more than once.'})
    expect(refusal('server -z', logs)).toMatchObject({next: ['See what there is: mirrord ci logs --help']})
  })

  it('changes nothing when it is applied twice', () => {
    for (const line of ['-f -- node a', '-c=false -t x node -- b', 'docker run -e A=1', '-k=x y'])
      expect(normal(normal(line))).toEqual(normal(line))
  })
})

describe('[LIF-11] the flags of upstream', () => {
  // config.md 1.2: short and long, and whether they take a value.
  const upstream: [string | undefined, string, boolean][] = [
    ['t', 'target', true],
    ['n', 'target-namespace', true],
    ['a', 'agent-namespace', true],
    ['l', 'agent-log-level', true],
    ['i', 'agent-image', true],
    [undefined, 'agent-ttl', true],
    [undefined, 'agent-startup-timeout', true],
    ['e', 'ephemeral-container', false],
    [undefined, 'fs-mode', true],
    ['x', 'override-env-vars-exclude', true],
    ['s', 'override-env-vars-include', true],
    [undefined, 'no-remote-dns', false],
    [undefined, 'skip-processes', true],
    ['c', 'accept-invalid-certificates', false],
    [undefined, 'steal', false],
    [undefined, 'no-outgoing', false],
    [undefined, 'no-tcp-outgoing', false],
    [undefined, 'no-udp-outgoing', false],
    [undefined, 'no-telemetry', false],
    [undefined, 'disable-version-check', false],
    ['f', 'config-file', true],
    [undefined, 'context', true],
    [undefined, 'env-file', true],
    ['k', 'key', true],
  ]
  it.each([
    ['ci start', CiStart.flags],
    ['exec', Exec.flags],
    ['ci container', CiContainer.flags],
    ['container', Container.flags],
  ])('are all there on %s, with their short forms', (_name, flags) => {
    const found = Object.entries(flags as CommandShape['flags'])
    for (const [char, name, value] of upstream)
      expect(found.find(([long]) => long === name)?.[1]).toMatchObject({
        type: value ? 'option' : 'boolean',
        ...(char === undefined ? {} : {char}),
      })
    const ours = found.filter(([, {char}]) => char !== undefined && !upstream.some(([other]) => other === char))
    expect(ours).toEqual([])
  })

  it('are the same for a container, apart from interception, which it cannot do without', () => {
    const without = (flags: object) => Object.keys(flags).filter((name) => name !== 'intercept')
    expect(Object.keys(CiContainer.flags)).toEqual(without(CiStart.flags))
    expect(Object.keys(Container.flags)).toEqual(without(Exec.flags))
  })

  it('are the same on both, apart from what only a session of a job has', () => {
    const only = Object.keys(CiStart.flags).filter((name) => !(name in Exec.flags))
    expect(only.filter((name) => !name.startsWith('ready')).sort()).toEqual(
      ['environment', 'foreground', 'grace', 'json', 'log-max', 'name', 'pipeline', 'triggered-by', 'wait'].sort(),
    )
    expect(Object.keys(Exec.flags).filter((name) => !(name in CiStart.flags))).toEqual([])
  })
})
