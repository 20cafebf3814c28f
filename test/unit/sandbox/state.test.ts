import {existsSync, mkdtempSync, mkdirSync, rmSync, utimesSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {createStateDir, reapStateDirs} from '../../../sandbox/state.ts'

test('directories of dead sandboxes are removed, those of living and beginning ones stay', () => {
  const base = mkdtempSync(join(tmpdir(), 'state-'))
  try {
    const alive = createStateDir(base)
    const dead = createStateDir(base)
    writeFileSync(join(dead, 'owner.json'), JSON.stringify({pid: process.pid, started: '1'}))
    const [young, broken] = ['mirrord-sandbox-young', 'mirrord-sandbox-broken'].map((name) => join(base, name)) as [
      string,
      string,
    ]
    for (const dir of [young, broken]) mkdirSync(dir)
    utimesSync(broken, 1, 1)
    expect(reapStateDirs(base).sort()).toEqual([broken, dead].sort())
    expect([alive, young].every(existsSync)).toBe(true)
  } finally {
    rmSync(base, {recursive: true})
  }
})
