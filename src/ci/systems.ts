import type {Dialect} from './dialect.ts'
import {
  azureDialect,
  buildkiteDialect,
  githubDialect,
  gitlabDialect,
  teamcityDialect,
  travisDialect,
} from './dialects.ts'
import type {Environment} from './vendors.ts'

/** All that we know of one CI system; which of its variables say what is the documentation of each system. */
export interface CiSystem {
  /** Short name, part of a job's identity: never changed. */
  id: string
  /** ci-info's identifier: its data say how the system is recognised. */
  constant: string
  /** Variables that together mean this system where ci-info does not see it. */
  signs?: readonly string[]
  /**
   * The variables that tell one job from every other, attempts and parallel jobs on one host included. Only what the
   * system documents as constant during a job, so that a start in one step and a stop in another meet.
   */
  identity: readonly string[]
  /** The page of this run, for people. */
  url?(env: Environment): string | undefined
  /** Each the first of these variables that is set. */
  pipeline?: readonly string[]
  trigger?: readonly string[]
  job?: readonly string[]
  /** The variable with the folder of the checked-out repository: paths in annotations are relative to it. */
  workspace?: string
  /** How its log is structured; absent where it shows plain text only. */
  dialect?: Dialect
  /** The variable with the file that takes a step's outputs, in GitHub's format. */
  outputFile?: string
}

const from =
  (...names: readonly string[]) =>
  (env: Environment) =>
    names.map((name) => env[name]).find(Boolean)

/** The parts joined when every one is set. */
const joined =
  (...parts: readonly ((env: Environment) => string | undefined)[]) =>
  (env: Environment) => {
    const texts = parts.map((part) => part(env))
    return texts.every(Boolean) ? texts.join('') : undefined
  }
const text = (literal: string) => () => literal

const github: Omit<CiSystem, 'id' | 'constant'> = {
  identity: [
    'GITHUB_REPOSITORY',
    'GITHUB_RUN_ID',
    'GITHUB_RUN_ATTEMPT',
    // The job's id is that of every job of a matrix; a runner has one job at a time.
    'GITHUB_JOB',
    'RUNNER_NAME',
    'GITHUB_WORKSPACE',
  ],
  pipeline: ['GITHUB_WORKFLOW'],
  trigger: ['GITHUB_EVENT_NAME'],
  job: ['GITHUB_JOB'],
  workspace: 'GITHUB_WORKSPACE',
  dialect: githubDialect,
  outputFile: 'GITHUB_OUTPUT',
}
const githubRun = joined(
  from('GITHUB_SERVER_URL'),
  text('/'),
  from('GITHUB_REPOSITORY'),
  text('/actions/runs/'),
  from('GITHUB_RUN_ID'),
)

