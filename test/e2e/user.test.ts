import {mkdirSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {beforeEach, describe, expect, test} from 'vitest'
import {asUnknownUser, unknownUser, whyNotAnother} from '../integration/nobody.ts'
import {withoutPasswd, withOwnMounts} from '../integration/own-mounts.ts'
import {harness, job} from './support/each-test.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import {node} from './support/programs.ts'
import {giveTo} from './support/users.ts'

// A whole session of a container's user without a passwd entry (`docker run -u 1234`, OpenShift), whatever HOME is.

const below = asUnknownUser()
const barred = whyNotAnother(below)
const server = path.join(import.meta.dirname, 'programs/server.mjs')
const unwritable = () => path.join(job.folder, 'unwritable')

describe.skipIf(barred)(`a user number without a passwd entry${barred ? ` (${barred})` : ''}`, () => {
  beforeEach(() => {
    delete job.env.HOME
    giveTo(job, unknownUser)
    mkdirSync(unwritable())
  })

  const homes: [string, () => string | undefined][] = [
    ['is not set', () => undefined],
    ['is /', () => '/'],
    ['is empty', () => ''],
    ['is not there', () => '/nowhere/at/all'],
    ['is relative', () => 'home'],
    ['cannot be written', unwritable],
  ]
  // What the commands alone do with the others is in test/integration/cli/user.test.ts.
  test.each(process.env.MIRRORD_LONG ? homes : homes.slice(0, 2))(
    '[LIF-01, LIF-05] starts, asks for and stops a session when HOME %s',
    async (_, value) => {
      const home = value()
      if (home !== undefined) job.env.HOME = home
      const words = ['--target', 'deployment/echo', '--name', 'local', '--', node, server, '8080', 'local']
      expectExit(await job.run(['ci', 'start', ...words], {below}), 'success')
      expect((await harness.who()).who).toBe('local')

      const status = await job.run(['ci', 'status', '--json'], {below})
      expectExit(status, 'success')
      expect(status.stdout).toContain('"local"')
      expectExit(await job.run(['ci', 'wait', '--for', 'ready'], {below}), 'success')
      expectExit(await job.run(['ci', 'logs', 'local'], {below}), 'success')
      const listed = await job.run(['ls'], {below})
      expectExit(listed, 'success')
      expect(listed.stdout).toContain('deployment/echo')

      expectExit(await job.run(['ci', 'stop'], {below}), 'success')
      expect((await harness.who()).who).toBe('deployed')
      expect(job.files()).toEqual([])
      await harness.nothingLeft(job)
    },
  )

  test('[ENV-01, ENV-06] gives the program the environment of the job and the target, byte for byte, and nothing else', async () => {
    Object.assign(job.env, {ODD: ' a=b "c" \n\té', EMPTY: '', MIRRORD_DISABLE_AUTOUPDATE: 'mine'})
    const config = path.join(job.folder, 'mirrord.json')
    const feature = {env: {include: 'FROM_POD'}, network: {incoming: 'off'}}
    writeFileSync(config, JSON.stringify({target: 'deployment/echo', feature}))
    expectExit(await job.run(['ci', 'start', '-f', config, '--', 'sleep', '300'], {below}), 'success')
    const given = Object.entries({...job.env, FROM_POD: 'yes'}).map(([name, text]) => `${name}=${text}`)
    const got = job.program('sleep 300').environment.filter((entry) => entry !== '')
    expect(got.sort()).toEqual(given.sort())
    expectExit(await job.run(['ci', 'stop'], {below}), 'success')
    const attached = await job.run(['ci', 'start', '--foreground', '-f', config, '--', 'env', '-0'], {below})
    expectExit(attached, 'success')
    expect(attached.stdout.split('\0').filter(Boolean).sort()).toEqual(given)
    await harness.nothingLeft(job)
  })

  test('is told which folder cannot be written when TMPDIR cannot', async () => {
    const words = ['ci', 'start', '--target', 'deployment/echo', '--', 'sleep', '300']
    const started = await job.run(words, {below, env: {TMPDIR: unwritable()}})
    expectFailure(started, 'permission', 'OUTPUT_DIRECTORY', unwritable(), 'ci.output_dir')
    // The state needs another place only where RUNNER_TEMP cannot be written either.
    const neither = {TMPDIR: unwritable(), RUNNER_TEMP: unwritable()}
    expectFailure(await job.run(words, {below, env: neither}), 'permission', 'OUTPUT_DIRECTORY', unwritable())
    expectExit(await job.run(['ci', 'stop'], {below, env: neither}), 'success')
    await harness.nothingLeft(job)
  })

  test('is told what has to be writable when nothing is, as with `docker run --read-only`', async () => {
    const readOnly = 'mount --bind /tmp /tmp && mount -o remount,bind,ro /tmp && exec "$@"'
    const options = {below: [...withOwnMounts, 'sh', '-c', readOnly, 'sh', ...below]}
    const started = await job.run(['ci', 'start', '--target', 'deployment/echo', '--', 'sleep', '300'], options)
    expectFailure(started, 'permission', 'STATE_DIRECTORY', 'RUNNER_TEMP or TMPDIR')
    for (const words of [['stop'], ['status'], ['logs']])
      expectExit(await job.run(['ci', ...words], options), 'success')
    expectExit(await job.run(['ls'], options), 'success')
    await harness.nothingLeft(job)
  })
})

test('[LIF-01, LIF-05] a session starts and stops where no user has a passwd entry, without HOME', async () => {
  delete job.env.HOME
  const options = {below: withoutPasswd(job.folder)}
  const words = ['--target', 'deployment/echo', '--', node, server, '8080', 'local']
  expectExit(await job.run(['ci', 'start', ...words], options), 'success')
  expect((await harness.who()).who).toBe('local')
  expectExit(await job.run(['ci', 'stop'], options), 'success')
  await harness.nothingLeft(job)
})
