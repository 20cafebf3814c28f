import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {
  applyProfile,
  formatProfile,
  parseProfile,
  resolveConfig,
  type ResolvedConfig,
} from '../../../src/config/index.ts'
import {profileChanges} from '../../../src/config/profile.ts'
import {MirrordError, type ErrorReport} from '../../../src/errors/mirrord-error.ts'

/** A configuration with a target, and the given file. */
const resolve = (file: Record<string, unknown> = {}, flags: Record<string, unknown> = {target: 'pod/web'}) =>
  resolveConfig({
    flags: {'config-file': 'm.json', ...flags},
    env: {},
    cwd: '/',
    readFile: async () => JSON.stringify({profile: 'quiet', ...file}),
  })
const specOf = (...changes: string[]) => ({featureAdjustments: changes.map((change) => ({change}))})
const apply = (resolved: ResolvedConfig, ...changes: string[]) =>
  applyProfile(resolved, parseProfile(resolved.config.profile!), specOf(...changes)).resolved

function refusal(run: () => unknown): ErrorReport {
  try {
    run()
  } catch (error) {
    if (error instanceof MirrordError) return error.report
    throw error
  }
  throw new Error('expected a MirrordError')
}

describe('a reference to a profile', () => {
  it('is the name of one in the cluster, or of one in a namespace', () => {
    expect(parseProfile('quiet')).toEqual({name: 'quiet'})
    expect(parseProfile('shop/quiet.v2')).toEqual({namespace: 'shop', name: 'quiet.v2'})
    for (const text of ['quiet', 'shop/quiet']) expect(formatProfile(parseProfile(text))).toBe(text)
  })

  it.each(['', '/quiet', 'shop/', 'a/b/c', 'Quiet', '../x', 'shop/..%2f', 'a b'])('is not %j', async (profile) => {
    expect(() => parseProfile(profile)).toThrow()
    await expect(resolve({profile})).rejects.toMatchObject({report: {code: 'CONFIG_INVALID', exit: 'configInvalid'}})
  })
})

