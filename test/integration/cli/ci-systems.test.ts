import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {describe, expect, it} from 'vitest'
import {currentJob} from '../../../src/session/current-job.ts'
import {jobs} from '../../unit/ci/environments.ts'
import {useCli} from './harness.ts'

const cli = useCli()

/** What a session leaves for `ci stop` when it has failed during the run. */
function failedSession(env: Record<string, string>) {
  const store = currentJob({RUNNER_TEMP: path.join(cli.folder, 'run'), ...env})
  const directory = store.create()
  directory.write({
    format: 1,
    id: directory.id,
    job: store.job,
    name: 'server',
    program: 'server',
    state: 'ended',
    createdAt: new Date().toISOString(),
    session: {pid: 2 ** 22 - 1, startTime: '1', bootId: 'another'},
    failure: {code: 'PROGRAM_CRASHED', exit: 'programCrashed', what: 'It crashed: 100%\nboom', next: ['Fix it.']},
  })
}

const without = {MIRRORD_CI_JOB: undefined}

describe.each(jobs)('in a job of $provider', ({env, others}) => {
  it('ci stop finds the sessions of this job and of no other', async () => {
    const [other] = Object.values(others)
    failedSession({...env, ...other})
    const stopped = await cli.run(['ci', 'stop'], {env: {...without, ...env}})
    expect([stopped.code, stopped.stdout]).toEqual([0, 'Nothing to stop: no mirrord session of this job is running.\n'])
    failedSession(env)
    // A step may set CI=false for a tool of its own.
    const again = await cli.run(['ci', 'stop'], {env: {...without, ...env, CI: 'false'}})
    expect([again.code, again.stdout]).toEqual([74, 'Removed server\n'])
    expect(again.stderr).not.toMatch(/^(::|##|---|\+\+\+)|section_|travis_fold/m)
  })
})

const crash = 'mirrord: PROGRAM_CRASHED'
describe('ci stop with a session that had failed [EXIT-74]', () => {
  it.each([
    [
      'github',
      /^::group::mirrord ci stop\nRemoved server\n::endgroup::\n$/,
      `::error title=${crash.replace(':', '%3A')}::It crashed: 100%25%0Aboom%0AFix it.\n`,
    ],
    [
      'azure',
      /^##\[group\]mirrord ci stop\nRemoved server\n##\[endgroup\]\n$/,
      `##vso[task.logissue type=error;code=${crash}]It crashed: 100%AZP25%0Aboom%0AFix it.\n`,
    ],
    [
      'gitlab',
      /^ESC\[0Ksection_start:\d{10}:(\w+)\[collapsed=true\]\rESC\[0Kmirrord ci stop\nRemoved server\nESC\[0Ksection_end:\d{10}:\1\rESC\[0K\n$/,
      undefined,
    ],
    ['buildkite', /^--- mirrord ci stop\nRemoved server\n\+\+\+ mirrord ci stop\n$/, undefined],
    [
      'teamcity',
      /^##teamcity\[blockOpened name='mirrord ci stop'\]\nRemoved server\n##teamcity\[blockClosed name='mirrord ci stop'\]\n$/,
      `##teamcity[message text='${crash}: It crashed: 100%|nboom|nFix it.' status='ERROR']\n`,
    ],
    [
      'travis',
      /^travis_fold:start:(\w+)\rESC\[0Kmirrord ci stop\nRemoved server\ntravis_fold:end:\1\rESC\[0K\n$/,
      undefined,
    ],
    ['circleci', /^Removed server\n$/, undefined],
  ])('speaks the language of %s', async (name, stdout, error) => {
    const {env} = jobs.find(({id}) => id === name)!
    failedSession(env)
    const result = await cli.run(['ci', 'stop'], {env: {...without, ...env, NO_COLOR: '1'}})
    expect(result.code).toBe(74)
    expect(result.stdout.replaceAll('\u001B', 'ESC')).toMatch(stdout)
    const end = '  Code: PROGRAM_CRASHED (exit 74)\n'
    expect(result.stderr.slice(result.stderr.indexOf(end) + end.length)).toBe(error ?? '')
  })
})

describe('ci start in GitHub Actions', () => {
  const github = {GITHUB_ACTIONS: 'true', NO_COLOR: '1'}

  it('shows a fault of the configuration at its file, line and column', async () => {
    mkdirSync(path.join(cli.folder, 'ci'))
    writeFileSync(path.join(cli.folder, 'ci/mirrord.yaml'), 'target: pod/x\nfeature:\n  netwrok: {}\n')
    const output = path.join(cli.folder, 'output')
    const {code, stdout, stderr} = await cli.run(['ci', 'start', '-f', 'ci/mirrord.yaml', 'node'], {
      env: {...github, GITHUB_WORKSPACE: cli.folder, GITHUB_OUTPUT: output},
    })
    expect([code, stdout]).toEqual([30, ''])
    expect(stderr.split('\n').filter((line) => line.startsWith('::'))).toEqual([
      '::error title=mirrord%3A CONFIG_INVALID,file=ci/mirrord.yaml,line=3,col=3::The configuration is invalid. feature.netwrok: is not a known key; did you mean "network"?%0ACorrect feature.netwrok.',
    ])
    expect(existsSync(output)).toBe(false)
  })

  it('shows a syntax error of TOML at its line', async () => {
    writeFileSync(path.join(cli.folder, 'mirrord.toml'), 'target = "pod/x"\nfeature = \n')
    const env = {...github, GITHUB_WORKSPACE: cli.folder}
    const {code, stderr} = await cli.run(['ci', 'start', '-f', 'mirrord.toml', 'node'], {env})
    expect(code).toBe(30)
    expect(stderr).toContain('\n::error title=mirrord%3A CONFIG_SYNTAX,file=mirrord.toml,line=2,col=10::')
  })

  it('shows a wrong command line beside the run, as everything else', async () => {
    const {code, stderr} = await cli.run(['ci', 'start', '--traget', 'pod/x', 'node'], {env: github})
    expect(code).toBe(2)
    expect(stderr).toContain('\n::error title=mirrord%3A USAGE::There is no flag --traget.')
  })

  it('groups the progress only when there is some, on stderr', async () => {
    writeFileSync(path.join(cli.folder, 'kubeconfig'), readFileSync(import.meta.filename))
    const {stdout, stderr} = await cli.run(['ci', 'start', 'node'], {env: {...github, KUBECONFIG: 'kubeconfig'}})
    expect(stdout).toBe('')
    expect(stderr).not.toContain('::group::')
    expect(stderr).toMatch(/^::error title=mirrord%3A KUBECONFIG_/m)
  })
})