/** The systems in the order in which they are tried: one that imitates another stands before it. */
export const systems: readonly CiSystem[] = [
  // Gitea and Forgejo set GitHub's variables too; their runs are numbered by GITHUB_RUN_NUMBER in addresses.
  {
    ...github,
    id: 'gitea',
    constant: 'GITEA_ACTIONS',
    url: joined(
      from('GITHUB_SERVER_URL'),
      text('/'),
      from('GITHUB_REPOSITORY'),
      text('/actions/runs/'),
      from('GITHUB_RUN_NUMBER'),
    ),
  },
  {
    ...github,
    id: 'github',
    constant: 'GITHUB_ACTIONS',
    url: (env) => joined(githubRun, text('/attempts/'), from('GITHUB_RUN_ATTEMPT'))(env) ?? githubRun(env),
  },
  {
    id: 'gitlab',
    constant: 'GITLAB',
    identity: ['CI_SERVER_URL', 'CI_JOB_ID'],
    url: from('CI_JOB_URL', 'CI_PIPELINE_URL'),
    pipeline: ['CI_PIPELINE_NAME', 'CI_PROJECT_PATH'],
    trigger: ['CI_PIPELINE_SOURCE'],
    job: ['CI_JOB_NAME'],
    workspace: 'CI_PROJECT_DIR',
    dialect: gitlabDialect,
  },
  {
    id: 'azure',
    constant: 'AZURE_PIPELINES',
    identity: ['SYSTEM_COLLECTIONID', 'BUILD_BUILDID', 'SYSTEM_JOBID', 'SYSTEM_JOBATTEMPT'],
    url: joined(
      (env) => from('SYSTEM_COLLECTIONURI', 'SYSTEM_TEAMFOUNDATIONCOLLECTIONURI')(env)?.replace(/\/*$/, '/'),
      (env) => env.SYSTEM_TEAMPROJECT && encodeURIComponent(env.SYSTEM_TEAMPROJECT),
      text('/_build/results?buildId='),
      from('BUILD_BUILDID'),
    ),
    pipeline: ['BUILD_DEFINITIONNAME'],
    trigger: ['BUILD_REASON'],
    job: ['SYSTEM_JOBDISPLAYNAME', 'SYSTEM_JOBNAME', 'AGENT_JOBNAME'],
    workspace: 'BUILD_SOURCESDIRECTORY',
    dialect: azureDialect,
  },
  {
    id: 'buildkite',
    constant: 'BUILDKITE',
    identity: ['BUILDKITE_JOB_ID', 'BUILDKITE_RETRY_COUNT'],
    url: (env) =>
      joined(from('BUILDKITE_BUILD_URL'), text('#'), from('BUILDKITE_JOB_ID'))(env) ?? env.BUILDKITE_BUILD_URL,
    pipeline: ['BUILDKITE_PIPELINE_SLUG'],
    trigger: ['BUILDKITE_SOURCE'],
    job: ['BUILDKITE_LABEL', 'BUILDKITE_STEP_KEY'],
    workspace: 'BUILDKITE_BUILD_CHECKOUT_PATH',
    dialect: buildkiteDialect,
  },
  {
    id: 'circleci',
    constant: 'CIRCLE',
    identity: ['CIRCLE_WORKFLOW_JOB_ID', 'CIRCLE_BUILD_URL', 'CIRCLE_NODE_INDEX'],
    url: from('CIRCLE_BUILD_URL'),
    pipeline: ['CIRCLE_PROJECT_REPONAME'],
    job: ['CIRCLE_JOB'],
    workspace: 'CIRCLE_WORKING_DIRECTORY',
  },
  {
    id: 'jenkins',
    constant: 'JENKINS',
    // JENKINS_URL is set only where an administrator has configured the server's address.
    signs: ['JENKINS_HOME', 'BUILD_TAG'],
    identity: ['JENKINS_URL', 'BUILD_TAG', 'WORKSPACE'],
    url: from('BUILD_URL'),
    pipeline: ['JOB_NAME'],
    job: ['JOB_BASE_NAME'],
    workspace: 'WORKSPACE',
  },
  {
    id: 'bitbucket',
    constant: 'BITBUCKET',
    identity: ['BITBUCKET_REPO_FULL_NAME', 'BITBUCKET_PIPELINE_UUID', 'BITBUCKET_STEP_UUID'],
    url: joined(
      text('https://bitbucket.org/'),
      from('BITBUCKET_REPO_FULL_NAME'),
      text('/pipelines/results/'),
      from('BITBUCKET_BUILD_NUMBER'),
    ),
    pipeline: ['BITBUCKET_REPO_FULL_NAME'],
    workspace: 'BITBUCKET_CLONE_DIR',
  },
  {
    id: 'travis',
    constant: 'TRAVIS',
    identity: ['TRAVIS_JOB_ID', 'TRAVIS_BUILD_NUMBER'],
    url: from('TRAVIS_JOB_WEB_URL', 'TRAVIS_BUILD_WEB_URL'),
    pipeline: ['TRAVIS_REPO_SLUG'],
    trigger: ['TRAVIS_EVENT_TYPE'],
    job: ['TRAVIS_JOB_NAME', 'TRAVIS_JOB_NUMBER'],
    workspace: 'TRAVIS_BUILD_DIR',
    dialect: travisDialect,
  },
  {
    id: 'teamcity',
    constant: 'TEAMCITY',
    identity: ['TEAMCITY_BUILDCONF_NAME', 'BUILD_NUMBER', 'TEAMCITY_BUILD_PROPERTIES_FILE'],
    url: from('BUILD_URL'),
    pipeline: ['TEAMCITY_PROJECT_NAME'],
    job: ['TEAMCITY_BUILDCONF_NAME'],
    dialect: teamcityDialect,
  },
  {
    id: 'drone',
    constant: 'DRONE',
    identity: ['DRONE_BUILD_LINK', 'DRONE_STAGE_NUMBER'],
    url: from('DRONE_BUILD_LINK'),
    pipeline: ['DRONE_REPO'],
    trigger: ['DRONE_BUILD_EVENT'],
    job: ['DRONE_STAGE_NAME'],
    workspace: 'DRONE_WORKSPACE',
  },
  {
    id: 'woodpecker',
    constant: 'WOODPECKER',
    // CI=woodpecker is what ci-info looks at, and a step may change CI.
    signs: ['CI_SYSTEM_NAME', 'CI_PIPELINE_NUMBER', 'CI_WORKFLOW_NUMBER'],
    identity: ['CI_SYSTEM_URL', 'CI_REPO', 'CI_PIPELINE_NUMBER', 'CI_WORKFLOW_NUMBER'],
    url: from('CI_PIPELINE_URL'),
    pipeline: ['CI_REPO'],
    trigger: ['CI_PIPELINE_EVENT'],
    job: ['CI_WORKFLOW_NAME'],
    workspace: 'CI_WORKSPACE',
  },
  {
    id: 'codebuild',
    constant: 'CODEBUILD',
    identity: ['CODEBUILD_BUILD_ARN'],
    url: from('CODEBUILD_PUBLIC_BUILD_URL'),
    trigger: ['CODEBUILD_WEBHOOK_EVENT', 'CODEBUILD_INITIATOR'],
    workspace: 'CODEBUILD_SRC_DIR',
  },
  {
    id: 'semaphore',
    constant: 'SEMAPHORE',
    identity: ['SEMAPHORE_ORGANIZATION_URL', 'SEMAPHORE_JOB_ID'],
    url: joined(from('SEMAPHORE_ORGANIZATION_URL'), text('/jobs/'), from('SEMAPHORE_JOB_ID')),
    pipeline: ['SEMAPHORE_PROJECT_NAME'],
    job: ['SEMAPHORE_JOB_NAME'],
    workspace: 'SEMAPHORE_GIT_DIR',
  },
  {
    id: 'appveyor',
    constant: 'APPVEYOR',
    identity: ['APPVEYOR_URL', 'APPVEYOR_JOB_ID'],
    url: joined(
      from('APPVEYOR_URL'),
      text('/project/'),
      from('APPVEYOR_ACCOUNT_NAME'),
      text('/'),
      from('APPVEYOR_PROJECT_SLUG'),
      text('/builds/'),
      from('APPVEYOR_BUILD_ID'),
    ),
    pipeline: ['APPVEYOR_PROJECT_NAME'],
    job: ['APPVEYOR_JOB_NAME'],
    workspace: 'APPVEYOR_BUILD_FOLDER',
  },
  {
    id: 'cirrus',
    constant: 'CIRRUS',
    identity: ['CIRRUS_TASK_ID'],
    url: joined(text('https://cirrus-ci.com/task/'), from('CIRRUS_TASK_ID')),
    pipeline: ['CIRRUS_REPO_FULL_NAME'],
    job: ['CIRRUS_TASK_NAME'],
    workspace: 'CIRRUS_WORKING_DIR',
  },
  {
    id: 'bamboo',
    constant: 'BAMBOO',
    // The key of the job's result has plan, job and build number; a job that is run again has the key of the first.
    identity: ['bamboo_resultsUrl', 'bamboo_buildResultKey', 'bamboo_build_working_directory'],
    url: from('bamboo_resultsUrl', 'bamboo_buildResultsUrl'),
    pipeline: ['bamboo_planName'],
    job: ['bamboo_shortJobName'],
    workspace: 'bamboo_build_working_directory',
  },
]
