import {describe, expect, it} from 'vitest'
import {explain, resolveConfig, resolvedFile, rootSection} from '../../../src/config/index.ts'
import {leaves, valueAt} from '../../../src/config/meta.ts'

const load = (file: unknown, flags: Record<string, unknown> = {}, env = {}) =>
  resolveConfig({
    flags: {...flags, 'config-file': 'm.json'},
    env,
    cwd: '/work',
    readFile: async () => JSON.stringify(file, undefined, 1),
  })

const fileAt = (key: string) => {
  const lines = JSON.stringify(full, undefined, 1).split('\n')
  return `file m.json:${lines.findIndex((line) => line.includes(`"${key}"`)) + 1}`
}

const full = {
  target: {deployment: 'shop', container: 'web', namespace: 'n'},
  agent: {image: {tag: '1'}, tolerations: [{operator: 'Exists'}], resources: {limits: {cpu: 1}}, labels: {a: 'b'}},
  feature: {
    env: {include: 'A;B', override: {X: '1'}, unset: ['Y']},
    fs: {mode: 'write', read_only: '^/a', mapping: {'^/b': '/c'}},
    network: {incoming: {mode: 'steal', ports: [80]}, outgoing: {udp: false, unix_streams: 'x'}, dns: false},
    copy_target: false,
  },
  ci: {
    log_max: '10M',
    output_dir: 'out',
    ready: {
      tcp: [80, '[::1]:8080'],
      http: [':80/x', ':80/y=204', {url: ':80/z', status: '2xx,404'}],
      log: 'up',
      exec: ['true'],
    },
  },
}

describe('explain', () => {
  it('tells key, value and origin of every key', async () => {
    const rows = explain(await load(full, {'no-outgoing': true}, {MIRRORD_AGENT_TTL: '7'}))
    expect(rows.map(({key}) => key)).toEqual([...leaves(rootSection)].map(({path}) => path.join('.')))
    expect(rows).toEqual(
      expect.arrayContaining([
        {key: 'agent.ttl', value: '7', origin: 'env MIRRORD_AGENT_TTL'},
        {key: 'feature.network.outgoing.tcp', value: 'false', origin: 'flag --no-outgoing'},
        {key: 'feature.env.include', value: '["A","B"]', origin: fileAt('include')},
        {key: 'feature.fs.mode', value: 'write', origin: fileAt('mode')},
        {key: 'target.path', value: 'deployment/shop/container/web', origin: 'file m.json:2'},
        {key: 'agent.startup_timeout', value: '60', origin: 'default'},
        {key: 'feature.env.exclude', value: '', origin: 'default'},
      ]),
    )
  })

  it('masks what looks like a secret', async () => {
    const override = {DB_PASSWORD: 'canary-1', URL: 'https://user:canary-2@db/', API_KEY: 'canary-3', LEVEL: 'info'}
    const resolved = await load({feature: {env: {override}}})
    const text = JSON.stringify([explain(resolved), resolvedFile(resolved.config, {mask: true})])
    expect(text).not.toContain('canary')
    expect(text).toContain('info')
    expect(JSON.stringify(resolvedFile(resolved.config))).toContain('canary-1')
  })
})

describe('resolvedFile', () => {
  it.each([
    ['nothing', {}],
    ['much', full],
    ['everything off', {target: 'pod/x', feature: {network: false, fs: false, env: false}}],
    ['no target in particular', {target: 'targetless'}],
  ])('is a file that resolves to the same: %s', async (_name, file) => {
    const {config} = await load(file)
    const again = await load(resolvedFile(config))
    expect(again.config).toEqual(config)
    expect(again.warnings).toEqual([])
  })

  it('holds every key, null where it is not set', async () => {
    const file = resolvedFile((await load({})).config)
    for (const {path} of leaves(rootSection)) expect(valueAt(file, path), path.join('.')).not.toBeUndefined()
    expect(valueAt(file, ['agent', 'namespace'])).toBeNull()
  })
})
