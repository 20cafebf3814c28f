import {describe, expect, it} from 'vitest'
import {jobIdentity} from '../../../src/session/job.ts'
import {systems} from '../../../src/ci/systems.ts'
import {jobs} from '../ci/environments.ts'

const machine = {uid: 1000, bootId: 'boot-1'}

describe('the identity of a job', () => {
  describe.each(jobs)('of $id', ({id: name, env, others}) => {
    it('is the same in every step and on every boot, and fits into a socket path', () => {
      const identity = jobIdentity(env, machine)
      expect(identity).toMatchObject({source: name, id: expect.stringMatching(/^[\da-f]{8}$/) as string})
      const step = {...env, PATH: '/other', GITHUB_STEP: '2', PWD: '/x', CI: 'false'}
      expect(jobIdentity(step, {...machine, bootId: 'boot-2'})).toEqual(identity)
    })

    it.each(Object.entries(others))('is not that of %s', (_, change) => {
      expect(jobIdentity({...env, ...change}, machine).id).not.toBe(jobIdentity(env, machine).id)
    })

    it('depends on each of the variables that its system is said to have', () => {
      for (const part of systems.find(({id}) => id === name)!.identity) {
        expect(jobIdentity({...env, [part]: 'another'}, machine).id, part).not.toBe(jobIdentity(env, machine).id)
        expect(env, part).toHaveProperty([part])
      }
    })

    it('is not that of another user', () => {
      expect(jobIdentity(env, {...machine, uid: 1001}).id).not.toBe(jobIdentity(env, machine).id)
    })

    it('gives way to MIRRORD_CI_JOB', () => {
      const override = {MIRRORD_CI_JOB: 'mine'}
      expect(jobIdentity({...env, ...override}, machine)).toEqual(jobIdentity(override, machine))
      expect(jobIdentity(override, machine).source).toBe('MIRRORD_CI_JOB')
    })
  })

  it('is the same in every version: another one may stop what this one started', () => {
    const env = {GITLAB_CI: 'true', CI_SERVER_URL: 'https://gitlab.com', CI_JOB_ID: '1'}
    expect(jobIdentity(env, machine).id).toBe('49daf2a5')
  })

  it('is user and boot outside of any CI, never the machine', () => {
    const {id, source} = jobIdentity({}, machine)
    expect(source).toBe('user')
    expect(jobIdentity({CI: 'true', MIRRORD_CI_JOB: ''}, machine).id).toBe(id)
    expect(jobIdentity({}, {...machine, uid: 1001}).id).not.toBe(id)
    expect(jobIdentity({}, {...machine, bootId: 'boot-2'}).id).not.toBe(id)
  })

  it('does not confuse values that only together are the same text', () => {
    const one = jobIdentity({GITLAB_CI: '1', CI_SERVER_URL: 'a', CI_JOB_ID: 'bc'}, machine)
    const two = jobIdentity({GITLAB_CI: '1', CI_SERVER_URL: 'ab', CI_JOB_ID: 'c'}, machine)
    expect(one.id).not.toBe(two.id)
  })
})
