import {describe, expect, it} from 'vitest'
import {resolveConfig, skipNames, type ResolveInput} from '../../../src/config/index.ts'
import {MirrordError} from '../../../src/errors/mirrord-error.ts'

const resolve = (file: unknown, input: Partial<ResolveInput> = {}) =>
  resolveConfig({
    env: {},
    cwd: '/work',
    readFile: async () => JSON.stringify(file),
    ...input,
    flags: {target: 'pod/x', 'config-file': 'm.json', ...input.flags},
  })
const refusal = async (...given: Parameters<typeof resolve>) => {
  const error: unknown = await resolve(...given).catch((thrown: unknown) => thrown)
  if (!(error instanceof MirrordError)) throw new Error('expected a MirrordError', {cause: error})
  return error.report
}

describe('feature.fs', () => {
  it.each([
    ['read', 'read'],
    [true, 'read'],
    [false, 'local'],
    ['localwithoverrides', 'localwithoverrides'],
    [{mode: 'write'}, 'write'],
  ])('takes %j for mode %s', async (fs, mode) => {
    expect((await resolve({feature: {fs}})).config.feature.fs.mode).toBe(mode)
  })

  it('takes a pattern or a list of them, and those of variables separated by ";"', async () => {
    const {config, origins} = await resolve(
      {feature: {fs: {read_write: '^/a;b', local: ['x', 'y;z'], not_found: ['n'], mapping: {'^/(a)': '/b$1'}}}},
      {env: {MIRRORD_FILE_READ_ONLY_PATTERN: '^/c$;^/d', MIRRORD_FILE_LOCAL_PATTERN: 'l;'}},
    )
    expect(config.feature.fs).toMatchObject({
      mode: 'read',
      read_write: ['^/a;b'],
      read_only: ['^/c$', '^/d'],
      local: ['l'],
      not_found: ['n'],
      mapping: {'^/(a)': '/b$1'},
    })
    expect(origins.get('feature.fs.read_only')).toBe('env MIRRORD_FILE_READ_ONLY_PATTERN')
  })

  it('takes an empty variable for no pattern: an empty pattern would match everything', async () => {
    const {config} = await resolve({}, {env: {MIRRORD_FILE_READ_WRITE_PATTERN: ''}})
    expect(config.feature.fs.read_write).toEqual([])
  })

  it.each([
    [{'fs-mode': 'local-with-overrides'}, {MIRRORD_FILE_MODE: 'read'}, 'localwithoverrides', 'flag --fs-mode'],
    [{}, {MIRRORD_FILE_MODE: 'read', MIRRORD_FILE_OPS: 'true'}, 'read', 'env MIRRORD_FILE_MODE'],
    [{}, {MIRRORD_FILE_OPS: 'true', MIRRORD_FILE_RO_OPS: 'true'}, 'write', 'env MIRRORD_FILE_OPS'],
    [{}, {MIRRORD_FILE_OPS: 'false', MIRRORD_FILE_RO_OPS: 'true'}, 'read', 'env MIRRORD_FILE_RO_OPS'],
    [{}, {MIRRORD_FILE_RO_OPS: 'false'}, 'local', 'env MIRRORD_FILE_RO_OPS'],
    [{}, {}, 'localwithoverrides', 'file m.json:1'],
  ])('reads %j and %j as mode %s', async (flags, env, mode, origin) => {
    const {config, origins} = await resolve({feature: {fs: 'localwithoverrides'}}, {flags, env})
    expect([config.feature.fs.mode, origins.get('feature.fs.mode')]).toEqual([mode, origin])
  })

  it('refuses an older variable that is neither true nor false', async () => {
    expect((await refusal({}, {env: {MIRRORD_FILE_OPS: 'yes'}})).why).toContain(
      'feature.fs.mode (env MIRRORD_FILE_OPS): expected true or false.',
    )
  })

  it.each([
    [
      'feature.fs.read_only.1',
      {feature: {fs: {read_only: ['fine', '(?=x)']}}},
      'the pattern',
      'look-around is not supported',
    ],
    ['feature.fs.read_write', {feature: {fs: {read_write: '*'}}}, 'the pattern', 'nothing before "*" to repeat'],
    ['feature.fs.not_found', {feature: {fs: {not_found: '[a'}}}, 'the pattern', 'class is not closed'],
    ['feature.fs.mapping', {feature: {fs: {mapping: {'(a': 'b'}}}}, 'the pattern', 'group is not closed'],
    [
      'feature.network.outgoing.unix_streams',
      {feature: {network: {outgoing: {unix_streams: '\\q'}}}},
      'the pattern',
      'escape',
    ],
  ])('refuses a pattern of %s that cannot be used, without quoting it', async (key, file, subject, reason) => {
    const report = await refusal(file)
    expect([report.code, report.exit]).toEqual(['CONFIG_INVALID', 'configInvalid'])
    for (const part of [`${key} (file m.json:1)`, `${subject} cannot be used`, reason])
      expect(report.why).toContain(part)
    expect(report.next.join()).toContain(key)
  })

  it('names the variable that a pattern comes from', async () => {
    const report = await refusal({}, {env: {MIRRORD_FILE_LOCAL_PATTERN: 'a;(b'}})
    expect(report.why).toContain('feature.fs.local.1 (env MIRRORD_FILE_LOCAL_PATTERN): the pattern cannot be used')
  })

  it('accepts the size of the read-ahead buffer, and says that it changes nothing', async () => {
    const {warnings} = await resolve({feature: {fs: {readonly_file_buffer: 0}}})
    expect(warnings).toEqual([expect.stringContaining('feature.fs.readonly_file_buffer (file m.json:1) has no effect')])
  })

  it('takes only what patterns name without a target', async () => {
    const file = {feature: {fs: 'read'}}
    const without = await resolve(file, {flags: {target: undefined}})
    expect(without.config.feature.fs.mode).toBe('localwithoverrides')
    expect(without.warnings).toEqual([
      expect.stringContaining('feature.fs.mode (file m.json:1) counts as "localwithoverrides"'),
    ])
    const targetless = await resolve(file, {flags: {target: 'targetless'}})
    expect([targetless.config.feature.fs.mode, targetless.warnings]).toEqual(['read', []])
    expect((await resolve({}, {flags: {target: undefined}})).config.feature.fs.mode).toBe('localwithoverrides')
    const local = await resolve({feature: {fs: 'local'}}, {flags: {target: undefined}})
    expect([local.config.feature.fs.mode, local.warnings]).toEqual(['local', []])
  })
})

