import {execFile} from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {promisify} from 'node:util'
import {afterEach, beforeEach, expect, test} from 'vitest'
import {publishReports, type SessionRemains} from '../../../src/report/publish.ts'
import {jobReportSchema, type SessionReport} from '../../../src/report/schema.ts'
import {crashedSession, exampleSession} from '../../unit/report/example.ts'

const job = '5e1fc0de'
let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'mirrord-publish-'))
})
afterEach(() => {
  chmodSync(folder, 0o700)
  rmSync(folder, {recursive: true, force: true})
})

const remains = (report: SessionReport, changes: Partial<SessionRemains> = {}): SessionRemains => ({
  id: report.session.id,
  name: report.session.name,
  job: report.session.job,
  program: report.session.program,
  target: report.session.target,
  createdAt: report.session.startedAt,
  text: JSON.stringify(report),
  ...changes,
})
const publish = (left: SessionRemains[], summaryFile?: string) =>
  publishReports(left, {folder, own: false, job, version: '0.1.0', summaryFile})
const written = () => jobReportSchema.parse(JSON.parse(readFileSync(path.join(folder, 'mirrord-report.json'), 'utf8')))
const ids = () => written().sessions.map(({session}) => session.id)

test('several stops of one job append, ordered by the starts of the sessions', () => {
  const [first, second] = [exampleSession(), crashedSession()]
  expect(publish([remains(second)]).warnings).toEqual([])
  expect(publish([remains(first)]).sessions).toBe(2)
  expect(ids()).toEqual([first.session.id, second.session.id])
  expect(written().sessions).toEqual([first, second])
  expect(readFileSync(path.join(folder, 'mirrord-report.html'), 'utf8')).toContain('1 of 2 sessions failed')
  expect(readFileSync(path.join(folder, 'mirrord-report.md'), 'utf8')).toContain('1 of 2 sessions failed')
})

