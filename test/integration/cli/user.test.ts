import {execFileSync} from 'node:child_process'
import {chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {beforeEach, describe, expect, it} from 'vitest'
import {exitCodes} from '../../../src/errors/exit-codes.ts'
import {asUnknownUser, unknownUser, whyNotAnother} from '../nobody.ts'
import {withoutPasswd} from '../own-mounts.ts'
import {useCli} from './harness.ts'

// A container's user without a passwd entry (`docker run -u 1234`, OpenShift), with every kind of HOME.

const cli = useCli()
const asUnknown = asUnknownUser()
const barred = whyNotAnother(asUnknown)

/** Without what a login gives. */
const bare = {HOME: undefined, SHELL: undefined, USER: undefined, LOGNAME: undefined}

interface Row {
  args: string[]
  code: number
  /** What the output has to hold. */
  says: string
}
const rows: Row[] = [
  {args: ['--version'], code: 0, says: 'mirrord-for-ci/'},
  {args: ['--help'], code: 0, says: 'USAGE'},
  {args: ['ci', 'start', '--help'], code: 0, says: '--ready-timeout'},
  {args: ['ci', 'stop'], code: 0, says: 'Nothing to stop'},
  {args: ['ci', 'status'], code: 0, says: 'No mirrord session'},
  {args: ['ci', 'logs'], code: 0, says: 'No mirrord session'},
  {args: ['ci', 'wait', '--for', 'ready'], code: exitCodes.sessionNotFound.code, says: 'SESSION_NOT_FOUND'},
  {args: ['verify-config', 'm.json'], code: 0, says: '"type": "Success"'},
  {args: ['config', 'show', '-f', 'm.json', '--', 'true'], code: 0, says: 'pod/x'},
  {args: ['ls'], code: exitCodes.kubeconfig.code, says: 'KUBECONFIG_MISSING'},
  {args: ['ci', 'start', '-t', 'pod/x', '--', 'true'], code: exitCodes.kubeconfig.code, says: 'KUBECONFIG_MISSING'},
  {args: ['ci', 'api-key'], code: exitCodes.operator.code, says: 'API_KEY_NEEDS_OPERATOR'},
  {args: ['completion'], code: exitCodes.usage.code, says: 'mirrord completion bash'},
  {args: ['cii', 'stop'], code: exitCodes.usage.code, says: 'UNKNOWN_COMMAND'},
]

beforeEach(() => {
  writeFileSync(path.join(cli.folder, 'm.json'), '{"target": "pod/x"}')
})

/** Gives the test's folder, where everything may be written but `ro`, to the unknown user. */
function handOver(): void {
  mkdirSync(path.join(cli.folder, 'ro'))
  const mine = ['.', 'home', 'run', 'tmp', 'm.json'].map((name) => path.join(cli.folder, name))
  execFileSync('chown', [`${unknownUser}:${unknownUser}`, ...mine])
}

async function works(those: readonly Row[], options: Parameters<typeof cli.run>[1]): Promise<void> {
  for (const {args, code, says} of those) {
    const result = await cli.run(args, options)
    const all = result.stdout + result.stderr
    expect(result.code, `${args.join(' ')}\n${all}`).toBe(code)
    expect(all).toContain(says)
    expect(all).not.toMatch(/UNEXPECTED|SystemError|^ +at /m)
  }
}

describe.skipIf(barred)(`a user number without a passwd entry${barred ? ` (${barred})` : ''}`, () => {
  beforeEach(handOver)

  it('can run every command without HOME, SHELL, USER and LOGNAME', async () => {
    await works(rows, {env: bare, below: asUnknown})
  })

  it.each([
    ['is /', () => '/'],
    ['is empty', () => ''],
    ['is a folder that is not there', () => '/nowhere/at/all'],
    ['is relative', () => 'home'],
    ['cannot be written', () => path.join(cli.folder, 'ro')],
    ['is a file', () => path.join(cli.folder, 'm.json')],
    ['is /dev/null', () => '/dev/null'],
  ])('can run commands when HOME %s', async (_, home) => {
    const those = rows.filter(
      ({args}) => ['--help', 'ls', 'verify-config', 'ci'].includes(args[0]!) && args[1] !== 'start',
    )
    await works(those, {env: {...bare, HOME: home()}, below: asUnknown})
    expect(readdirSync(path.join(cli.folder, 'home'))).toEqual([])
  })

  it.each([
    ['is not set', () => undefined, 'HOME is not set'],
    ['is empty', () => '', 'HOME is not set'],
    ['is relative', () => 'home', 'relative'],
    ['is /', () => '/', 'EACCES'],
    ['cannot be written', () => path.join(cli.folder, 'ro'), 'EACCES'],
  ])('is told what completion needs when HOME %s', async (_, home, why) => {
    const options = {env: {...bare, HOME: home()}, below: asUnknown}
    for (const words of [
      ['completion', 'bash'],
      ['autocomplete', 'script', 'bash'],
    ]) {
      const {code, stdout, stderr} = await cli.run(words, options)
      expect([code, stdout]).toEqual([exitCodes.permission.code, ''])
      expect(stderr).toMatch(
        new RegExp(`^Error: .*\\n  Why: .*${why}.*\\n  Next: .*XDG_CACHE_HOME.*\\n  Code: COMPLETION_FOLDER`),
      )
    }
    const cache = path.join(cli.folder, 'home')
    const found = await cli.run(['completion', 'bash'], {...options, env: {...options.env, XDG_CACHE_HOME: cache}})
    expect(found.code, found.stderr).toBe(0)
    expect(existsSync(path.join(cache, 'mirrord/autocomplete/functions/bash/mirrord.bash'))).toBe(true)
  })

  it('gives a credential program the environment that it was given, and what tells it of the cluster', async () => {
    const program = path.join(cli.folder, 'credentials')
    const seen = path.join(cli.folder, 'seen')
    writeFileSync(program, `#!/bin/sh\ncat /proc/$$/environ > ${seen}\necho no token here >&2\nexit 1\n`)
    chmodSync(program, 0o755)
    writeFileSync(path.join(cli.folder, 'kubeconfig'), kubeconfig(program))
    const env = {...bare, KUBECONFIG: path.join(cli.folder, 'kubeconfig')}
    const {code, stderr} = await cli.run(['ls'], {env, below: asUnknown})
    expect([code, stderr]).toEqual([exitCodes.unauthorized.code, expect.stringContaining('no token here')])
    const names = readFileSync(seen, 'utf8')
      .split('\0')
      .map((entry) => entry.split('=')[0]!)
      .filter(Boolean)
      .sort()
    expect(names).toEqual(
      [
        'KUBECONFIG',
        'KUBERNETES_EXEC_INFO',
        'MIRRORD_CI_JOB',
        'NODE_COMPILE_CACHE',
        'PATH',
        'RUNNER_TEMP',
        'TMPDIR',
      ].sort(),
    )
  })

  it('is told what a template lacks: it has no variable `user`, and USER only where it is set', async () => {
    const file = path.join(cli.folder, 'm.yaml')
    for (const [text, says] of [
      ["key: '{{ user }}'", 'user'],
      ['key: "{{ get_env(name=\'USER\') }}"', 'The environment variable USER is not set'],
    ] as const) {
      writeFileSync(file, `target: pod/x\n${text}\n`)
      const {code, stderr} = await cli.run(['config', 'show', '-f', 'm.yaml'], {env: bare, below: asUnknown})
      expect([code, stderr]).toEqual([exitCodes.configInvalid.code, expect.stringContaining(says)])
      expect(stderr).toContain('m.yaml:2')
    }
    writeFileSync(file, "target: pod/x\nkey: \"{{ get_env(name='USER', default='ci') }}\"\n")
    await works([{args: ['config', 'show', '-f', 'm.yaml'], code: 0, says: 'ci'}], {env: bare, below: asUnknown})
  })
})

describe('a machine whose passwd file is empty', () => {
  it('runs every command without HOME, SHELL, USER and LOGNAME', async () => {
    const options = {env: bare, below: withoutPasswd(cli.folder)}
    await works(rows, options)
    const {code, stderr} = await cli.run(['completion', 'bash'], options)
    expect([code, stderr]).toEqual([exitCodes.permission.code, expect.stringContaining('COMPLETION_FOLDER')])
  })
})

describe('the home directory', () => {
  it('has no say in what code runs: plugins that it names are not loaded', async () => {
    const data = path.join(cli.folder, 'home/.local/share/mirrord')
    const plugin = path.join(cli.folder, 'plugin')
    const loaded = path.join(cli.folder, 'loaded')
    for (const folder of [data, plugin]) mkdirSync(folder, {recursive: true})
    const own = {name: 'plugin', version: '1.0.0', type: 'module', oclif: {hooks: {init: './hook.js'}}}
    writeFileSync(path.join(plugin, 'package.json'), JSON.stringify(own))
    writeFileSync(path.join(plugin, 'oclif.manifest.json'), JSON.stringify({version: '1.0.0', commands: {}}))
    writeFileSync(
      path.join(plugin, 'hook.js'),
      `import {writeFileSync} from 'node:fs'\nexport default () => writeFileSync(${JSON.stringify(loaded)}, '')\n`,
    )
    const user = {oclif: {schema: 1, plugins: [{name: 'plugin', type: 'link', root: plugin}]}}
    writeFileSync(path.join(data, 'package.json'), JSON.stringify(user))
    const {code, stderr} = await cli.run(['ci', 'stop'])
    expect([code, stderr, existsSync(loaded)]).toEqual([0, '', false])
  })
})

const kubeconfig = (command: string) =>
  JSON.stringify({
    clusters: [{name: 'x', cluster: {server: 'https://127.0.0.1:9'}}],
    users: [
      {name: 'x', user: {exec: {apiVersion: 'client.authentication.k8s.io/v1', command, interactiveMode: 'Never'}}},
    ],
    contexts: [{name: 'x', context: {cluster: 'x', user: 'x'}}],
    'current-context': 'x',
  })
