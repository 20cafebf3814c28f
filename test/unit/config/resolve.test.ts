import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from 'vitest'
import {resolveConfig, type ResolveInput} from '../../../src/config/index.ts'
import {MirrordError, type ErrorReport} from '../../../src/errors/mirrord-error.ts'

const resolve = (input: Partial<ResolveInput> & {text?: string; name?: string}) => {
  const {text, name = 'm.json', flags = {}, ...rest} = input
  return resolveConfig({
    flags: text === undefined ? flags : {...flags, 'config-file': name},
    env: {},
    cwd: '/work',
    readFile: async () => text ?? '',
    ...rest,
  })
}

const refusal = async (input: Parameters<typeof resolve>[0]): Promise<ErrorReport> => {
  const error = await resolve(input).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof MirrordError)) throw new Error('expected a MirrordError', {cause: error})
  return error.report
}

describe('defaults', () => {
  it('fills in what upstream documents', async () => {
    const {config, warnings, file, origins} = await resolve({})
    expect(config.agent).toMatchObject({
      image: 'ghcr.io/metalbear-co/mirrord:3.250.0',
      image_pull_policy: 'IfNotPresent',
      log_level: 'info',
      ttl: 1,
      startup_timeout: 60,
      flush_connections: true,
      disable_mesh_sidecar_injection: true,
      external_ip_fix: true,
    })
    expect(config.agent.tolerations).toBeUndefined()
    expect(config.feature.network).toMatchObject({outgoing: {tcp: true, udp: true}, dns: {enabled: true}})
    expect(config.startup_retry).toEqual({min_ms: 500, max_ms: 5000, max_retries: 2})
    expect(config.internal_proxy.ping_interval).toBe(30)
    expect({warnings, file}).toEqual({warnings: [], file: undefined})
    expect([...origins].filter(([, origin]) => origin !== 'default')).toEqual([['key', 'generated']])
  })

  it('reads files from the target and tells that this is a default', async () => {
    const {config, origins} = await resolve({flags: {target: 'pod/x'}})
    expect([config.feature.fs.mode, origins.get('feature.fs.mode')]).toEqual(['read', 'default'])
  })

  it('steals with a target, and takes nothing without one', async () => {
    expect((await resolve({flags: {target: 'pod/x'}})).config.feature.network.incoming.mode).toBe('steal')
    expect((await resolve({})).config.feature.network.incoming.mode).toBe('off')
    expect((await resolve({flags: {target: 'targetless'}})).config.feature.network.incoming.mode).toBe('off')
  })

  it('says that mirroring, the default of other commands, comes later', async () => {
    const report = await refusal({flags: {target: 'pod/x'}, incomingDefault: 'mirror'})
    expect(report.exit).toBe('configUnsupported')
    expect(report.why).toContain('feature.network.incoming.mode')
  })

  it('warns about a mode that was asked for without a target', async () => {
    const {config, warnings} = await resolve({flags: {steal: true}})
    expect(config.feature.network.incoming.mode).toBe('off')
    expect(warnings).toEqual([expect.stringContaining('flag --steal')])
  })
})

describe('precedence', () => {
  const text = '{\n  "agent": {"ttl": 7, "namespace": "file"},\n  "target": "pod/file"\n}'

  it('is flag over environment over file, key by key, and keeps each origin', async () => {
    const {config, origins, file} = await resolve({
      text,
      flags: {target: 'pod/flag'},
      env: {MIRRORD_IMPERSONATED_TARGET: 'pod/env', MIRRORD_AGENT_NAMESPACE: 'env'},
    })
    expect(config.target.path).toEqual({kind: 'pod', name: 'flag'})
    expect([config.agent.namespace, config.agent.ttl]).toEqual(['env', 7])
    expect(origins.get('target.path')).toBe('flag --target')
    expect(origins.get('agent.namespace')).toBe('env MIRRORD_AGENT_NAMESPACE')
    expect(origins.get('agent.ttl')).toBe('file m.json:2')
    expect(origins.get('agent.startup_timeout')).toBe('default')
    expect(file).toBe('m.json')
  })

  it('takes the file from the environment when no flag names one', async () => {
    const {origins} = await resolve({env: {MIRRORD_CONFIG_FILE: 'other.json'}, readFile: async () => text})
    expect(origins.get('agent.ttl')).toBe('file other.json:2')
  })

  it('treats null as left out', async () => {
    const {config, origins} = await resolve({text: '{"agent": {"ttl": null}, "target": null, "feature": null}'})
    expect([config.agent.ttl, origins.get('agent.ttl')]).toEqual([1, 'default'])
  })

  it.each([
    ['all of the parts from the environment', {}, {REGISTRY: 'r.example/a', TAG: '9'}, 'r.example/a:9'],
    ['a part of the file before the variable', {image: {tag: 'f'}}, {TAG: '9'}, 'ghcr.io/metalbear-co/mirrord:f'],
    ['a full reference of the file before the parts', {image: 'full:1'}, {TAG: '9'}, 'full:1'],
  ])('composes the image: %s', async (_name, agent, parts, image) => {
    const env = Object.fromEntries(Object.entries(parts).map(([key, value]) => [`MIRRORD_AGENT_IMAGE_${key}`, value]))
    expect((await resolve({text: JSON.stringify({agent}), env})).config.agent.image).toBe(image)
  })

  it('puts MIRRORD_AGENT_IMAGE before everything but the flag', async () => {
    const env = {MIRRORD_AGENT_IMAGE: 'env:1', MIRRORD_AGENT_IMAGE_TAG: '9'}
    expect((await resolve({text: '{"agent": {"image": "file:1"}}', env})).config.agent.image).toBe('env:1')
    expect((await resolve({env, flags: {'agent-image': 'flag:1'}})).config.agent.image).toBe('flag:1')
  })
})

