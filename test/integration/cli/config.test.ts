import {execFileSync} from 'node:child_process'
import {readdirSync, readFileSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {describe, expect, it} from 'vitest'
import {exitCodes} from '../../../src/errors/exit-codes.ts'
import {useCli} from './harness.ts'

// The commands that look at the configuration; none of them needs a cluster.
const cli = useCli()
const mirrord = cli.run

interface Verdict {
  type: 'Success' | 'Fail'
  config?: {path: unknown; namespace: string | null}
  warnings?: string[]
  compatible_target_types?: string[]
  resolved_config?: Record<string, unknown>
  errors?: string[]
}

const file = (name: string, content: unknown) => {
  writeFileSync(path.join(cli.folder, name), typeof content === 'string' ? content : JSON.stringify(content))
  return name
}

async function verified(args: string[], options: Parameters<typeof mirrord>[1] = {}) {
  const {code, stdout, stderr} = await mirrord(['verify-config', ...args], options)
  return {code, stderr, verdict: JSON.parse(stdout) as Verdict}
}

const kinds = ['targetless', 'pod', 'deployment', 'rollout', 'job', 'cronjob', 'statefulset', 'service', 'replicaset']

describe('[LIF-17] verify-config', () => {
  it.each([
    ['an object', {deployment: 'web', container: 'app'}, {deployment: 'web', container: 'app'}],
    ['a text', 'pod/web-0', {pod: 'web-0', container: null}],
    ['targetless', 'targetless', 'targetless'],
  ])('tells the target and what it would be warned of: %s', async (_name, target, shown) => {
    const name = file('m.json', {target: {path: target, namespace: 'shop'}})
    const {code, stderr, verdict} = await verified([name])
    expect([code, stderr]).toEqual([0, ''])
    expect(verdict).toEqual({
      type: 'Success',
      config: {path: shown, namespace: 'shop'},
      warnings: expect.any(Array) as unknown,
      compatible_target_types: kinds,
    })
  })

  it('tells what it warns of together with what is wrong, in the object and on stderr, as a start does', async () => {
    const name = file('m.json', {target: 'pod/x', agent: {ttl: -1}, api: false})
    const warning = `api (file ${name}:1) has no effect: the session always has its own control socket.`
    const {stderr, verdict} = await verified([name])
    expect(verdict.warnings).toEqual([warning])
    const start = await mirrord(['ci', 'start', '-f', name, '--', 'true'])
    const json = await mirrord(['ci', 'start', '-f', name, '--', 'true'], {env: {MIRRORD_PROGRESS_MODE: 'json'}})
    const events = json.stderr.split('\n').filter((line) => line !== '')
    expect(events.map((line) => JSON.parse(line) as unknown)).toEqual([
      {type: 'Warning', message: warning},
      expect.objectContaining({
        type: 'FinishedTask',
        success: false,
        message: expect.not.stringContaining('!') as unknown,
      }),
    ])
    for (const text of [stderr, start.stderr]) {
      expect(text.indexOf(`! ${warning}\n`)).toBeGreaterThanOrEqual(0)
      expect(text.indexOf(`! ${warning}\n`)).toBeLessThan(text.indexOf('Error:'))
    }
  })

  it('fails with everything that is wrong, on both streams, and an exit code of its own', async () => {
    const name = file('m.json', {tarket: 'pod/x', feature: {network: {dns: 3}}, agent: {ttl: -1}})
    for (const args of [[name], ['--ide', name], [name, '--resolved']]) {
      const {code, stderr, verdict} = await verified(args)
      expect([code, verdict.type]).toEqual([exitCodes.configInvalid.code, 'Fail'])
      expect(verdict.errors!.map((text) => text.split(' ')[0]).sort()).toEqual([
        'agent.ttl',
        'feature.network.dns',
        'tarket',
      ])
      for (const text of verdict.errors!) expect(stderr).toContain(text)
    }
  })

  it('a file that is not there, that is no JSON, and what is not done yet', async () => {
    expect(await verified(['nowhere.json'])).toMatchObject({
      code: exitCodes.configNotFound.code,
      verdict: {type: 'Fail', errors: [expect.stringContaining('nowhere.json')]},
    })
    expect(await verified([file('m.json', '{')])).toMatchObject({code: exitCodes.configInvalid.code})
    const later = file('later.json', {target: 'pod/x', feature: {network: {incoming: 'mirror'}}})
    expect(await verified([later])).toMatchObject({code: exitCodes.configUnsupported.code, verdict: {type: 'Fail'}})
  })

  it('without a path is a usage error', async () => {
    for (const args of [[], ['--ide']]) {
      const {code, stdout} = await mirrord(['verify-config', ...args])
      expect([code, stdout]).toEqual([exitCodes.usage.code, ''])
    }
  })

  it('judges a file without a target as one without, but for editors, where it is chosen later', async () => {
    const name = file('m.json', {feature: {network: {incoming: 'steal'}}})
    const plain = await verified([name])
    expect([plain.code, plain.verdict.errors]).toEqual([30, [expect.stringContaining('feature.network.incoming.mode')]])
    const {code, verdict} = await verified(['--ide', name, '--resolved'])
    expect([code, verdict]).toMatchObject([0, {type: 'Success', config: {path: null, namespace: null}, warnings: []}])
    expect(verdict.resolved_config).toMatchObject({
      target: {path: null},
      feature: {network: {incoming: {mode: 'steal'}}},
    })
  })

  it('reads standard input as -', async () => {
    const {code, verdict} = await verified(['-'], {stdin: '{"target": "pod/x"}'})
    expect([code, verdict.config]).toEqual([0, {path: {pod: 'x', container: null}, namespace: null}])
  })

  it('counts variables of the environment in', async () => {
    const name = file('m.json', {target: 'pod/x'})
    const {verdict} = await verified([name], {env: {MIRRORD_IMPERSONATED_TARGET: 'deployment/y'}})
    expect(verdict.config!.path).toEqual({deployment: 'y', container: null})
    expect((await verified([name], {env: {MIRRORD_REMOTE_DNS: 'yes'}})).code).toBe(exitCodes.configInvalid.code)
  })

  it('--resolved: a file again, which means the same', async () => {
    const name = file('m.json', {target: 'pod/x', feature: {fs: 'local', env: {include: 'A;B'}}, agent: {ttl: 7}})
    const first = (await verified([name, '--resolved'])).verdict.resolved_config!
    const again = await verified([file('again.json', first), '--resolved'])
    expect([again.code, again.verdict.resolved_config]).toEqual([0, first])
  })

  it('--explain: a table with where each value comes from', async () => {
    const name = file('m.yaml', 'target: pod/x\nfeature:\n  env:\n    override: {API_TOKEN: s3cret}\n')
    const env = {MIRRORD_AGENT_TTL: '9'}
    const {code, stdout} = await mirrord(['verify-config', name, '--explain'], {env})
    expect(code).toBe(0)
    expect(stdout).toMatch(/^KEY +VALUE +ORIGIN\n/)
    expect(stdout).toMatch(/^target\.path +pod\/x +file m\.yaml:1$/m)
    expect(stdout).toMatch(/^agent\.ttl +9 +env MIRRORD_AGENT_TTL$/m)
    expect(stdout).toMatch(/^feature\.fs\.mode +read +default$/m)
    expect(stdout).not.toContain('s3cret')
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThan(200)
  })
})

describe('config show', () => {
  it('shows what a start with the same words would run with', async () => {
    const name = file('m.json', {target: 'pod/x', agent: {ttl: 5}})
    const words = ['-f', name, '-t', 'deployment/y', '--no-outgoing', '--', 'node', 'app.js', '-t', 'z']
    const {code, stdout, stderr} = await mirrord(['config', 'show', ...words])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^target\.path +deployment\/y +flag --target$/m)
    expect(stdout).toMatch(/^agent\.ttl +5 +file m\.json:1$/m)
    expect(stdout).toMatch(/^feature\.network\.outgoing\.tcp +false +flag --no-outgoing$/m)
    expect(stdout).toMatch(/^feature\.network\.incoming\.mode +steal +default$/m)
  })

  it.each(['json', 'yaml'])('as %s, without secrets', async (form) => {
    const name = file('m.json', {target: 'pod/x', feature: {env: {override: {API_TOKEN: 's3cret', PLAIN: 'text'}}}})
    const {code, stdout} = await mirrord(['config', 'show', '-f', name, `--${form}`])
    expect(code).toBe(0)
    expect(stdout).not.toContain('s3cret')
    expect(stdout).toContain('text')
    if (form === 'json')
      expect(JSON.parse(stdout)).toMatchObject({
        file: 'm.json',
        config: {feature: {env: {override: {API_TOKEN: '***', PLAIN: 'text'}}}},
        origins: {'feature.env.override': 'file m.json:1'},
        warnings: [],
      })
    else expect(stdout).toContain('API_TOKEN: "***"')
  })

  it('fails like the start', async () => {
    const name = file('m.json', {tarket: 1})
    const {code, stdout, stderr} = await mirrord(['config', 'show', '-f', name, '--json'])
    expect([code, JSON.parse(stdout)]).toMatchObject([30, {error: {code: 'CONFIG_INVALID', exit: 30}}])
    expect(stderr).toContain('tarket')
    expect((await mirrord(['config', 'show', '--nope'])).code).toBe(2)
  })
})

