import {execFileSync} from 'node:child_process'
import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {describe, expect, it} from 'vitest'
import {resolveConfig, type ResolveInput} from '../../../src/config/index.ts'
import {MirrordError} from '../../../src/errors/mirrord-error.ts'

const resolve = (text: string, input: Partial<ResolveInput> & {name?: string} = {}) =>
  resolveConfig({
    cwd: '/',
    env: {},
    readFile: async () => text,
    ...input,
    flags: {'config-file': input.name ?? 'm.json', ...input.flags},
  })
const refusal = async (...given: Parameters<typeof resolve>) => {
  const error: unknown = await resolve(...given).catch((thrown: unknown) => thrown)
  if (!(error instanceof MirrordError)) throw new Error('expected a MirrordError', {cause: error})
  return error.report
}
const namespaceOf = async (...given: Parameters<typeof resolve>) => (await resolve(...given)).config.agent.namespace

describe('templates of a file', () => {
  it('[LIF-33] fills in the key, variables of the environment and the branch', async () => {
    const text = `{"agent": {"namespace": "{{ key }}", "log_level": "{{ get_env(name='X', default='y') }}"},
      "kube_context": "{{ git_branch | default(value='none') }}"}`
    const {config} = await resolve(text, {env: {MIRRORD_KEY: 'k1'}})
    expect([config.agent.namespace, config.agent.log_level, config.kube_context]).toEqual(['k1', 'y', 'none'])
    const env = {X: 'z', MIRRORD_BRANCH_NAME: 'topic'}
    const given = (await resolve(text, {env, flags: {key: 'k2'}})).config
    expect([given.agent.namespace, given.agent.log_level, given.kube_context]).toEqual(['k2', 'z', 'topic'])
  })

  it('[LIF-33] refuses a branch that is missing, by file and line, and says how to do without', async () => {
    const report = await refusal('{\n  "kube_context": "{{ git_branch }}"\n}')
    expect(report).toMatchObject({code: 'CONFIG_TEMPLATE', exit: 'configInvalid'})
    expect(report.what).toContain('m.json:2:23')
    expect(report.why).toContain('git_branch | default')
    expect(report.places).toEqual([{file: '/m.json', line: 2, column: 23, message: expect.any(String) as string}])
  })

  it('ends its sentences once', async () => {
    expect((await refusal('{"kube_context": "{{ key | uper }}"}')).why).toMatch(/did you mean "upper"\?$/)
  })

  it('asks git for the branch', async () => {
    const cwd = mkdtempSync(path.join(tmpdir(), 'branch-'))
    try {
      execFileSync('git', ['init', '-q', '-b', 'from-git'], {cwd})
      expect((await resolve('{"kube_context": "{{ git_branch }}"}', {cwd})).config.kube_context).toBe('from-git')
    } finally {
      rmSync(cwd, {recursive: true})
    }
  })

  it.each([
    ['m.json', '{"key": "own-{{ git_branch }}", "agent": {"namespace": "{{ key }}"}}'],
    ['m.json', '{"key": "{{ get_env(name="K", default="own-b") }}", "agent": {"namespace": "{{ key }}"}}'],
    ['m.yaml', "key: {{ 'own-' ~ git_branch }}\nagent: {namespace: '{{ key }}'}"],
    ['m.toml', 'key = "own-{{ git_branch }}"\n[agent]\nnamespace = \'{{ key }}\''],
  ])('takes the key of %s for its other templates: %s', async (name, text) => {
    const {config, key} = await resolve(text, {name, env: {MIRRORD_BRANCH_NAME: 'b'}})
    expect([config.agent.namespace, config.key, key]).toEqual(['own-b', 'own-b', {value: 'own-b', generated: false}])
  })

  it('prefers the flag to the variable to the file for the key', async () => {
    const text = '{"key": "file", "agent": {"namespace": "{{ key }}"}}'
    expect(await namespaceOf(text)).toBe('file')
    expect(await namespaceOf(text, {env: {MIRRORD_KEY: 'env'}})).toBe('env')
    expect(await namespaceOf(text, {env: {MIRRORD_KEY: 'env'}, flags: {key: 'flag'}})).toBe('flag')
  })

  it.each(['{"key": "{{ key }}"}', '{"key": "{{ key ~ "x" }}"}'])('refuses a key made of itself: %s', async (text) => {
    const report = await refusal(text)
    expect(report.code).toBe('CONFIG_TEMPLATE')
    expect(report.why).toContain('cannot be made of itself')
  })

  it('[LIF-34] generates five lower-case hex digits, the same everywhere in a run', async () => {
    const {config, key, origins} = await resolve('{"agent": {"namespace": "{{ key }}"}, "kube_context": "{{ key }}"}')
    expect(key).toEqual({value: expect.stringMatching(/^[0-9a-f]{5}$/) as string, generated: true})
    expect([config.agent.namespace, config.kube_context, config.key]).toEqual([key.value, key.value, key.value])
    expect(origins.get('key')).toBe('generated')
  })

  it('tells lines of the file, not of the rendered text', async () => {
    const text = '{# one\ntwo #}\nagnet: {}\n{% for n in [1, 2] %}\n{% endfor %}\nagent:\n  tttl: 1\n'
    const {detail} = await refusal(text, {name: 'm.yaml'})
    expect(detail).toContain('agnet (file m.yaml:3)')
    expect(detail).toContain('agent.tttl (file m.yaml:7)')
  })

  it('never shows a value that a template filled in, and says that one may be at fault', async () => {
    const report = await refusal('{\n"kube_context": "{{ get_env(name=\'S\') }}"}', {env: {S: 'canary"canary'}})
    expect(report).toMatchObject({code: 'CONFIG_SYNTAX'})
    expect(report.what).toContain('m.json:2')
    expect(report.next.join()).toContain('templates')
    expect(JSON.stringify(report)).not.toContain('canary')
  })
})

