import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {PassThrough} from 'node:stream'
import {afterEach, beforeEach, describe, expect, it} from 'vitest'
import {annotate, grouped, logGroup, writeOutputs} from '../../../src/cli/ci-log.ts'
import {MirrordError, type ErrorReport} from '../../../src/errors/mirrord-error.ts'
import {resolveConfig} from '../../../src/config/index.ts'

let stream: PassThrough
let folder: string
beforeEach(() => {
  stream = new PassThrough({encoding: 'utf8'})
  folder = mkdtempSync('/tmp/mct-log-')
})
afterEach(() => rmSync(folder, {recursive: true, force: true}))
const written = () => (stream.read() as string | null) ?? ''

const github = {GITHUB_ACTIONS: 'true', GITHUB_WORKSPACE: '/w'}
const phase = (name: 'target' | 'environment' | 'program') => ({type: 'phase', phase: name, text: name, ms: 1}) as const
const plain = {
  phase: ({text}: {text: string}) => void stream.write(`${text}\n`),
  warning: (text: string) => void stream.write(`! ${text}\n`),
  waiting: () => {},
  ready: () => void stream.write('ready\n'),
}

describe('a start', () => {
  it('has its progress in a group, opened by its first line', () => {
    const group = logGroup('start', stream, github)
    const observer = grouped(plain, group, false)
    expect(written()).toBe('')
    observer.warning('w')
    observer.phase(phase('target'))
    observer.phase(phase('environment'))
    observer.phase(phase('program'))
    group.close()
    group.close()
    expect(written()).toBe('::group::start\n! w\ntarget\nenvironment\nprogram\n::endgroup::\n')
  })

  it('in the foreground ends its group before the program starts', () => {
    const group = logGroup('start', stream, github)
    const observer = grouped(plain, group, true)
    for (const name of ['target', 'environment', 'program'] as const) observer.phase(phase(name))
    observer.ready({} as never)
    group.close()
    expect(written()).toBe('::group::start\ntarget\nenvironment\n::endgroup::\nprogram\nready\n')
  })

  it.each([
    ['outside of any CI', {}],
    ['with CI=false', {...github, CI: 'false'}],
    ['where they are switched off', {...github, MIRRORD_CI_GROUPS: 'off'}],
    ['in a system without groups', {CIRCLECI: 'true'}],
    ['in a system of which only the name is known', {VERCEL: '1'}],
  ])('writes no marks %s', (_, env) => {
    const group = logGroup('start', stream, env)
    grouped(plain, group, false).phase(phase('target'))
    group.close()
    expect(written()).toBe('target\n')
  })
})

describe('an error of the configuration', () => {
  const refusal = async (name: string, text: string, more: {flags?: Record<string, string>} = {}) => {
    writeFileSync(path.join(folder, name), text)
    const flags = {'config-file': name, target: 'pod/x', ...more.flags}
    const error: unknown = await resolveConfig({flags, env: {}, cwd: folder}).catch((thrown: unknown) => thrown)
    if (!(error instanceof MirrordError)) throw new Error('expected a MirrordError', {cause: error})
    return error.report
  }
  const places = (report: ErrorReport) =>
    report.places?.map(({file, line, column}) => [path.relative(folder, file), line, column])

  it.each([
    [
      'a.json',
      '{\n  "feature": {\n    "netwrok": {}, "env": 3\n  },\n  "tarket": 1\n}',
      [
        [3, 20],
        [3, 5],
        [5, 3],
      ],
    ],
    [
      'a.yaml',
      'feature:\n  netwrok: {}\n  env: 3\ntarket: 1\n',
      [
        [3, 3],
        [2, 3],
        [4, 1],
      ],
    ],
    ['a.toml', 'tarket = 1\n', [[1, 1]]],
    ['syntax.json', '{\n "a": ]', [[2, 7]]],
    ['syntax.yaml', 'a: 1\nb: [1\n', [[2, 6]]],
    ['syntax.toml', 'a = 1\nb = \n', [[2, 4]]],
  ])('in %s tells file, line and column of everything at fault', async (name, text, expected) => {
    const found = places(await refusal(name, text))!
    const sorted = (list: unknown[][]) => list.map((entry) => entry.join(':')).sort()
    expect(sorted(found)).toEqual(sorted(expected.map((place) => [name, ...place])))
  })

  it('tells no place for a value of a flag', async () => {
    expect(places(await refusal('a.json', '{}', {flags: {target: 'nonsense/x'}}))).toEqual([])
  })

  it('is shown at the file, relative to the repository, and holds no value of it', async () => {
    const report = await refusal('a.json', '{\n"feature": {"netwrok": "hunter2", "env": 3}}')
    annotate(report, stream, {...github, GITHUB_WORKSPACE: path.dirname(folder)})
    const shown = path.basename(folder)
    const lines = written().trimEnd().split('\n')
    expect(lines).toHaveLength(2)
    for (const line of lines)
      expect(line).toMatch(
        new RegExp(`^::error title=mirrord%3A CONFIG_INVALID,file=${shown}/a\\.json,line=2,col=\\d+::`),
      )
    expect(lines.join()).not.toContain('hunter2')
    annotate(report, stream, {GITLAB_CI: 'true'})
    expect(written()).toBe('')
  })
})

describe('the outputs of a step', () => {
  const summary = {
    name: 'web',
    programPid: 1,
    pod: 'pod/web-0',
    incoming: 'steal' as const,
    ports: [80, 443],
    outputDirectory: '/o',
  }

  it('are added to the file that the system names', () => {
    const file = path.join(folder, 'output')
    writeFileSync(file, 'before=1\n')
    expect(writeOutputs(summary, {...github, GITHUB_OUTPUT: file})).toBeUndefined()
    const text = readFileSync(file, 'utf8').replaceAll(/mirrord_[\da-f-]{36}/g, 'D')
    expect(text).toBe(
      'before=1\nmirrord-session<<D\nweb\nD\nmirrord-pod<<D\npod/web-0\nD\nmirrord-ports<<D\n80,443\nD\nmirrord-output-directory<<D\n/o\nD\n',
    )
  })

  it('are left out elsewhere, and a file that cannot be written is a warning', () => {
    expect(writeOutputs(summary, {GITHUB_OUTPUT: path.join(folder, 'none')})).toBeUndefined()
    expect(writeOutputs(summary, github)).toBeUndefined()
    expect(() => readFileSync(path.join(folder, 'none'))).toThrow()
    expect(writeOutputs(summary, {...github, GITHUB_OUTPUT: folder})).toMatch(/GITHUB_OUTPUT.*EISDIR/)
  })
})