test('stops at once lose no session, and the one that knows of the failure wins', async () => {
  const names = Array.from({length: 6}, (_, index) => `${index}`.repeat(8))
  const run = promisify(execFile)
  const adder = path.join(import.meta.dirname, 'adder.ts')
  await Promise.all(
    names.flatMap((id) =>
      ['', 'PROGRAM_CRASHED'].map((failure) => run(process.execPath, [adder, folder, id, failure])),
    ),
  )
  expect(ids()).toEqual(names)
  expect(written().sessions.map(({failure}) => failure?.code)).toEqual(names.map(() => 'PROGRAM_CRASHED'))
  // Each session is told once in the step's summary, whichever of the two stops was the first.
  const told = readFileSync(path.join(folder, 'summary.md'), 'utf8').match(/^### .*$/gm)!
  expect(told.sort()).toEqual(names.map((id) => `### ${id}`))
  expect(readdirSync(folder).sort()).toEqual([
    'mirrord-report.html',
    'mirrord-report.json',
    'mirrord-report.md',
    'sessions',
    'summary.md',
  ])
  expect(readdirSync(path.join(folder, 'sessions'))).toEqual(names.map((id) => `${id}.json`))
}, 120_000)

test('a session that was killed gives its last report and what the stop found', () => {
  const report = exampleSession()
  delete report.session.endedAt
  const failure = {
    code: 'SESSION_LOST',
    exit: 'programCrashed',
    what: 'It ended.',
    next: ['Run again.'],
    detail: 'token=hunter2',
  } as const
  expect(publish([remains(report, {failure})]).warnings).toEqual([])
  expect(written().sessions).toEqual([
    {...report, failure: {code: 'SESSION_LOST', exit: 74, what: 'It ended.', next: ['Run again.']}},
  ])
  for (const name of readdirSync(folder).filter((file) => file.startsWith('mirrord'))) {
    // The end of the program's output, which the error shows on the terminal, is in no report.
    expect(readFileSync(path.join(folder, name), 'utf8')).not.toContain('hunter2')
  }
})

test.each([
  ['nothing', undefined, undefined],
  ['no JSON', '{"format": 1, "ses', /could not be read: it is not JSON/],
  ['another version', '{"format": 2}', /its format is 2, and this version reads 1/],
  ['another shape', '{"format": 1}', /it is not a report of this version \(version: /],
  ["another session's report", JSON.stringify(crashedSession()), /it is that of session 9ab3e77c/],
])('a session that left %s is named, and never fails the stop', (_, text, warning) => {
  const report = exampleSession()
  const {warnings, html} = publish([remains(report, {text})])
  expect(warnings).toEqual(warning ? [expect.stringMatching(warning)] : [])
  expect(existsSync(html!)).toBe(true)
  expect(written().sessions[0]).toMatchObject({
    session: {id: report.session.id, name: report.session.name},
    incoming: {ports: []},
  })
  expect(written().sessions[0]!.warnings[0]).toContain('left no report of its own')
})

test('unreadable reports in the folder are named and replaced, those of other jobs left out', () => {
  mkdirSync(path.join(folder, 'sessions'))
  writeFileSync(path.join(folder, 'sessions', 'aaaaaaaa.json'), '[')
  const other = exampleSession({}, 'bbbbbbbb')
  other.session.job = '00000000'
  writeFileSync(path.join(folder, 'sessions', 'bbbbbbbb.json'), JSON.stringify(other))
  writeFileSync(path.join(folder, 'mirrord-report.json'), '{"format": 7}')
  const {warnings} = publish([remains(exampleSession())])
  expect(warnings).toEqual([
    expect.stringMatching(/aaaaaaaa\.json was left out/),
    expect.stringMatching(/mirrord-report\.json was replaced: its format is 7/),
  ])
  expect(ids()).toEqual([exampleSession().session.id])
})

test('a merged report without its parts, as an earlier step restored it, is appended to', () => {
  publish([remains(exampleSession())])
  rmSync(path.join(folder, 'sessions'), {recursive: true})
  publish([remains(crashedSession())])
  expect(ids()).toHaveLength(2)
})

test('links in the folder are replaced, not followed', () => {
  const victim = path.join(folder, 'victim')
  writeFileSync(victim, 'mine')
  for (const name of ['mirrord-report.json', 'mirrord-report.html', 'mirrord-report.md'])
    symlinkSync(victim, path.join(folder, name))
  publish([remains(exampleSession())])
  expect(readFileSync(victim, 'utf8')).toBe('mine')
  expect(ids()).toHaveLength(1)
})

test('a folder that cannot be written is a warning', () => {
  writeFileSync(path.join(folder, 'file'), '')
  const result = publishReports([remains(exampleSession())], {
    folder: path.join(folder, 'file', 'x'),
    own: false,
    job,
    version: '0',
  })
  expect(result).toEqual({sessions: 0, warnings: [expect.stringMatching(/could not be written to .*file\/x: ENOTDIR/)]})
})

test('a folder of ours that somebody else has put there as a link is refused', () => {
  const link = path.join(folder, 'link')
  symlinkSync(folder, link)
  const result = publishReports([remains(exampleSession())], {folder: link, own: true, job, version: '0'})
  expect(result.warnings).toEqual([expect.stringMatching(/is not a folder of this user/)])
  expect(existsSync(path.join(folder, 'mirrord-report.json'))).toBe(false)
})

test("the step's summary is appended to, within its limit, and told when it is full", () => {
  const summary = path.join(folder, 'summary')
  writeFileSync(summary, 'before')
  expect(publish([remains(exampleSession())], summary).warnings).toEqual([])
  expect(readFileSync(summary, 'utf8')).toMatch(/^before\n\n## mirrord: 1 session, no failure\n/)
  writeFileSync(summary, 'x'.repeat(1024 * 1024 - 100))
  expect(publish([remains(crashedSession())], summary).warnings).toEqual([expect.stringMatching(/is full/)])
  expect(readFileSync(summary).length).toBe(1024 * 1024 - 100)
})