describe('short forms', () => {
  it.each([
    ['true', {mode: 'steal'}],
    ['false', {mode: 'off'}],
    ['"off"', {mode: 'off'}],
    ['"steal"', {mode: 'steal'}],
    ['{"ports": [80, 8080]}', {mode: 'steal', ports: [80, 8080]}],
    ['{"mode": "off", "http_filter": false, "port_mapping": []}', {mode: 'off'}],
  ])('incoming: %s', async (value, expected) => {
    const text = `{"target": "pod/x", "feature": {"network": {"incoming": ${value}}}}`
    expect((await resolve({text})).config.feature.network.incoming).toMatchObject(expected)
  })

  it('network false switches all of it off, and a variable still applies on top', async () => {
    const {config} = await resolve({
      text: '{"target": "pod/x", "feature": {"network": false}}',
      env: {MIRRORD_TCP_OUTGOING: 'true'},
    })
    expect(config.feature.network).toMatchObject({
      incoming: {mode: 'off'},
      outgoing: {tcp: true, udp: false},
      dns: {enabled: false},
    })
  })

  it('env false excludes everything', async () => {
    expect((await resolve({text: '{"feature": {"env": false}}'})).config.feature.env).toMatchObject({exclude: ['*']})
  })

  it.each([
    ['"pod/a/container/c"', {path: {kind: 'pod', name: 'a', container: 'c'}}],
    ['{"path": "deploy/a", "namespace": "n"}', {path: {kind: 'deployment', name: 'a'}, namespace: 'n'}],
    ['{"pod": "a", "container": "c"}', {path: {kind: 'pod', name: 'a', container: 'c'}}],
    ['{"deployment": "a", "namespace": "n"}', {path: {kind: 'deployment', name: 'a'}, namespace: 'n'}],
    ['{"path": {"pod": "a"}}', {path: {kind: 'pod', name: 'a'}}],
    ['{"namespace": "n"}', {namespace: 'n'}],
  ])('target: %s', async (value, expected) => {
    expect((await resolve({text: `{"target": ${value}}`})).config.target).toEqual(expected)
  })

  it('splits patterns of names at semicolons', async () => {
    const text = '{"feature": {"env": {"include": ["A;B", "C"], "override": {"X": "1;2"}, "unset": "U"}}}'
    expect((await resolve({text})).config.feature.env).toMatchObject({
      include: ['A', 'B', 'C'],
      override: {X: '1;2'},
      unset: ['U'],
    })
  })
})

