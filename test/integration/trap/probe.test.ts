import {execFileSync, spawnSync} from 'node:child_process'
import {afterEach, beforeAll, describe, expect, it} from 'vitest'
import {probeTrap} from '../../../src/trap/trap.ts'
import {trapIn} from './conditions.ts'
import {buildTrap, cleanUp, compile, run, trapPath} from './harness.ts'

let deny: string
beforeAll(() => {
  buildTrap()
  deny = compile('deny')
})

afterEach(cleanUp)

describe('--probe', () => {
  it('finds everything here', async () => {
    expect(await probeTrap(trapPath)).toMatchObject({
      available: true,
      seccompUserNotification: true,
      pidfdGetfd: true,
      memoryAccess: true,
      injectDescriptor: true,
      arch: process.arch === 'x64' ? 'x86_64' : 'aarch64',
      kernel: execFileSync('uname', ['-r'], {encoding: 'utf8'}).trim(),
    })
  })

  // Only a static program starts where pread is denied, and a sanitized one is not.
  const denials: [string, string, boolean][] = [
    ['memory', 'memory-denied', true],
    ['seccomp', 'seccomp-denied', false],
    ['old', 'kernel-too-old', false],
    ['listener', 'other-listener', false],
  ]
  const possible = denials.filter(([what]) => !(process.env.MIRRORD_TRAP_VARIANT && what === 'memory'))
  it.each(possible)('under a filter that denies %s says %s', (what, reason, notification) => {
    const {stdout, status} = spawnSync(deny, [what, trapPath, '--probe'], {encoding: 'utf8'})
    expect(status).toBe(1)
    expect(stdout.endsWith('}\n')).toBe(true)
    expect(JSON.parse(stdout)).toMatchObject({available: false, reason, seccompUserNotification: notification})
  })

  it.each([
    ['getfd', {pidfdGetfd: false, memoryAccess: true, waitKillable: true, syncWakeUp: true}],
    ['docker', {pidfdGetfd: false, memoryAccess: true}],
    ['vm', {pidfdGetfd: true, memoryAccess: true}],
    ['docker,vm', {pidfdGetfd: false, memoryAccess: true}],
    ['killable,wake', {pidfdGetfd: true, waitKillable: false, syncWakeUp: false}],
  ])('under a filter that denies %s finds another way', (what, found) => {
    const {stdout, status} = spawnSync(deny, [what, trapPath, '--probe'], {encoding: 'utf8'})
    expect(JSON.parse(stdout)).toMatchObject({available: true, ...found})
    expect(status).toBe(0)
  })

  it.each([
    ['memory', 'memory-denied'],
    ['seccomp', 'seccomp-denied'],
    ['old', 'kernel-too-old'],
  ])('is what the start says too: %s, %s', async (denied, unavailable) => {
    const trap = trapIn({nobody: false, denied})
    try {
      await expect(run({program: '/bin/true', trapPath: trap.path})).rejects.toMatchObject({
        reason: 'unavailable',
        unavailable,
      })
    } finally {
      trap.remove()
    }
  })

  it('is what the start says of the ways it took', async () => {
    const trap = trapIn({nobody: false, denied: 'docker,killable,wake'})
    const program = await run({program: '/bin/true', trapPath: trap.path})
    expect(program.trap.features).toEqual({killable: false, syncWakeUp: false, pidfdGetfd: false})
    await program.finish()
    trap.remove()
  })

  it('rejects when the trap is not there', async () => {
    await expect(probeTrap('/nonexistent/mirrord-trap')).rejects.toMatchObject({
      reason: 'unavailable',
      unavailable: 'not-executable',
    })
  })

  it('takes nothing else on its command line', () => {
    expect(spawnSync(trapPath, ['ls'], {encoding: 'utf8'})).toMatchObject({status: 2})
  })
})
