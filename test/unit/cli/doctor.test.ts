import {describe, expect, it} from 'vitest'
import {checkLines, checksJson, rolesYaml} from '../../../src/cli/doctor-output.ts'
import type {Check} from '../../../src/doctor/index.ts'
import {MirrordError} from '../../../src/errors/mirrord-error.ts'
import type {Need} from '../../../src/kube/index.ts'

const checks: Check[] = [
  {name: 'kernel', state: 'ok', text: 'Linux 6.', next: ['not shown']},
  {name: 'disk', state: 'warning', text: 'Full.', next: ['Make room.']},
  {
    name: 'target',
    state: 'failed',
    text: 'There is none.',
    next: ['Name another.'],
    report: {code: 'TARGET_NOT_FOUND', exit: 'targetNotFound', what: 'There is none.', next: []},
  },
  {name: 'rest', state: 'skipped', text: 'Not looked at.', next: []},
]
const plain = {isTTY: false} as NodeJS.WriteStream
const missing: Need[] = [{verb: 'get', group: '', resource: 'pods', namespace: 'n', purpose: 'test'}]

describe('the output of doctor', () => {
  it('is a line a check, its remedy below it', () => {
    expect(checkLines(checks, plain)).toBe(
      [
        '✓ kernel  Linux 6.',
        '! disk    Full.',
        '          Next: Make room.',
        '✗ target  There is none.',
        '          Next: Name another.',
        '- rest    Not looked at.',
        '',
      ].join('\n'),
    )
  })

  it('is one object as JSON', () => {
    expect(JSON.parse(checksJson(checks, missing))).toEqual({
      checks: checks.map(({name, state, text, next}) => ({
        ...{name, state, text, next},
        ...(name === 'target' ? {code: 'TARGET_NOT_FOUND'} : {}),
      })),
      missing,
    })
  })

  it('is YAML of roles, or a remark that nothing is missing', () => {
    expect(rolesYaml([], undefined)).toBe('# No right is missing.\n')
    expect(rolesYaml(missing, 'ann').split('---\n')).toHaveLength(2)
    expect(() => rolesYaml(missing, undefined)).toThrow(MirrordError)
  })
})