describe('flags and variables', () => {
  it.each([
    [{'no-outgoing': true}, {outgoing: {tcp: false, udp: false}}],
    [{'no-tcp-outgoing': true}, {outgoing: {tcp: false, udp: true}}],
    [{'no-udp-outgoing': true, 'no-outgoing': false}, {outgoing: {tcp: true, udp: false}}],
    [{'no-remote-dns': true}, {dns: {enabled: false}}],
  ])('%j', async (flags, network) => {
    expect((await resolve({flags})).config.feature.network).toMatchObject(network)
  })

  it.each([
    ['true', 'steal'],
    ['false', 'off'],
    ['steal', 'steal'],
    ['off', 'off'],
  ])('MIRRORD_AGENT_TCP_STEAL_TRAFFIC=%s', async (value, mode) => {
    const env = {MIRRORD_AGENT_TCP_STEAL_TRAFFIC: value, MIRRORD_IMPERSONATED_TARGET: 'pod/x'}
    expect((await resolve({env})).config.feature.network.incoming.mode).toBe(mode)
  })

  it('takes a boolean flag that is false as not given, and one with a value as said', async () => {
    const env = {MIRRORD_ACCEPT_INVALID_CERTIFICATES: 'true'}
    const {config} = await resolve({env, flags: {'accept-invalid-certificates': false, steal: false}})
    expect(config.accept_invalid_certificates).toBe(false)
    expect((await resolve({env})).warnings).toEqual([expect.stringContaining('not verified')])
  })

  it.each([
    ['MIRRORD_AGENT_TTL', '1.5'],
    ['MIRRORD_AGENT_TTL', ''],
    ['MIRRORD_AGENT_TTL', '70000'],
    ['MIRRORD_REMOTE_DNS', '1'],
    ['MIRRORD_REMOTE_DNS', 'True'],
    ['MIRRORD_AGENT_NAMESPACE', ''],
    ['MIRRORD_TARGET_NAMESPACE', '../kube-system'],
    ['MIRRORD_AGENT_TCP_STEAL_TRAFFIC', 'yes'],
    ['MIRRORD_AGENT_IMAGE_PULL_POLICY', 'always'],
    ['MIRRORD_IMPERSONATED_TARGET', 'web'],
  ])('[LIF-30] refuses %s=%j and names the variable', async (name, value) => {
    const report = await refusal({env: {[name]: value}})
    expect([report.code, report.exit]).toEqual(['CONFIG_INVALID', 'configInvalid'])
    expect(report.why).toContain(`env ${name}`)
  })
})

describe('refusals', () => {
  it('reports every unknown key and wrong type at once, with path, line and the nearest key', async () => {
    const {what, detail, exit} = await refusal({
      text: [
        '{"agnet": {},',
        ' "agent": {"imagee": "a", "ttl": "5",',
        '  "image": {"regstry": "x"}, "tolerations": [{"keyy": "k"}]},',
        ' "feature": {"outgoing": true, "env": [1]}}',
      ].join('\n'),
    })
    expect(exit).toBe('configInvalid')
    expect(what).toContain('7 places')
    expect(detail?.split('\n').sort()).toEqual([
      'agent.image.regstry (file m.json:3): is not a known key; did you mean "registry"?',
      'agent.imagee (file m.json:2): is not a known key; did you mean "image"?',
      'agent.tolerations.0.keyy (file m.json:3): is not a known key; did you mean "key"?',
      'agent.ttl (file m.json:2): expected a whole number; found a string.',
      'agnet (file m.json:1): is not a known key; did you mean "agent"?',
      'feature.env (file m.json:4): expected an object, or true, false; found a list.',
      'feature.outgoing (file m.json:4): is not a known key here; did you mean "feature.network.outgoing"?',
    ])
  })

  it('reports even keys that are special in JavaScript', async () => {
    const {detail} = await refusal({text: '{"__proto__": 1, "constructor": 2, "agent": {"hasOwnProperty": 3}}'})
    expect(detail).toContain('__proto__')
    expect(detail).toContain('constructor')
    expect(detail).toContain('agent.hasOwnProperty')
  })

  it('never shows a value: it may be a secret', async () => {
    const report = await refusal({
      text: '{"feature": {"env": {"override": {"TOKEN": ["s3cret-value"]}}, "network": {"incoming": "s3cret-value"}}}',
    })
    expect(JSON.stringify(report)).not.toContain('s3cret-value')
  })

  it.each([
    ['{"feature": {"network": {"incoming": "mirror"}}}', 'feature.network.incoming.mode'],
    ['{"feature": {"network": {"incoming": {"port_mapping": [[1, 2]]}}}}', 'feature.network.incoming.port_mapping'],
    [
      '{"feature": {"network": {"incoming": {"http_filter": {"path_filter": "x"}}}}}',
      'feature.network.incoming.http_filter.path_filter',
    ],
    ['{"feature": {"env": {"env_file": "x"}}}', 'feature.env.env_file'],
    ['{"feature": {"copy_target": true}}', 'feature.copy_target'],
    ['{"feature": {"copy_target": {}}}', 'feature.copy_target'],
  ])('says of %s that it comes later', async (text, key) => {
    const report = await refusal({text, flags: text.includes('"target"') ? {} : {target: 'pod/x'}})
    expect([report.code, report.exit]).toEqual(['CONFIG_UNSUPPORTED', 'configUnsupported'])
    expect(report.why).toContain(key)
    expect(report.next.join()).toContain(key)
  })

  it('says of a variable that it comes later instead of passing over it', async () => {
    expect((await refusal({env: {MIRRORD_HTTP_HEADER_FILTER: 'a: b'}})).why).toContain('env MIRRORD_HTTP_HEADER_FILTER')
  })

  it('accepts values that ask for nothing, and warns where a key has no effect', async () => {
    const {warnings} = await resolve({
      text: JSON.stringify({
        agent: {ephemeral: false},
        telemetry: false,
        experimental: {tcp_ping4_mock: false},
        feature: {fs: 'local', copy_target: false, split_queues: {}, network: {incoming: {ignore_ports: []}}},
      }),
    })
    expect(warnings).toEqual([expect.stringContaining('experimental.tcp_ping4_mock (file m.json:1) has no effect')])
  })

  it.each([
    ['E10', {flags: {target: 'targetless', steal: true}}, 'steal'],
    ['E14', {text: '{"feature": {"env": {"include": "A", "exclude": "B"}}}'}, 'cannot be set together with'],
    [
      'E14 through a flag',
      {text: '{"feature": {"env": false}}', flags: {'override-env-vars-include': 'A'}},
      'flag --override-env-vars-include',
    ],
    ['E22', {text: '{"startup_retry": {"min_ms": 10, "max_ms": 5}}'}, 'startup_retry.max_ms'],
    ['a port out of range', {text: '{"feature": {"network": {"incoming": {"ports": [70000]}}}}'}, 'at most 65535'],
  ])('refuses %s', async (_name, input, words) => {
    const report = await refusal(input)
    expect(report.exit).toBe('configInvalid')
    expect(report.why).toContain(words)
  })
})

