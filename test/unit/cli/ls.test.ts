import {describe, expect, it} from 'vitest'
import {plainJson, richJson, table} from '../../../src/cli/ls-output.ts'
import {richOutput} from '../../../src/cli/rich-output.ts'
import {targetTypes} from '../../../src/cli/target-types.ts'
import type {TargetList} from '../../../src/kube/index.ts'
import {MirrordError} from '../../../src/errors/mirrord-error.ts'

const now = Date.parse('2026-01-01T02:05:00Z')
const list: TargetList = {
  namespace: 'shop',
  refused: [],
  targets: [
    {path: 'pod/web-1/container/app', kind: 'pod', ready: '2/2', createdAt: '2026-01-01T00:00:00Z'},
    {path: 'deployment/web', kind: 'deployment', ready: '1/3'},
  ],
}
const refusal = (run: () => unknown) => {
  try {
    run()
  } catch (error) {
    if (error instanceof MirrordError) return error.report
    throw error
  }
  throw new Error('expected a MirrordError')
}

describe('the output of ls', () => {
  it('is a list of paths, on one line', () => {
    expect(plainJson(list)).toBe('["pod/web-1/container/app","deployment/web"]')
    expect(plainJson({...list, targets: []})).toBe('[]')
  })

  it('is an object with the namespaces in its rich form', () => {
    expect(JSON.parse(richJson(list, ['default', 'shop']))).toEqual({
      targets: [
        {path: 'pod/web-1/container/app', available: true},
        {path: 'deployment/web', available: true},
      ],
      current_namespace: 'shop',
      namespaces: ['default', 'shop'],
    })
  })

  it('is a table for people, which says where it looked', async () => {
    const text = await table(list, 'staging', now)
    expect(text).toContain('Targets in the namespace "shop" of the context "staging":')
    expect(text).toMatch(/│ pod\/web-1\/container\/app │ 2\/2 +│ 2h05m │/)
    expect(text).toMatch(/│ deployment\/web +│ 1\/3 +│ - +│/)
    expect(await table({...list, targets: []}, 'staging', now)).toBe(
      'No targets in the namespace "shop" of the context "staging": no pod is ready there.\n',
    )
  })
})

describe('the types of targets', () => {
  it.each([
    [undefined, undefined, undefined],
    [['pod'], undefined, ['pod']],
    [['deploy', 'pod'], undefined, ['deployment', 'pod']],
    [['rollout', 'cronjob', 'daemonset'], undefined, ['rollout', 'cronjob', 'daemonset']],
    [['pod'], '["deployment"]', ['pod']],
    [undefined, '["deployment","pod"]', ['deployment', 'pod']],
    [undefined, '["targetless","pod"]', ['pod']],
    [['targetless'], undefined, []],
    [undefined, '[]', []],
  ])('%j and MIRRORD_LS_TARGET_TYPES=%s are %j', (flags, variable, kinds) => {
    expect(targetTypes(flags, variable)).toEqual(kinds)
  })

  it.each(['', 'pods', 'label', 'a/b', 'POD', 'pod/x'])('%j is none', (type) => {
    expect(refusal(() => targetTypes([type], undefined))).toMatchObject({code: 'TARGET_TYPE_INVALID', exit: 'usage'})
  })

  it.each(['', 'pod', '{}', '"pod"', '[1]', 'null', '[', '["nonsense"]'])('refuses a variable of %j', (text) => {
    const report = refusal(() => targetTypes(undefined, text))
    expect(report).toMatchObject({code: 'TARGET_TYPE_INVALID', exit: 'configInvalid'})
    expect(report.what).toContain('MIRRORD_LS_TARGET_TYPES')
  })
})

describe('MIRRORD_LS_RICH_OUTPUT', () => {
  it('is exactly true or false', () => {
    expect([undefined, 'true', 'false'].map((value) => richOutput({MIRRORD_LS_RICH_OUTPUT: value}))).toEqual([
      false,
      true,
      false,
    ])
    for (const value of ['', '1', 'yes', 'True'])
      expect(refusal(() => richOutput({MIRRORD_LS_RICH_OUTPUT: value}))).toMatchObject({exit: 'configInvalid'})
  })
})
