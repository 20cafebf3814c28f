import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from 'vitest'
import type {Config} from '../../../src/config/index.ts'
import {removeOldFolders} from '../../../src/session/old-folders.ts'
import {removeOldOutput} from '../../../src/session/old-output.ts'
import {makeOutputDirectory} from '../../../src/session/program.ts'
import {SessionStore} from '../../../src/session/state.ts'
import {identify} from '../../../src/util/process.ts'

const DAY_MS = 24 * 3600 * 1000
let folder: string
let base: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'mirrord-old-'))
  base = path.join(folder, 'mirrord')
  mkdirSync(base)
})
afterEach(() => rmSync(folder, {recursive: true}))

const daysAgo = (days: number) => new Date(Date.now() - days * DAY_MS)
let count = 0

/** A folder as `ci start` had made it, whose files were last written so many days ago. */
function output(
  days: number,
  {program = 'web', files = ['stdout', 'stderr', 'mirrord.log'], below = base} = {},
): string {
  const seconds = Math.floor(daysAgo(days).getTime() / 1000)
  const at = path.join(below, `${program}-${seconds}-${String(++count).padStart(7, '0')}`)
  mkdirSync(at, {recursive: true})
  for (const name of files) {
    writeFileSync(path.join(at, name), name)
    utimesSync(path.join(at, name), daysAgo(days), daysAgo(days))
  }
  return at
}

const none = () => Promise.resolve(new Set<string>())
const remove = (most?: number) => removeOldFolders(base, Date.now(), none, most)

describe('[D30] old output folders', () => {
  it('are removed when their newest file is older than seven days', async () => {
    const old = output(8)
    const all = [
      'stdout',
      'stdout.1',
      'stderr',
      'stderr.1',
      'mirrord.log',
      'mirrord.log.1',
      'report.json',
      'report.json.0a1b2c3d',
    ]
    output(400, {program: 'a-1-b', files: all})
    const young = output(6)
    const longRun = output(30)
    utimesSync(path.join(longRun, 'mirrord.log'), daysAgo(6), daysAgo(6))
    expect(await remove()).toEqual({removed: 2, problems: []})
    expect(existsSync(old)).toBe(false)
    expect(readdirSync(base).sort()).toEqual([young, longRun].map((at) => path.basename(at)).sort())
    expect(readdirSync(longRun)).toHaveLength(3)
  })

  it('are recognised as what a start makes', async () => {
    const made = makeOutputDirectory(base, '/usr/bin/web')
    writeFileSync(path.join(made, 'mirrord.log'), '')
    expect((await removeOldFolders(base, Date.now() + 6 * DAY_MS, none)).removed).toBe(0)
    expect((await removeOldFolders(base, Date.now() + 8 * DAY_MS, none)).removed).toBe(1)
    expect(existsSync(made)).toBe(false)
  })

  it('stay when anything in them is not provably ours', async () => {
    const seconds = Math.floor(daysAgo(9).getTime() / 1000)
    const kept = [
      output(9, {files: ['stdout', 'stderr']}),
      output(9, {files: ['mirrord.log', 'notes']}),
      output(9, {files: []}),
    ]
    mkdirSync(path.join(output(9), 'unsaved-abc'))
    mkdirSync(path.join(output(9, {files: ['mirrord.log']}), 'stdout'))
    for (const name of ['web', `web-${seconds}`, `web-${seconds}-short`, `${seconds}-0000000`, `reports-${seconds}`])
      output(9, {below: path.join(base, name)})
    const before = readdirSync(base, {recursive: true}).sort()
    expect(await remove()).toEqual({removed: 0, problems: []})
    expect(readdirSync(base, {recursive: true}).sort()).toEqual(before)
    expect(kept.every((at) => existsSync(at))).toBe(true)
  })

  it('are never found by links: the base, a folder or a file', async () => {
    const elsewhere = path.join(folder, 'elsewhere')
    const named = output(9, {below: elsewhere})
    symlinkSync(named, path.join(base, path.basename(named)))
    const linked = output(9, {files: ['mirrord.log']})
    symlinkSync(path.join(named, 'stdout'), path.join(linked, 'stdout'))
    expect(await remove()).toEqual({removed: 0, problems: []})
    symlinkSync(elsewhere, path.join(folder, 'link'))
    expect(await removeOldFolders(path.join(folder, 'link'), Date.now(), none)).toEqual({removed: 0, problems: []})
    expect(readdirSync(named)).toHaveLength(3)
    expect(readdirSync(linked)).toHaveLength(2)
  })

  it.runIf(process.getuid?.() === 0)('stay when they, or a file in them, belong to another user', async () => {
    const folders = [output(9), output(9)]
    chownSync(folders[0]!, 65_534, 65_534)
    chownSync(path.join(folders[1]!, 'stdout'), 65_534, 65_534)
    expect(await remove()).toEqual({removed: 0, problems: []})
    expect(folders.map((at) => readdirSync(at).length)).toEqual([3, 3])
  })

  const report = (job: string, days: number, others: readonly string[] = []) => {
    const at = path.join(base, `report-${job}`)
    mkdirSync(path.join(at, 'sessions'), {recursive: true})
    const files = ['mirrord-report.json', 'mirrord-report.md', 'mirrord-report.html', 'sessions/0a1b2c3d.json']
    for (const name of [...files, ...others]) {
      writeFileSync(path.join(at, name), name)
      utimesSync(path.join(at, name), daysAgo(days), daysAgo(days))
    }
    return at
  }

  it('are removed with the reports of their jobs, of which every file is as old', async () => {
    const old = report('0123abcd', 8, ['sessions/0a1b2c3d.json.0123abcd', 'mirrord-report.md.01234567'])
    const used = report('used', 8)
    const kept = [
      report('young', 6),
      report('added', 8, ['notes.txt']),
      report('below', 8, ['sessions/notes.txt']),
      report('grown', 8),
      used,
    ]
    utimesSync(path.join(base, 'report-grown/sessions/0a1b2c3d.json'), daysAgo(6), daysAgo(6))
    mkdirSync(path.join(base, 'report-empty'))
    mkdirSync(path.join(base, 'report-linked'))
    symlinkSync(path.join(used, 'sessions'), path.join(base, 'report-linked/sessions'))
    const files = kept.map((at) => readdirSync(at, {recursive: true}).length)
    const inUse = () => Promise.resolve(new Set(['report-used']))
    expect(await removeOldFolders(base, Date.now(), inUse)).toEqual({removed: 1, problems: []})
    expect(existsSync(old)).toBe(false)
    expect(kept.map((at) => readdirSync(at, {recursive: true}).length)).toEqual(files)
  })

  it('are removed a limited number at a time', async () => {
    for (let made = 0; made < 5; made++) output(9)
    expect((await remove(3)).removed).toBe(3)
    expect((await remove(3)).removed).toBe(2)
    expect(readdirSync(base)).toEqual([])
  })

  it('that several sessions remove at the same time are no problem', async () => {
    for (let made = 0; made < 30; made++) output(9)
    const results = await Promise.all(Array.from({length: 4}, () => remove()))
    expect(results.flatMap(({problems}) => problems)).toEqual([])
    expect(readdirSync(base)).toEqual([])
  })
})

