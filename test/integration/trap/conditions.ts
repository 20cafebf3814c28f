import {chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, describe} from 'vitest'
import {asNobody, nobodyMay} from '../nobody.ts'
import {buildTrap, compile, trapPath, useTrap, which} from './harness.ts'

/** What a machine may be like: who runs, and what it denies (test/apps/trap/deny.c). */
export interface Condition {
  name: string
  nobody: boolean
  /** For `deny`, '' for nothing. */
  denied: string
  /** Only in the long run. */
  long: boolean
}

/** `npm test` shows the plainest machine and the most restricted one; MIRRORD_LONG=1 all of them. */
export const conditions: readonly Condition[] = [
  {name: 'natively', nobody: false, denied: '', long: false},
  {name: 'without pidfd_getfd as nobody', nobody: true, denied: 'docker', long: false},
  {name: 'as nobody', nobody: true, denied: '', long: true},
  {name: 'without pidfd_getfd', nobody: false, denied: 'docker', long: true},
  {name: 'without pidfd_getfd and process_vm_readv', nobody: false, denied: 'docker,vm', long: true},
  {name: 'on a kernel before 5.19', nobody: false, denied: 'killable,wake', long: true},
  {name: 'on a kernel before 5.19, without pidfd_getfd', nobody: false, denied: 'docker,killable,wake', long: true},
]

/** Why this machine cannot show a condition; undefined when it can. */
function missing(condition: Condition): string | undefined {
  if (!condition.nobody) return undefined
  if (process.getuid?.() !== 0) return 'needs root to become nobody'
  if (!which('setpriv')) return 'needs setpriv'
  if (!nobodyMay('execute', process.execPath)) return `nobody may not run ${process.execPath}`
  return undefined
}

/** Writes a script that runs mirrord-trap in a condition, into a directory that everybody may read. */
export function trapIn(condition: Pick<Condition, 'nobody' | 'denied'>): {path: string; remove(): void} {
  const directory = mkdtempSync(join(tmpdir(), 'mirrord-condition-'))
  const path = join(directory, 'trap')
  chmodSync(directory, 0o755)
  buildTrap()
  copyFileSync(trapPath, join(directory, 'mirrord-trap'))
  copyFileSync(compile('deny'), join(directory, 'deny'))
  const become = condition.nobody ? `${asNobody.join(' ')} ` : ''
  const deny = condition.denied ? `${directory}/deny ${condition.denied} ` : ''
  writeFileSync(path, `#!/bin/sh\nexec ${become}${deny}${directory}/mirrord-trap "$@"\n`, {mode: 0o755})
  return {path, remove: () => rmSync(directory, {recursive: true})}
}

/** The same tests in every condition; those that the machine lacks are skipped by name. */
export function inEachCondition(title: string, tests: (condition: Condition) => void): void {
  describeIn(
    conditions.filter(({long}) => !long || process.env.MIRRORD_LONG),
    title,
    tests,
  )
}

/** For tests whose files are this user's alone: no condition becomes nobody, and the short run denies pidfd_getfd to this user. */
export function inOwnConditions(title: string, tests: (condition: Condition) => void): void {
  const short = ['', 'docker']
  describeIn(
    conditions.filter(({nobody, denied}) => !nobody && (short.includes(denied) || process.env.MIRRORD_LONG)),
    title,
    tests,
  )
}

function describeIn(those: readonly Condition[], title: string, tests: (condition: Condition) => void): void {
  for (const condition of those) {
    const why = missing(condition)
    const name = `${title}, ${condition.name}${why ? ` (${why})` : ''}`
    describe.skipIf(why !== undefined)(name, () => {
      let trap: {path: string; remove(): void}
      beforeAll(() => {
        trap = trapIn(condition)
        useTrap(trap.path)
      })
      afterAll(() => {
        useTrap(undefined)
        trap.remove()
      })
      tests(condition)
    })
  }
}