describe('applyProfile', () => {
  it.each([
    ['incoming-off', {incoming: {mode: 'off'}}],
    ['incoming-steal', {incoming: {mode: 'steal'}}],
    ['dns-off', {dns: {enabled: false}}],
    ['dns-remote', {dns: {enabled: true}}],
    ['outgoing-off', {outgoing: {tcp: false, udp: false}}],
    ['outgoing-remote', {outgoing: {tcp: true, udp: true, unix_streams: ['.*']}}],
  ])('%s is over every other source', async (change, network) => {
    const opposite = change.endsWith('-off')
      ? {incoming: 'steal', dns: true, outgoing: {tcp: true, udp: true, unix_streams: '^/run'}}
      : {incoming: 'off', dns: false, outgoing: {tcp: false, udp: false, unix_streams: '^/run'}}
    const resolved = await resolve({feature: {network: opposite}})
    const before = structuredClone(resolved)
    const {config, origins} = apply(resolved, change)
    const [key] = Object.keys(network) as ['incoming' | 'dns' | 'outgoing']
    expect(config.feature.network[key]).toMatchObject((network as Record<string, object>)[key]!)
    if (change === 'outgoing-off') expect(config.feature.network.outgoing.unix_streams).toBeUndefined()
    const changed = [...origins].filter(([, origin]) => origin === 'profile quiet').map(([path]) => path)
    expect(changed.sort()).toEqual(Object.keys(profileChanges[change]!).sort())
    // Nothing else changed, and what was given neither.
    const rest = {...config.feature.network, [key]: undefined}
    expect(rest).toEqual({...before.config.feature.network, [key]: undefined})
    expect(resolved).toEqual(before)
  })

  it('refuses what this version does not do, and says that the profile asks for it', async () => {
    const resolved = await resolve()
    const report = refusal(() => apply(resolved, 'incoming-mirror'))
    expect(report).toMatchObject({code: 'CONFIG_UNSUPPORTED', exit: 'configUnsupported'})
    expect(report.why).toContain('feature.network.incoming.mode (profile quiet)')
  })

  it('takes the namespace of the profile for the target', async () => {
    const resolved = await resolve({profile: 'shop/quiet'})
    const {config, origins} = apply(resolved)
    expect(config.target.namespace).toBe('shop')
    expect(origins.get('target.namespace')).toBe('profile shop/quiet')
    const same = apply(await resolve({profile: 'shop/quiet', target: {path: 'pod/web', namespace: 'shop'}}))
    expect(same.origins.get('target.namespace')).toBe('file m.json:1')
  })

  it('refuses another namespace of the target, without the cluster', async () => {
    const wrong = resolve({profile: 'shop/quiet'}, {target: 'pod/web', 'target-namespace': 'other'})
    await expect(wrong).rejects.toMatchObject({
      report: {
        code: 'CONFIG_INVALID',
        why: 'profile (file m.json:1): it is for targets in the namespace that it names, but target.namespace (flag --target-namespace) is another.',
      },
    })
  })

  it('checks the result as any configuration: without a target nothing can be stolen', async () => {
    const resolved = await resolve({}, {})
    expect(resolved.config.feature.network.incoming.mode).toBe('off')
    const applied = apply(resolved, 'incoming-steal')
    expect(applied.config.feature.network.incoming.mode).toBe('off')
    expect(applied.warnings.join('\n')).toContain('feature.network.incoming.mode (profile quiet) counts as "off"')
    const targetless = await resolve({}, {target: 'targetless'})
    expect(refusal(() => apply(targetless, 'incoming-steal'))).toMatchObject({
      code: 'CONFIG_INVALID',
      why: 'feature.network.incoming.mode (profile quiet): there is no traffic to steal without a target; use "off" or name a target.',
    })
  })

  it('does not keep warnings whose cause the profile has removed, nor say any twice', async () => {
    const resolved = await resolve({feature: {network: {incoming: 'steal'}}}, {})
    expect(resolved.warnings).toEqual([
      expect.stringContaining('There is no target'),
      expect.stringContaining('profile ('),
    ])
    expect(apply(resolved, 'incoming-off').warnings).toEqual([])
    expect(apply(resolved).warnings).toEqual(resolved.warnings)
  })

  it('is applied before what the values mean together is judged', async () => {
    const input = {
      flags: {target: 'pod/web', 'config-file': 'm.json'},
      env: {},
      cwd: '/',
      incomingDefault: 'mirror' as const,
      readFile: async () => '{"profile": "quiet"}',
    }
    await expect(resolveConfig(input)).rejects.toMatchObject({report: {code: 'CONFIG_UNSUPPORTED'}})
    const resolved = await resolveConfig({...input, profileFollows: true})
    expect(apply(resolved, 'incoming-steal').config.feature.network.incoming.mode).toBe('steal')
    expect(refusal(() => apply(resolved, 'dns-off'))).toMatchObject({code: 'CONFIG_UNSUPPORTED'})
    const typo = {...input, profileFollows: true, readFile: async () => '{"profile": "quiet", "tarket": 1}'}
    await expect(resolveConfig(typo)).rejects.toMatchObject({report: {code: 'CONFIG_INVALID'}})
  })

  it('says everything in a profile that it does not know', async () => {
    const resolved = await resolve()
    const spec = {
      ...specOf('incoming-of', 'fs-local', 'dns-off'),
      extra: 1,
    }
    const report = refusal(() => applyProfile(resolved, {namespace: 'shop', name: 'quiet'}, spec))
    expect(report).toMatchObject({code: 'PROFILE_INVALID', exit: 'configInvalid'})
    expect(report.what).toBe('The profile "shop/quiet" cannot be applied.')
    expect(report.next[0]).toBe('Correct it with: kubectl edit -n shop mirrordprofile quiet')
    expect(report.detail?.split('\n')).toEqual([
      'spec.extra: is not known here',
      'spec.featureAdjustments[0].change: "incoming-of" is not known here; did you mean "incoming-off"?',
      `spec.featureAdjustments[1].change: "fs-local" is not known here; known: ${Object.keys(profileChanges).join(', ')}`,
    ])
  })

  it.each([
    [undefined, 'spec: expected an object.'],
    [null, 'spec: expected an object.'],
    [{}, 'spec.featureAdjustments: expected a list.'],
    [{featureAdjustments: 'dns-off'}, 'spec.featureAdjustments: expected a list.'],
    [{featureAdjustments: ['dns-off']}, 'spec.featureAdjustments[0]: expected an object.'],
    [{featureAdjustments: [{change: 'dns-off', when: 'x'}]}, 'spec.featureAdjustments[0].when: is not known here.'],
    [{featureAdjustments: [{}]}, /^spec\.featureAdjustments\[0\]\.change: expected one of incoming-mirror, /],
    [{featureAdjustments: [{change: 'toString'}]}, /\.change: "toString" is not known here; known: /],
  ])('refuses the spec %j', async (spec, why) => {
    const resolved = await resolve()
    const report = refusal(() => applyProfile(resolved, {name: 'quiet'}, spec))
    expect(report).toMatchObject({
      code: 'PROFILE_INVALID',
      next: [expect.stringContaining('kubectl edit'), expect.any(String)],
    })
    expect(report.why).toMatch(why)
  })

  it('applies adjustments in order: the last one of a key counts, whatever the user has set', async () => {
    const settings = fc.record({
      incoming: fc.constantFrom('steal', 'off'),
      dns: fc.boolean(),
      outgoing: fc.record({tcp: fc.boolean(), udp: fc.boolean()}),
    })
    const names = Object.keys(profileChanges).filter((name) => name !== 'incoming-mirror')
    await fc.assert(
      fc.asyncProperty(settings, fc.array(fc.constantFrom(...names), {maxLength: 8}), async (network, changes) => {
        const resolved = await resolve({feature: {network}})
        const {config, origins} = apply(resolved, ...changes)
        const expected = new Map(changes.flatMap((change) => Object.entries(profileChanges[change]!)))
        for (const [path, origin] of origins) {
          const value = path.split('.').reduce<unknown>((node, key) => (node as Record<string, unknown>)?.[key], config)
          const before = path
            .split('.')
            .reduce<unknown>((node, key) => (node as Record<string, unknown>)?.[key], resolved.config)
          expect(value, path).toEqual(expected.has(path) ? expected.get(path) : before)
          expect(origin, path).toBe(expected.has(path) ? 'profile quiet' : resolved.origins.get(path))
        }
        // Once more changes nothing.
        expect(apply({...resolved, given: config}, ...changes).config).toEqual(config)
      }),
      {numRuns: 200},
    )
  })
})
