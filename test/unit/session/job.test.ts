import {describe, expect, it} from 'vitest'
import {jobIdentity} from '../../../src/session/job.ts'

const machine = {uid: 1000, bootId: 'boot-1'}

/** For each provider: a job's variables, and for each part of its identity another value. */
const jobs: Record<string, Record<string, string>> = {
  github: {
    GITHUB_ACTIONS: 'true',
    GITHUB_REPOSITORY: 'a/b',
    GITHUB_RUN_ID: '1',
    GITHUB_RUN_ATTEMPT: '1',
    GITHUB_JOB: 'test',
    RUNNER_NAME: 'r1',
    GITHUB_WORKSPACE: '/w/1',
  },
  gitlab: {GITLAB_CI: 'true', CI_SERVER_URL: 'https://git', CI_JOB_ID: '1'},
  azure: {TF_BUILD: 'True', SYSTEM_COLLECTIONID: 'c', BUILD_BUILDID: '1', SYSTEM_JOBID: 'j', SYSTEM_JOBATTEMPT: '1'},
  buildkite: {BUILDKITE: 'true', BUILDKITE_JOB_ID: 'j', BUILDKITE_RETRY_COUNT: '0'},
  circleci: {CIRCLECI: 'true', CIRCLE_WORKFLOW_JOB_ID: 'j', CIRCLE_BUILD_URL: 'u', CIRCLE_NODE_INDEX: '0'},
  jenkins: {JENKINS_URL: 'https://j', BUILD_TAG: 't-1', WORKSPACE: '/w'},
  bitbucket: {
    BITBUCKET_BUILD_NUMBER: '1',
    BITBUCKET_REPO_FULL_NAME: 'a/b',
    BITBUCKET_PIPELINE_UUID: 'p',
    BITBUCKET_STEP_UUID: 's',
  },
  travis: {TRAVIS: 'true', TRAVIS_JOB_ID: '1', TRAVIS_BUILD_NUMBER: '1'},
  teamcity: {
    TEAMCITY_VERSION: '2024',
    TEAMCITY_BUILDCONF_NAME: 'c',
    BUILD_NUMBER: '1',
    TEAMCITY_BUILD_PROPERTIES_FILE: '/tmp/p',
  },
  drone: {DRONE: 'true', DRONE_BUILD_LINK: 'l', DRONE_STAGE_NUMBER: '1'},
}

describe('the identity of a job', () => {
  describe.each(Object.entries(jobs))('of %s', (name, env) => {
    const [detect, ...parts] = Object.keys(env)

    it('is the same in every step and on every boot, and fits into a socket path', () => {
      const identity = jobIdentity(env, machine)
      expect(identity).toMatchObject({source: name, id: expect.stringMatching(/^[\da-f]{8}$/) as string})
      const step = {...env, PATH: '/other', GITHUB_STEP: '2', PWD: '/x'}
      expect(jobIdentity(step, {...machine, bootId: 'boot-2'})).toEqual(identity)
    })

    it.each(name === 'gitlab' ? ['CI_JOB_ID', 'CI_SERVER_URL'] : parts)('changes with %s', (part) => {
      expect(jobIdentity({...env, [part]: 'other'}, machine).id).not.toBe(jobIdentity(env, machine).id)
    })

    it('is not that of another user, and not that without the provider', () => {
      const {id} = jobIdentity(env, machine)
      expect(jobIdentity(env, {...machine, uid: 1001}).id).not.toBe(id)
      expect(jobIdentity({...env, [detect!]: undefined}, machine)).not.toMatchObject({id})
    })

    it('gives way to MIRRORD_CI_JOB', () => {
      const override = {MIRRORD_CI_JOB: 'mine'}
      expect(jobIdentity({...env, ...override}, machine)).toEqual(jobIdentity(override, machine))
      expect(jobIdentity(override, machine).source).toBe('MIRRORD_CI_JOB')
    })
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