describe('the environment', () => {
  const text = '{"agent": {"ttl": 2}}'
  it('sets nothing in strict mode but what is allowed', async () => {
    const env = {MIRRORD_AGENT_TTL: '7', MIRRORD_AGENT_NAMESPACE: 'n', MIRRORD_CONFIG_FILE: 'm.json'}
    const ttl = async (more: Record<string, string>) => {
      const flags = {'config-file': undefined}
      const {config, file} = await resolve(text, {flags, env: {...env, ...more}})
      return [config.agent.ttl, config.agent.namespace, file]
    }
    expect(await ttl({})).toEqual([7, 'n', 'm.json'])
    expect(await ttl({MIRRORD_CLI_STRICT_ENV: '0'})).toEqual([7, 'n', 'm.json'])
    expect(await ttl({MIRRORD_CLI_STRICT_ENV: '1'})).toEqual([1, undefined, undefined])
    const list = 'MIRRORD_CONFIG_FILE, MIRRORD_AGENT_NAMESPACE'
    expect(await ttl({MIRRORD_CLI_STRICT_ENV: 'true', MIRRORD_CLI_STRICT_ENV_ALLOWLIST: list})).toEqual([
      2,
      'n',
      'm.json',
    ])
  })
})

describe('formats and keys', () => {
  it.each(['m.json', 'm', 'm.yaml', 'm.toml'])(
    '[LIF-31] names an unknown key of %s and accepts $schema',
    async (name) => {
      const text = (key: string) =>
        name === 'm.toml' ? `"$schema" = "s"\n[${key}]\n` : `{"$schema": "s",\n"${key}": {}}`
      expect((await resolve(text('feature'), {name})).file).toBe(name)
      const report = await refusal(text('featur'), {name})
      expect(report.why).toContain(`featur (file ${name}:2): is not a known key; did you mean "feature"?`)
      expect((await refusal(text('feature').replace('"s"', '1'), {name})).why).toContain('$schema must be a string')
    },
  )
})
