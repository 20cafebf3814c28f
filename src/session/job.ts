import {createHash} from 'node:crypto'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The variables that tell one job of a CI provider from every other, attempts and parallel jobs on one host included.
 * The first row whose `detect` variable is set wins. A row names only what the provider documents as constant during a
 * job, so that a start in one step and a stop in another meet.
 */
const providers: readonly {name: string; detect: string; identity: readonly string[]}[] = [
  {
    name: 'github',
    detect: 'GITHUB_ACTIONS',
    identity: [
      'GITHUB_REPOSITORY',
      'GITHUB_RUN_ID',
      'GITHUB_RUN_ATTEMPT',
      'GITHUB_JOB',
      'RUNNER_NAME',
      'GITHUB_WORKSPACE',
    ],
  },
  {name: 'gitlab', detect: 'GITLAB_CI', identity: ['CI_SERVER_URL', 'CI_JOB_ID']},
  {
    name: 'azure',
    detect: 'TF_BUILD',
    identity: ['SYSTEM_COLLECTIONID', 'BUILD_BUILDID', 'SYSTEM_JOBID', 'SYSTEM_JOBATTEMPT'],
  },
  {name: 'buildkite', detect: 'BUILDKITE', identity: ['BUILDKITE_JOB_ID', 'BUILDKITE_RETRY_COUNT']},
  {name: 'circleci', detect: 'CIRCLECI', identity: ['CIRCLE_WORKFLOW_JOB_ID', 'CIRCLE_BUILD_URL', 'CIRCLE_NODE_INDEX']},
  {name: 'jenkins', detect: 'JENKINS_URL', identity: ['JENKINS_URL', 'BUILD_TAG', 'WORKSPACE']},
  {
    name: 'bitbucket',
    detect: 'BITBUCKET_BUILD_NUMBER',
    identity: ['BITBUCKET_REPO_FULL_NAME', 'BITBUCKET_PIPELINE_UUID', 'BITBUCKET_STEP_UUID'],
  },
  {name: 'travis', detect: 'TRAVIS', identity: ['TRAVIS_JOB_ID', 'TRAVIS_BUILD_NUMBER']},
  {
    name: 'teamcity',
    detect: 'TEAMCITY_VERSION',
    identity: ['TEAMCITY_BUILDCONF_NAME', 'BUILD_NUMBER', 'TEAMCITY_BUILD_PROPERTIES_FILE'],
  },
  {name: 'drone', detect: 'DRONE', identity: ['DRONE_BUILD_LINK', 'DRONE_STAGE_NUMBER']},
]

/** Which job this process belongs to. */
export interface JobIdentity {
  /** 8 hex digits: part of a socket path, which has 108 bytes (unix(7)). */
  id: string
  /** Where the identity comes from: `MIRRORD_CI_JOB`, a provider's name, or `user` (user and boot). */
  source: string
}

/**
 * The identity of the CI job, never machine-wide: `MIRRORD_CI_JOB`, else the provider's run, job and attempt, else the
 * user and this boot of the machine.
 */
export function jobIdentity(env: Environment, machine: {uid: number; bootId: string}): JobIdentity {
  const digest = (...parts: string[]) => createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 8)
  const user = String(machine.uid)
  if (env.MIRRORD_CI_JOB) return {id: digest('override', user, env.MIRRORD_CI_JOB), source: 'MIRRORD_CI_JOB'}
  const provider = providers.find((candidate) => env[candidate.detect])
  if (provider)
    return {id: digest(provider.name, user, ...provider.identity.map((name) => env[name] ?? '')), source: provider.name}
  return {id: digest('user', user, machine.bootId), source: 'user'}
}
