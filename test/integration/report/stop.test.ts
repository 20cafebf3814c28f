import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {afterEach, beforeEach, expect, test, vi} from 'vitest'
import {reportSessions} from '../../../src/cli/stop-report.ts'
import {jobReportSchema} from '../../../src/report/schema.ts'
import {leftReport, reportPlace} from '../../../src/session/left-report.ts'
import {SessionStore, type SessionRecord} from '../../../src/session/state.ts'
import type {StoppedSession} from '../../../src/session/stop.ts'
import {exampleSession} from '../../unit/report/example.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'mirrord-stop-report-'))
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(folder, {recursive: true, force: true})
})

/** A session of `job` whose report goes to the default place below `folder`. */
function stoppedSession(job: string, changes: Partial<StoppedSession> = {}): StoppedSession {
  const directory = new SessionStore(path.join(folder, 'state'), job).create()
  const report = exampleSession({}, directory.id)
  report.session = {...report.session, id: directory.id, job}
  const record: SessionRecord = {
    format: 1,
    id: directory.id,
    job,
    name: 'web',
    program: 'node',
    state: 'ready',
    createdAt: report.session.startedAt,
    session: {pid: 1, startTime: '0', bootId: 'another'},
    report: reportPlace(job, {temporary: folder, cwd: '/'}),
  }
  writeFileSync(path.join(directory.path, 'report.json'), JSON.stringify(report))
  return {
    record,
    id: record.id,
    name: 'web',
    program: 'node',
    reportText: leftReport(directory, record),
    ...changes,
  }
}

function capture(): {out: string[]; err: string[]} {
  const told = {out: [] as string[], err: [] as string[]}
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => told.out.push(String(text)) > 0)
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => told.err.push(String(text)) > 0)
  return told
}

const reportIn = (directory: string) =>
  jobReportSchema.parse(JSON.parse(readFileSync(path.join(directory, 'mirrord-report.json'), 'utf8')))

test('the report lies beside the output of the programs, never in the working directory unasked', () => {
  const places = {temporary: '/tmp', cwd: '/repo'}
  expect(reportPlace('5e1fc0de', places)).toEqual({folder: '/tmp/mirrord/report-5e1fc0de', own: true})
  expect(reportPlace('5e1fc0de', {...places, outputDir: 'logs'})).toEqual({
    folder: '/repo/logs/report-5e1fc0de',
    own: false,
  })
  expect(reportPlace('5e1fc0de', {...places, outputDir: 'logs', reportDir: 'report'})).toEqual({
    folder: '/repo/report',
    own: false,
  })
})

test('a stop says where the report is, one for each job', async () => {
  const [one, other] = [stoppedSession('11111111'), stoppedSession('22222222')]
  const {out, err} = capture()
  const pages = await reportSessions([one, other], {version: '0.1.0'})
  expect(pages).toEqual(
    ['11111111', '22222222'].map((job) => path.join(folder, 'mirrord', `report-${job}`, 'mirrord-report.html')),
  )
  expect([out, err]).toEqual([[], []])
  expect(reportIn(path.join(folder, 'mirrord', 'report-11111111')).sessions).toMatchObject([{session: {id: one.id}}])
  await reportSessions([one, other], {version: '0.1.0', reportDir: path.join(folder, 'chosen')})
  expect(reportIn(path.join(folder, 'chosen', '22222222')).sessions).toMatchObject([{session: {id: other.id}}])
})

test('a session that this stop could not end is left to the next one; nothing stopped writes nothing', async () => {
  const kept = stoppedSession('11111111', {
    failure: {code: 'SESSION_NOT_STOPPED', exit: 'permission', what: 'It runs.', next: []},
  })
  const {out, err} = capture()
  await reportSessions([kept], {version: '0.1.0', reportDir: path.join(folder, 'chosen')})
  await reportSessions([], {version: '0.1.0', reportDir: path.join(folder, 'chosen')})
  expect([out, err]).toEqual([[], []])
})

test('the copy beside the output is read when the session has removed its state', () => {
  const {record} = stoppedSession('11111111')
  const gone = new SessionStore(path.join(folder, 'state'), '99999999').create()
  gone.remove()
  expect(leftReport(gone, record)).toBeUndefined()
  mkdirSync(path.join(folder, 'out'))
  writeFileSync(path.join(folder, 'out', 'report.json'), 'text')
  expect(leftReport(gone, {...record, outputDirectory: path.join(folder, 'out')})).toBe('text')
})