describe('files', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'config-'))
  })
  afterAll(() => rm(folder, {recursive: true}))

  const written = async (name: string, text: string) => {
    await writeFile(path.join(folder, name), text)
    return resolveConfig({flags: {'config-file': name}, env: {}, cwd: folder})
  }

  it.each([
    ['m.json', '{"agent": {"ttl": 4}}', 'file m.json:1'],
    ['m', '\n{"agent": {"ttl": 4}}', 'file m:2'],
    ['m.yaml', 'agent:\n  # seconds\n  ttl: 4\n', 'file m.yaml:3'],
    ['m.yml', 'agent: {ttl: 4}', 'file m.yml:1'],
    ['m.toml', '[agent]\nttl = 4\n', 'file m.toml:2'],
  ])('[LIF-32] reads %s', async (name, text, origin) => {
    const {config, origins} = await written(name, text)
    expect([config.agent.ttl, origins.get('agent.ttl')]).toEqual([4, origin])
  })

  it.each([
    ['empty.yaml', ''],
    ['empty.toml', ''],
    ['empty.json', '{}'],
  ])('takes %s as no settings', async (name, text) => {
    expect((await written(name, text)).config.agent.ttl).toBe(1)
  })

  it('reads bare off in YAML as the text that it is in YAML 1.2', async () => {
    const {config} = await written('off.yaml', 'target: pod/x\nfeature: {network: {incoming: off}}')
    expect(config.feature.network.incoming.mode).toBe('off')
  })

  it.each([
    ['bad.json', '{\n  "a": tru\n}', 'bad.json:2:8'],
    ['bad.yaml', 'agent:\n  ttl: [1\n', 'bad.yaml:2:10'],
    ['twice.yaml', 'agent: {ttl: 1}\nagent: {ttl: 2}\n', 'twice.yaml:2:1'],
    ['bad.toml', 'a = 1\nb = \n', 'bad.toml:2:4'],
    ['list.json', '[]', 'list.json'],
  ])('names the place of a mistake in %s', async (name, text, place) => {
    const report = await written(name, text).then(
      () => undefined,
      (error: MirrordError) => error.report,
    )
    expect(report).toMatchObject({code: 'CONFIG_SYNTAX', exit: 'configInvalid'})
    expect(report?.what).toContain(place)
  })

  it('[LIF-32] tells a missing file from a folder and from an unknown extension', async () => {
    const codes = await Promise.all(
      ['none.json', '.', 'm.jsonc', 'm.JSON'].map((name) =>
        resolveConfig({flags: {'config-file': name}, env: {}, cwd: folder}).catch(({report}: MirrordError) => [
          report.code,
          report.exit,
        ]),
      ),
    )
    expect(codes).toEqual([
      ['CONFIG_NOT_FOUND', 'configNotFound'],
      ['CONFIG_NOT_FOUND', 'configNotFound'],
      ['CONFIG_FORMAT', 'configInvalid'],
      ['CONFIG_FORMAT', 'configInvalid'],
    ])
  })
})

