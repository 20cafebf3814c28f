import {appendFileSync, readFileSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, expect, test} from 'vitest'
import {jobReportSchema} from '../../src/report/schema.ts'
import {expectExit, Harness} from './support/harness.ts'
import {node} from './support/programs.ts'
import {until} from './support/until.ts'

const harness = await Harness.open()
afterAll(() => harness.close())

const server = [node, path.join(import.meta.dirname, 'programs', 'server.mjs'), '8080', 'local']

test('a stop by name reports what it ended; a session that goes on is reported by the stop that ends it', async () => {
  const job = harness.job()
  try {
    const directory = path.join(job.folder, 'report')
    const reported = () => {
      const text = readFileSync(path.join(directory, 'mirrord-report.json'), 'utf8')
      return jobReportSchema.parse(JSON.parse(text)).sessions
    }
    const stop = (...names: string[]) => job.stop(...names, '--report-dir', directory)
    const file = path.join(job.folder, 'quiet.json')
    writeFileSync(file, JSON.stringify({feature: {network: {incoming: 'off'}}}))
    expectExit(await job.start('-f', file, '--name', 'quiet', '--', 'sleep', '300'), 'success')
    // In the foreground without ci.output_dir: its report is in no file that outlives it.
    const target = ['--target', 'deployment/echo']
    const attached = job.spawn(['ci', 'start', ...target, '--name', 'api', '--foreground', '--', ...server])
    await until('an answer of the local program', async () => (await harness.who()).who === 'local')
    expectExit(await stop('api'), 'success')
    await attached.result
    expect(reported().map(({session}) => session.name)).toEqual(['api'])
    expect(reported()[0]!.incoming.ports).toMatchObject([{port: 8080, stolen: 1}])
    expect(reported()[0]!.session.endedAt).toBeDefined()
    expectExit(await stop(), 'success')
    expect(reported().map(({session}) => session.name)).toEqual(['quiet', 'api'])
    expect(reported().every(({session, failure}) => session.endedAt && !failure)).toBe(true)
    await harness.nothingLeft(job)
  } finally {
    await harness.finish(job)
  }
})

test('ci stop reports what the sessions of the job did, one that was killed included', async () => {
  const job = harness.job()
  try {
    const summary = path.join(job.folder, 'summary.md')
    const directory = path.join(job.folder, 'report')
    const stop = () => job.run(['ci', 'stop', '--report-dir', directory], {env: {GITHUB_STEP_SUMMARY: summary}})
    appendFileSync(summary, '# Tests\n')
    expectExit(await job.start('--target', 'deployment/echo', '--', ...server), 'success')
    expect((await harness.who()).who).toBe('local')
    const first = await stop()
    expectExit(first, 'success')
    expect(first.stdout).toContain(`Report: ${path.join(directory, 'mirrord-report.html')}`)
    expectExit(await job.start('--target', 'deployment/echo', '--', ...server), 'success')
    process.kill(job.session().pid, 'SIGKILL')
    expectExit(await stop(), 'programCrashed')
    const read = (name: string) => readFileSync(path.join(directory, name), 'utf8')
    const {sessions} = jobReportSchema.parse(JSON.parse(read('mirrord-report.json')))
    expect(sessions.map(({failure}) => failure?.code)).toEqual([undefined, 'SESSION_LOST'])
    expect(sessions[0]!.incoming.ports).toMatchObject([{port: 8080, stolen: 1}])
    expect(sessions[0]!.incoming.routes).toMatchObject([{method: 'GET', port: 8080, statuses: {200: 1}}])
    expect(sessions[0]!.session.endedAt).toBeDefined()
    expect(sessions[1]!.phases.map(({name}) => name)).toEqual(['target', 'agent', 'environment', 'program', 'ready'])
    expect(read('mirrord-report.html')).toContain('1 of 2 sessions failed')
    expect(read('mirrord-report.md')).toContain('## mirrord: 1 of 2 sessions failed')
    const text = readFileSync(summary, 'utf8')
    expect(text.match(/^#+ .*/gm)!.filter((line) => !line.startsWith('###'))).toEqual([
      '# Tests',
      '## mirrord: 1 session, no failure',
      '## mirrord: 1 of 1 session failed',
    ])
    await harness.nothingLeft(job)
  } finally {
    await harness.finish(job)
  }
})
