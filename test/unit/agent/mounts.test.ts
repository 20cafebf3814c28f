import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from 'vitest'
import {Mounts} from '../../../src/agent/files/mounts.ts'

const lines = [
  '614 500 0:50 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/a - b',
  '615 614 0:51 / /proc rw,nosuid - proc proc rw',
  '616 614 0:52 / /data rw shared:4 master:2 - nfs4 server:/export rw',
  '617 614 0:53 / /with\\040space rw - fuse.sshfs host: rw',
  '618 616 8:1 / /data/scratch rw - ext4 /dev/sda1 rw',
]

describe('Mounts', () => {
  let folder: string
  let table: string
  let now: number
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mrd-mounts-'))
    table = join(folder, 'mountinfo')
    now = 0
    writeFileSync(table, lines.join('\n') + '\n')
  })
  afterEach(() => rmSync(folder, {recursive: true, force: true}))

  it.each([
    ['/etc/hosts', true],
    ['/database', true],
    ['/data', false],
    ['/data/file', false],
    ['/data/scratch/file', false],
    ['/with space/file', false],
    ['/proc/1/status', false],
  ])('says of %s whether it answers at once: %s', (path, atOnce) => {
    expect(new Mounts(table, () => now).atOnce(path)).toBe(atOnce)
  })

  it('knows the numbers of its mounts', () => {
    const mounts = new Mounts(table, () => now)
    expect(['614', '618', '500', '61', ''].map((id) => mounts.has(id))).toEqual([true, true, false, false, false])
  })

  it('sees a new mount after a second, and trusts nothing when the process has ended', () => {
    const mounts = new Mounts(table, () => now)
    expect(mounts.atOnce('/new/file')).toBe(true)
    writeFileSync(table, [...lines, '619 614 0:54 / /new rw - ceph mon:/ rw'].join('\n'))
    now = 1001
    expect(mounts.atOnce('/new/file')).toBe(false)
    rmSync(table)
    now = 2002
    expect(mounts.atOnce('/etc/hosts')).toBe(false)
  })
})