describe('[3] values of YAML are what their key says', () => {
  const yaml = (text: string) => resolve({name: 'm.yaml', text: `target: pod/x\n${text}`})

  it('takes a plain number, date or truth for a text as it is written', async () => {
    const {config, key} = await yaml(
      [
        'key: 0042',
        'kube_context: true',
        'agent:',
        '  labels: {version: 1.20, inject: false, day: 2026-11-23}',
        '  tolerations: [{key: 1}]',
        'feature: {env: {override: {PORT: 8080}}}',
      ].join('\n'),
    )
    expect(key).toEqual({value: '0042', generated: false})
    expect(config.kube_context).toBe('true')
    expect(config.agent.labels).toEqual({version: '1.20', inject: 'false', day: '2026-11-23'})
    expect(config.agent.tolerations).toEqual([{key: '1'}])
    expect(config.feature.env.override).toEqual({PORT: '8080'})
  })

  it('renders the same key into templates', async () => {
    expect((await yaml('key: 42\nkubeconfig: "k-{{ key }}"')).config).toMatchObject({key: '42', kubeconfig: 'k-42'})
  })

  it.each([
    ['yes', true],
    ['On', true],
    ['y', true],
    ['"true"', true],
    ['NO', false],
    ['off', false],
    ['n', false],
  ])('takes %s for %s', async (word, value) => {
    const {config} = await yaml(`operator: ${word}\nfeature: {network: {outgoing: {udp: ${word}}}}`)
    expect([config.operator, config.feature.network.outgoing.udp]).toEqual([value, value])
  })

  it('takes off for false where a section can be switched off, and digits in quotes for a number', async () => {
    const {config} = await yaml('feature: {env: no, fs: off, network: {incoming: off, dns: off}}\nagent: {ttl: "5"}')
    expect(config.feature).toMatchObject({env: {exclude: ['*']}, fs: {mode: 'local'}})
    expect(config.feature.network).toMatchObject({incoming: {mode: 'off'}, dns: {enabled: false}})
    expect(config.agent.ttl).toBe(5)
  })

  it('does so behind aliases and merged keys, where a key that is written wins', async () => {
    const labels =
      'agent:\n  labels: &l {v: &v 1.20, w: 2.50}\n  annotations: {<<: *l, w: 3.0, x: *v}\n  node_selector: *l'
    const {agent} = (await yaml(labels)).config
    expect(agent.annotations).toEqual({v: '1.20', w: '3.0', x: '1.20'})
    expect(agent.node_selector).toEqual({v: '1.20', w: '2.50'})
  })

  it('does so in YAML alone', async () => {
    expect(
      (await refusal({text: '{"key": 42, "operator": "yes", "agent": {"ttl": "5"}}'})).detail?.split('\n'),
    ).toHaveLength(3)
  })

  it('still refuses what is neither', async () => {
    const {detail} = await refusal({name: 'm.yaml', text: 'operator: maybe\nagent: {ttl: 5x}\nkey: [1]'})
    expect(detail?.split('\n').sort()).toEqual([
      'agent.ttl (file m.yaml:2): expected a whole number; found a string.',
      'key (file m.yaml:3): expected a string; found a list.',
      'operator (file m.yaml:1): expected true or false; found a string.',
    ])
  })
})

