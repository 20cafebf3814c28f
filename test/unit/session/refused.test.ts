import {constants} from 'node:os'
import {expect, it} from 'vitest'
import type {ResponseError} from '../../../src/protocol/index.ts'
import {SubscriptionRefused} from '../../../src/proxy/errno.ts'
import {afterRefusals, diedBeforeReady, diedDuringRun, stealRefused} from '../../../src/session/failures.ts'

const refused = (error: ResponseError) => {
  const reason = new SubscriptionRefused(error)
  const {code, exit, why} = stealRefused(80, reason)
  return {errno: reason.errno, code, exit, why}
}
const forbidden = {blockedAction: {type: 'Steal', value: {type: 'All', value: 80}}, policyName: 'strict'} as never

it('[INC-29] every refusal has an errno for the program and an exit code for the start', () => {
  expect(refused({type: 'PortAlreadyStolen', value: 80})).toEqual({
    errno: constants.errno.EADDRINUSE,
    code: 'PORT_STOLEN',
    exit: 'agentDirty',
    why: 'Port 80 is stolen by another session.',
  })
  expect(refused({type: 'Forbidden', value: forbidden})).toEqual({
    errno: constants.errno.EACCES,
    code: 'STEAL_REFUSED',
    exit: 'operator',
    why: 'A policy of the cluster forbids it (strict).',
  })
  expect(refused({type: 'NotImplemented'})).toMatchObject({errno: constants.errno.EOPNOTSUPP, exit: 'agentLost'})
  expect(refused({type: 'NotFound', value: 1n})).toMatchObject({errno: constants.errno.EACCES, exit: 'agentLost'})
})

it('a refused port is what failed for a program that was never ready, and is told of one that crashes later', () => {
  const refusal = stealRefused(80, new SubscriptionRefused({type: 'PortAlreadyStolen', value: 80}))
  const before = diedBeforeReady('app', {code: 1}, undefined)
  expect(afterRefusals(before, [], false)).toBe(before)
  expect(afterRefusals(before, [refusal], false)).toMatchObject({
    code: 'PORT_STOLEN',
    exit: 'agentDirty',
    why: 'Port 80 is stolen by another session. The program "app" ended before it was ready. It exited with status 1.',
  })
  const later = afterRefusals(diedDuringRun('app', {code: 1}, undefined), [refusal], true)
  expect(later).toMatchObject({code: 'PROGRAM_CRASHED', exit: 'programCrashed'})
  expect(later.why).toContain('The traffic of port 80 could not be stolen.')
})
