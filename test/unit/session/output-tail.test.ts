import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {afterEach, beforeEach, expect, it} from 'vitest'
import {diedBeforeReady} from '../../../src/session/failures.ts'
import {outputTail} from '../../../src/session/output-tail.ts'
import {identify} from '../../../src/util/process.ts'
import {lost} from '../../../src/session/stop-failures.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'mirrord-tail-'))
})
afterEach(() => rmSync(folder, {recursive: true}))

const write = (name: string, ...lines: (string | number)[]) =>
  writeFileSync(path.join(folder, name), lines.map((line) => `${line}\n`).join(''))
const numbers = (from: number, to: number) => Array.from({length: to - from + 1}, (_, index) => from + index)

it('the last 50 lines of a stream go on in the file that was rotated', () => {
  write('stdout.1', ...numbers(1, 100))
  write('stdout', ...numbers(101, 110))
  write('stderr', 'only')
  expect(outputTail(folder)!.split('\n')).toEqual([
    `--- stdout (${folder}/stdout)`,
    ...numbers(61, 110).map(String),
    `--- stderr (${folder}/stderr)`,
    'only',
  ])
})

it('without output there is none', () => {
  write('stdout')
  expect([outputTail(folder), outputTail(undefined)]).toEqual([undefined, undefined])
})

it('a port that is taken is recognised though the words were rotated away', () => {
  write('stderr.1', 'Error: listen EADDRINUSE: address already in use :::8080')
  write('stderr', 'bye')
  expect(diedBeforeReady('web', {code: 1}, folder).code).toBe('PORT_IN_USE')
})

it('the log of a lost session goes on in the file that was rotated', () => {
  write('mirrord.log.1', ...numbers(1, 30))
  write('mirrord.log', 31)
  const session = identify(process.pid)!
  const record = {id: '1', job: '2', name: 'web', program: 'web', createdAt: '', format: 1, state: 'ready'} as const
  const {detail} = lost({...record, session, outputDirectory: folder})
  expect(detail!.split('\n')).toEqual(numbers(12, 31).map(String))
})