describe('[D30] after the start of a session', () => {
  const lines: string[] = []
  const start = (change: {output_dir?: string; outputDirectory?: string} = {}) => {
    lines.length = 0
    const config = {ci: {output_dir: change.output_dir}} as Config
    const outputDirectory = 'outputDirectory' in change ? change.outputDirectory : path.join(base, 'web-1-0000000')
    const environment = {TMPDIR: folder, RUNNER_TEMP: path.join(folder, 'run')}
    return removeOldOutput({config, outputDirectory, environment}, (line) => lines.push(line))
  }

  it('what is old below our own folder is removed, and the log says how many', async () => {
    output(9)
    output(9)
    await start()
    expect(lines).toEqual(['output: old folders removed: 2'])
    expect(readdirSync(base)).toEqual([])
  })

  it('nothing is removed where the user named the folder, nor without files', async () => {
    output(9)
    await start({output_dir: base})
    await start({outputDirectory: undefined})
    expect(lines).toEqual([])
    expect(readdirSync(base)).toHaveLength(1)
  })

  it('the folder of a session that runs stays, of whichever job and however long it has been silent', async () => {
    const store = new SessionStore(path.join(folder, `mirrord-${process.getuid!()}`), 'bbbbbbbb')
    const [running, dead] = [output(20), output(20)]
    const [directory, other] = [store.create(), store.create()]
    const record = {
      format: 1 as const,
      job: 'bbbbbbbb',
      name: 'web',
      program: 'web',
      state: 'ready' as const,
      createdAt: '',
    }
    directory.write({...record, id: directory.id, session: identify(process.pid)!, outputDirectory: running})
    other.write({...record, id: other.id, session: {...identify(process.pid)!, startTime: '1'}, outputDirectory: dead})
    await start()
    expect(readdirSync(base)).toEqual([path.basename(running)])
  })
})