describe('[2] what a refusal says', () => {
  const text = JSON.stringify(
    {
      target: 'pod/x',
      agent: {ttl: 5.5},
      feature: {
        fs: {readonly_file_buffer: 5, read_only: ['fine', 'also', '(']},
        network: {incoming: {mode: 'off', ports: [80]}},
      },
    },
    undefined,
    1,
  )

  it('tells the warnings with the mistakes, each with its place', async () => {
    const report = await refusal({text})
    expect(report.detail?.split('\n')).toEqual([
      'agent.ttl (file m.json:4): expected a whole number; found one with a fraction.',
      'feature.fs.read_only.2 (file m.json:12): the pattern cannot be used: this group is not closed (at character 1).',
    ])
    expect(report.warnings).toEqual([
      'feature.fs.readonly_file_buffer (file m.json:8) has no effect: a remote file is fetched as a whole.',
      'feature.network.incoming.ports (file m.json:18): it has no effect: feature.network.incoming.mode (file m.json:17) is "off", so no traffic is taken.',
    ])
  })

  it('[W11] warns of a certificate that is not verified, and says who asked for that', async () => {
    const {warnings} = await resolve({env: {MIRRORD_ACCEPT_INVALID_CERTIFICATES: 'true'}})
    expect(warnings).toEqual([
      'accept_invalid_certificates (env MIRRORD_ACCEPT_INVALID_CERTIFICATES): the certificate of the Kubernetes API is not verified.',
    ])
  })

  it('tells which known value was probably meant', async () => {
    const {why} = await refusal({text: '{"target": "pod/x", "feature": {"network": {"incoming": "stael"}}}'})
    expect(why).toBe(
      'feature.network.incoming.mode (file m.json:1): expected "mirror", "steal", "off"; did you mean "steal"?',
    )
  })

  it('warns of nothing that only follows from a misspelt target', async () => {
    const report = await refusal({
      text: '{"target": "pods-x", "feature": {"fs": "write", "network": {"incoming": "steal"}}}',
    })
    expect([report.why, report.warnings]).toEqual([expect.stringContaining('target.path'), undefined])
  })

  it('names the flag or variable to correct, and only leaves out what cannot be had', async () => {
    const report = await refusal({
      env: {MIRRORD_AGENT_TTL: '99999999999999999999', MIRRORD_HTTP_FILTER_PORTS: ''},
      text: '{"feature": {"network": {"outgoing": {"filter": {"local": []}}}}}',
    })
    expect(report.next).toEqual([
      'Correct feature.network.incoming.http_filter.ports (env MIRRORD_HTTP_FILTER_PORTS) and agent.ttl (env MIRRORD_AGENT_TTL).',
      'Leave out feature.network.outgoing.filter.',
    ])
    expect(report.detail?.match(/agent\.ttl/g)).toHaveLength(1)
    const copy = await refusal({text: '{"target": "targetless", "feature": {"copy_target": true}}'})
    expect(copy.next).toEqual(['Leave out feature.copy_target.'])
  })

  it('says which kinds there are, and whose key a key is', async () => {
    const branches = (...entries: unknown[]) => refusal({text: JSON.stringify({feature: {db_branches: entries}})})
    const connection = {url: 'DB_URL'}
    expect((await branches({type: 'redis', connection, local: {}})).why).toContain(
      'local (file m.json:1): is a key of another kind of entry',
    )
    expect((await branches({type: 'pg', connection, copy: {mode: 'full'}})).why).toContain(
      'copy.mode (file m.json:1): expected "empty", "schema", "all"; found a string',
    )
  })

  it('does not say of a Redis of this machine that it needs the operator', async () => {
    const {why} = await refusal({text: '{"feature": {"db_branches": [{"type": "redis", "location": "local"}]}}'})
    expect(why).toContain('not in this version yet: a Redis of this machine')
  })
})

describe('[3] values that upstream takes', () => {
  it('takes a ping interval of 0', async () => {
    expect(
      (await resolve({text: '{"internal_proxy": {"ping_interval": 0}}'})).config.internal_proxy.ping_interval,
    ).toBe(0)
  })

  it('takes an object of copy_target whose "enabled" is null for one without', async () => {
    const {why} = await refusal({text: '{"feature": {"copy_target": {"enabled": null}}}'})
    expect(why).toContain('feature.copy_target (file m.json:1) needs the operator')
  })

  it.each(['999.1.1.1:80', '10.0.0.1:70000', '[10.0.0.1]:80', '[::1:80'])(
    'refuses %s for an address',
    async (metrics) => {
      expect((await refusal({text: JSON.stringify({agent: {metrics}})})).why).toContain('expected <ip>:<port>')
    },
  )

  it('says of an image that the file and a variable make which of them did', async () => {
    const {config, origins} = await resolve({
      text: '{"agent": {"image": {"registry": "r"}}}',
      env: {MIRRORD_AGENT_IMAGE_TAG: 't'},
    })
    expect([config.agent.image, origins.get('agent.image')]).toEqual([
      'r:t',
      'file m.json:1, env MIRRORD_AGENT_IMAGE_TAG',
    ])
  })
})