describe('the other keys of interception', () => {
  it('shows the target’s host name unless told otherwise', async () => {
    expect((await resolve({})).config.feature.hostname).toBe(true)
    expect((await resolve({feature: {hostname: false}})).config.feature.hostname).toBe(false)
  })

  it('takes patterns of unix sockets', async () => {
    const outgoing = {unix_streams: '^/run/x\\.sock$'}
    expect((await resolve({feature: {network: {outgoing}}})).config.feature.network.outgoing.unix_streams).toEqual([
      '^/run/x\\.sock$',
    ])
    const env = {MIRRORD_OUTGOING_REMOTE_UNIX_STREAMS: 'a;b'}
    expect((await resolve({}, {env})).config.feature.network.outgoing.unix_streams).toEqual(['a', 'b'])
  })

  const debuggerWorker = '*JetBrains.Debugger.Worker'
  it('skips build tools, more of them, and processes by name', async () => {
    const names = skipNames((await resolve({})).config)
    expect(names).toEqual(expect.arrayContaining(['go', 'cargo', 'gcc', 'git', 'jspawnhelper', 'cc1', 'collect2']))
    expect(names).toEqual(
      expect.arrayContaining(['npm install', 'npm i', 'npm ci', 'npm add', 'yarn ', 'yarn install']),
    )
    expect(names).toEqual(expect.arrayContaining(['yarn add', 'pnpm install', 'pnpm i', 'pnpm add', debuggerWorker]))
    expect(names).toHaveLength(34)
    const more = {skip_extra_build_tools: 'bazel', skip_processes: ['go', 'helper']}
    expect(skipNames((await resolve(more)).config)).toEqual([...names.slice(0, -1), 'bazel', 'helper', debuggerWorker])
    expect(skipNames((await resolve({...more, skip_build_tools: false})).config)).toEqual([
      'go',
      'helper',
      debuggerWorker,
    ])
  })

  it('takes those names from variables and the flag, separated by ";"', async () => {
    const env = {MIRRORD_SKIP_BUILD_TOOLS: 'false', MIRRORD_SKIP_PROCESSES: 'a;b', MIRRORD_SKIP_EXTRA_BUILD_TOOLS: 'c'}
    expect(skipNames((await resolve({}, {env})).config)).toEqual(['a', 'b', debuggerWorker])
    expect(skipNames((await resolve({}, {env, flags: {'skip-processes': 'd;e'}})).config)).toEqual([
      'd',
      'e',
      debuggerWorker,
    ])
    expect(skipNames((await resolve({}, {env: {...env, MIRRORD_SKIP_BUILD_TOOLS: 'true'}})).config)).toContain('c')
  })
})
