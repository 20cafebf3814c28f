import {spawnSync} from 'node:child_process'
import {existsSync, readFileSync} from 'node:fs'
import {describe, expect, it} from 'vitest'
import {makeTrap, which} from './harness.ts'

const cross = 'aarch64-linux-gnu-gcc'
const canCross = which(cross) !== undefined && existsSync('/usr/aarch64-linux-gnu/include/stdio.h')

describe('the trap for aarch64', () => {
  it.skipIf(!canCross)(`is built without a warning${canCross ? '' : ` (no ${cross})`}`, {timeout: 120_000}, () => {
    const path = makeTrap('build/mirrord-trap-aarch64')
    const built = readFileSync(path)
    expect(built.subarray(0, 4).toString('latin1')).toBe('\x7fELF')
    expect(built.readUInt16LE(18), 'EM_AARCH64 in elf.h').toBe(183)
    const {stdout} = spawnSync('readelf', ['-lW', path], {encoding: 'utf8'})
    expect(stdout).toContain('LOAD')
    expect(stdout, 'static').not.toContain('INTERP')
  })
})
