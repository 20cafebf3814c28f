import {execFileSync} from 'node:child_process'
import fs from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from 'vitest'
import {compilePatterns} from '../../../../src/patterns/index.ts'
import {pathClasses} from '../../../../src/trap/types.ts'
import {buildTrap, cleanUp, python, run, type Run} from '../../trap/harness.ts'
import {Room} from './room.ts'

const TOP = '/mirrord-pod'
const differ = path.join(import.meta.dirname, '../../../apps/trap/differ.py')
let room: Room
let local: string
let running: Run | undefined
beforeEach(async () => {
  buildTrap()
  local = fs.mkdtempSync(path.join(tmpdir(), 'mirrord-differ-'))
  room = await Room.open({
    classify: (name) => (name === TOP || name.startsWith(`${TOP}/`) ? 'readWrite' : 'local'),
    changed: () => running?.trap.filesChanged(),
  })
  fs.mkdirSync(room.at(TOP))
})
afterEach(async () => {
  await cleanUp()
  running = undefined
  await room.close()
  fs.rmSync(local, {recursive: true})
})

/** The kernel is the judge: what a program sees of files of the target is what it sees of its own. */
describe.skipIf(!python)('remote files and local ones', () => {
  it.each(process.env.DIFFER_SEEDS?.split(',').map(Number) ?? [1, 2, 3])(
    'are the same to a program (seed %i)',
    async (seed) => {
      running = await run({
        program: python!,
        arguments: [differ, TOP, local, String(seed), process.env.DIFFER_STEPS ?? '400'],
        files: {
          directory: room.proxy.directory,
          rules: compilePatterns([{pattern: `^${TOP}(/|$)`, label: pathClasses.readWrite, ignoreCase: true}]),
          writable: true,
        },
        file: (request) => room.proxy.answer(request),
        fileClosed: (object, opens) => void room.proxy.closed(object, opens),
      })
      expect(await running.finish()).toBe('same\n')
      expect(await room.proxy.flush()).toEqual([])
      expect(execFileSync('diff', ['-r', room.at(TOP), local], {encoding: 'utf8'})).toBe('')
      const modes = (top: string) =>
        execFileSync('find', ['.', '-type', 'f', '-printf', '%p %m\n'], {cwd: top, encoding: 'utf8'}).split('\n').sort()
      expect(modes(room.at(TOP))).toEqual(modes(local))
      expect([...running.warnings, ...room.warnings]).toEqual([])
    },
  )
})
