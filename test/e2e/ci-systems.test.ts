import {existsSync, globSync, readFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {jobReportSchema} from '../../src/report/schema.ts'
import {expectExit, Harness} from './support/harness.ts'
import type {Job, Result} from './support/mirrord.ts'
import {node} from './support/programs.ts'

const SECRET = 'gh_tops3cret'
const server = [node, path.join(import.meta.dirname, 'programs', 'server.mjs'), '8080', 'local']
const target = ['--target', 'deployment/echo']
let harness: Harness

beforeAll(async () => {
  harness = await Harness.open()
})
afterAll(() => harness.close())

/** The workflow commands of both streams, in their order. */
const commands = ({output}: Result) => output.split('\n').filter((line) => line.startsWith('::'))

describe('in GitHub Actions', () => {
  let job: Job
  const file = (name: string) => path.join(job.folder, name)
  const read = (name: string) => readFileSync(file(name), 'utf8')

  beforeAll(() => {
    job = harness.job({
      GITHUB_ACTIONS: 'true',
      CI: 'true',
      GITHUB_SERVER_URL: 'https://github.com',
      GITHUB_REPOSITORY: 'example/shop',
      GITHUB_RUN_ID: '77',
      GITHUB_RUN_ATTEMPT: '2',
      GITHUB_JOB: 'integration',
      GITHUB_TOKEN: SECRET,
      NO_COLOR: '1',
    })
    Object.assign(job.env, {
      GITHUB_WORKSPACE: job.folder,
      GITHUB_OUTPUT: file('output'),
      GITHUB_STEP_SUMMARY: file('summary.md'),
    })
  })
  afterAll(() => harness.finish(job))

  test('a start gives its outputs and one group, the stop a summary and one group', async () => {
    const started = await job.start(...target, '--name', 'web', '--', ...server)
    expectExit(started, 'success')
    expect(commands(started)).toEqual(['::group::mirrord ci start', '::endgroup::'])
    const given = read('output').matchAll(/^([\w-]+)<<(\S+)\n(.*)\n\2\n/gm)
    const outputs: Record<string, string> = Object.fromEntries([...given].map(([, name, , value]) => [name!, value!]))
    expect(outputs).toEqual({
      'mirrord-session': 'web',
      'mirrord-pod': expect.stringMatching(/^pod\/echo-/) as string,
      'mirrord-ports': '8080',
      'mirrord-output-directory': job.outputFolders()[0],
    })
    expect((await harness.who()).who).toBe('local')
    const stopped = await job.stop('--report-dir', file('report'))
    expectExit(stopped, 'success')
    expect(commands(stopped)).toEqual(['::group::mirrord ci stop', '::endgroup::'])
    expect(read('summary.md')).toContain('## mirrord: 1 session, no failure')
  })

  test('the report names the system, the page of the run and the job', () => {
    const run = {
      provider: 'GitHub Actions',
      url: 'https://github.com/example/shop/actions/runs/77/attempts/2',
      job: 'integration',
    }
    const report = jobReportSchema.parse(JSON.parse(read('report/mirrord-report.json')))
    expect([report.run, report.sessions[0]!.run]).toEqual([run, run])
    expect(read('report/mirrord-report.html')).toContain(`href="${run.url}"`)
  })

  test('a start that fails is an error beside the run, after its group', async () => {
    const failed = await job.start(...target, '--', 'sh', '-c', 'echo last words; exit 9')
    expectExit(failed, 'programDied')
    expect(commands(failed)).toEqual([
      '::group::mirrord ci start',
      '::endgroup::',
      expect.stringMatching(/^::error title=mirrord%3A PROGRAM_DIED::The program "sh" ended before it was ready\./),
    ])
    // The outputs of the first start only.
    expect(read('output').match(/^mirrord-session<</gm)).toHaveLength(1)
  })

  test('a stop that finds a failure is an error beside the run, after its group', async () => {
    const started = await job.start(...target, '--name', 'dies', '--', ...server)
    expectExit(started, 'success')
    process.kill(job.program('server.mjs').pid, 'SIGKILL')
    expect((await job.run(['ci', 'wait', 'dies', '--for', 'exit', '--timeout', '60'])).code).toBe(137)
    const stopped = await job.stop('--report-dir', file('report'))
    expectExit(stopped, 'programCrashed')
    expect(commands(stopped)).toEqual([
      '::group::mirrord ci stop',
      '::endgroup::',
      expect.stringMatching(/^::error title=mirrord%3A PROGRAM_CRASHED::The program ".*" ended during the run/),
    ])
    expect(read('summary.md')).toContain('## mirrord: 1 of 1 session failed')
    await harness.nothingLeft(job)
  })

  test('none of what was written has a secret of the environment', () => {
    const written = globSync(['output', 'summary.md', 'report/**', 'tmp/mirrord/**'], {cwd: job.folder}).filter(
      (name) => existsSync(file(name)) && !globSync(`${name}/*`, {cwd: job.folder}).length,
    )
    expect(written.length).toBeGreaterThan(8)
    for (const name of written) expect(read(name), name).not.toContain(SECRET)
  })
})

test('in GitLab a report names the system, the page of the job and its name, and sections are balanced', async () => {
  const run = {provider: 'GitLab CI', url: 'https://gitlab.com/example/shop/-/jobs/5', job: 'e2e'}
  const job = harness.job({GITLAB_CI: 'true', CI: 'true', CI_JOB_URL: run.url, CI_JOB_NAME: run.job, CI_JOB_ID: '5'})
  try {
    const folder = path.join(job.folder, 'report')
    const results = [await job.start(...target, '--', ...server), await job.stop('--report-dir', folder)]
    for (const result of results) {
      expectExit(result, 'success')
      const marks = [...result.output.matchAll(/section_(start|end):\d+:(mirrord_\d+)/g)]
      expect(marks.map(([, mark]) => mark)).toEqual(['start', 'end'])
      expect(marks[0]![2]).toBe(marks[1]![2])
    }
    const report = jobReportSchema.parse(JSON.parse(readFileSync(path.join(folder, 'mirrord-report.json'), 'utf8')))
    expect([report.run, report.sessions[0]!.run]).toEqual([run, run])
    await harness.nothingLeft(job)
  } finally {
    await harness.finish(job)
  }
})