describe('completion', () => {
  const cache = () => path.join(cli.folder, 'home/.cache/mirrord/autocomplete')

  it.each(['bash', 'zsh', 'powershell'])('writes the files and says what to do for %s', async (shell) => {
    const {code, stdout} = await mirrord(['completion', shell])
    expect(code).toBe(0)
    expect(stdout).toContain(`mirrord autocomplete script ${shell}`)
    expect(readFileSync(path.join(cache(), 'functions/bash/mirrord.bash'), 'utf8')).toContain('ci:start --target')
    const script = await mirrord(['autocomplete', 'script', shell])
    expect([script.code, script.stdout]).toEqual([0, expect.stringContaining(cache())])
  })

  it.each([
    [['ci', 'st'], 'start status stop'],
    [['ci', 'start', '--targ'], '--target --target-namespace'],
    [['verify-config', '--'], '--ide --resolved --explain'],
  ])('completes %j in bash', async (words, completed) => {
    await mirrord(['completion', 'bash'])
    const script = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mirrord_autocomplete; echo "\${COMPREPLY[*]}"`
    const functions = path.join(cache(), 'functions/bash/mirrord.bash')
    expect(execFileSync('bash', ['-c', script, 'bash', functions, 'mirrord', ...words], {encoding: 'utf8'})).toBe(
      `${completed}\n`,
    )
  })

  it('takes the shell from SHELL, and refuses one that it has no files for', async () => {
    expect(await mirrord(['completion'], {env: {SHELL: '/bin/zsh'}})).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('script zsh') as unknown,
    })
    expect((await mirrord(['completion'], {env: {SHELL: '/usr/bin/fish'}})).code).toBe(2)
    expect((await mirrord(['completion', 'fish'])).code).toBe(2)
  })

  it('is the only command that writes there', async () => {
    for (const args of [['--help'], ['--version'], ['ci', 'stop'], ['verify-config', '-'], ['help']])
      await mirrord(args, {stdin: '{}'})
    expect(readdirSync(path.join(cli.folder, 'home'))).toEqual([])
  })
})
