import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import {once} from 'node:events'
import {beforeEach, describe, expect, test} from 'vitest'
import {currentJob} from '../../src/session/current-job.ts'
import type {SessionStatus} from '../../src/session/status.ts'
import {freePort} from '../integration/trap/harness.ts'
import {harness, job} from './support/each-test.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import {node} from './support/programs.ts'
import {until} from './support/until.ts'

const server = [node, path.join(import.meta.dirname, 'programs/server.mjs')]
const target = ['--target', 'deployment/echo']

beforeEach(() => {
  const quiet = {target: 'deployment/info', feature: {network: {incoming: 'off'}}}
  writeFileSync(path.join(job.folder, 'quiet.json'), JSON.stringify(quiet))
})

/** A session without incoming traffic: there may be several on one pod. */
const quiet = (name: string, ...program: string[]) => job.start('-f', 'quiet.json', '--name', name, '--', ...program)

async function sessions(): Promise<Map<string, SessionStatus>> {
  const {stdout} = await job.run(['ci', 'status', '--json'])
  return new Map((JSON.parse(stdout) as SessionStatus[]).map((session) => [session.name, session]))
}

const stdoutOf = (session: SessionStatus | undefined) =>
  readFileSync(path.join(session!.outputDirectory!, 'stdout'), 'utf8')

/** Says which signal it got, and what the cluster answers it then; ends with status 0. */
const polite = `
  for (const name of ['SIGTERM', 'SIGINT', 'SIGUSR1'])
    process.on(name, async () => {
      console.log(name, await (await fetch('http://info/')).text())
      process.exit()
    })
  setInterval(() => {}, 1e6)`
/** Says that it was asked to end, and holds on to its port. */
const stubborn = (port: number) => `
  process.on('SIGTERM', () => console.log('not yet'))
  require('net').createServer().listen(${port}, '127.0.0.1')`

test('[LIF-05] names end those sessions and leave the others', async () => {
  expectExit(await job.start(...target, '--name', 'web', '--', ...server, '8080', 'local'), 'success')
  for (const name of ['one', 'two']) expectExit(await quiet(name, 'sleep', '300'), 'success')
  const stopped = await job.stop('one')
  expectExit(stopped, 'success')
  expect(stopped.stdout.split('\n').filter((line) => line.startsWith('Stopped'))).toEqual([
    expect.stringMatching(/^Stopped one \(deployment\/info\), output in \//),
  ])
  expect([...(await sessions()).values()].map(({name, state}) => `${name} ${state}`).sort()).toEqual([
    'two ready',
    'web ready',
  ])
  expect((await harness.who()).who).toBe('local')
  expectFailure(await job.stop('one', 'web'), 'sessionNotFound', 'SESSION_NOT_FOUND', /web, two|two, web/)
  expect((await harness.who()).who).toBe('local')
  expectExit(await job.stop('two', 'web'), 'success')
  await harness.deployedAgain()
  await harness.nothingLeft(job)
})

test.each([
  ['SIGTERM', []],
  ['SIGUSR1', ['--signal', 'sigusr1', '--grace', '30']],
])('[D9, D10] %s comes first, and the program still has the network of its target', async (signal, flags) => {
  expectExit(await quiet('polite', node, '-e', polite), 'success')
  const session = (await sessions()).get('polite')
  expectExit(await job.stop(...flags), 'success')
  expect(stdoutOf(session)).toBe(`${signal} info of the cluster\n`)
  await harness.nothingLeft(job)
})

test('[D8, D12] what does not end in the grace is killed, and its port is free when the stop returns', async () => {
  const port = await freePort()
  const script = `setsid '${node}' -e "${stubborn(port)}" & exec sleep 300`
  expectExit(await quiet('tree', 'sh', '-c', script), 'success')
  const session = (await sessions()).get('tree')
  expectExit(await job.stop('--grace', '1'), 'success')
  expect(job.processes()).toEqual([])
  expect(stdoutOf(session)).toBe('not yet\n')
  const free = net.createServer().listen(port, '127.0.0.1')
  await once(free, 'listening')
  free.close()
  await harness.nothingLeft(job)
})

test('[EXIT-74] a crash during the run fails the stop of that session, with its last words, unless it may', async () => {
  const script = `trap 'echo last words of $0; exit 3' USR1; while :; do sleep 0.05; done`
  for (const name of ['one', 'two', 'three']) expectExit(await quiet(name, 'sh', '-c', script, name), 'success')
  const before = await sessions()
  for (const name of ['one', 'two']) process.kill(before.get(name)!.pids.program!, 'SIGUSR1')
  await until('both failures', async () => {
    const states = [...(await sessions()).values()].map(({name, state}) => `${name} ${state}`).sort()
    return states.join() === 'one failed,three ready,two failed'
  })
  expectExit(await job.stop('three'), 'success')
  expectFailure(await job.stop('one'), 'programCrashed', 'PROGRAM_CRASHED', 'last words of one', 'status 3')
  const waived = await job.stop('--no-fail-on-error')
  expectExit(waived, 'success')
  expect(waived.stderr).toContain('last words of two')
  expect(waived.stderr).toContain('Code: PROGRAM_CRASHED (exit 74)')
  await harness.nothingLeft(job)
})

test('[D7] damaged records: what runs is shown and stopped, what is gone is told of, with its file', async () => {
  for (const name of ['one', 'two']) expectExit(await quiet(name, 'sleep', '300'), 'success')
  const before = await sessions()
  const {directory: own} = currentJob(job.env)
  const recordOf = (name: string) => path.join(own, before.get(name)!.id, 'session.json')
  for (const name of ['one', 'two']) writeFileSync(recordOf(name), '{"format": 1,')
  const statesNow = async () => [...(await sessions()).values()].map(({name, state}) => `${name} ${state}`).sort()
  expect(await statesNow()).toEqual(['one ready', 'two ready'])
  process.kill(before.get('two')!.pids.session, 'SIGKILL')
  await until('the end of two', async () => (await statesNow()).join() === 'one ready,two failed')
  const stopped = await job.stop()
  expectFailure(stopped, 'programCrashed', 'SESSION_RECORD_DAMAGED', recordOf('two'), 'not JSON')
  expect(stopped.stdout).toMatch(/^Stopped one /m)
  expect(await sessions()).toEqual(new Map())
  await harness.nothingLeft(job)
})

test('[D1] a fresh shell with another TMPDIR, HOME and folder stops what the job started', async () => {
  expectExit(await job.start(...target, '--', ...server, '8080', 'local'), 'success')
  const other = path.join(job.folder, 'other')
  mkdirSync(other)
  const shell = {TMPDIR: other, HOME: other, RUNNER_TEMP: ''}
  const stopped = await job.run(['ci', 'stop'], {env: shell, cwd: '/'})
  expectExit(stopped, 'success')
  expect(stopped.stdout).toMatch(/^Stopped node /m)
  await harness.deployedAgain()
  // Nor where such a shell looks.
  expect(existsSync(currentJob({...job.env, ...shell}).directory)).toBe(false)
  expect(existsSync(path.join(`/tmp/mirrord-${process.getuid!()}`, currentJob(job.env).job))).toBe(false)
  await harness.nothingLeft(job)
})

test('a stop that is cancelled itself ends in 7 s and leaves nothing', async () => {
  const port = await freePort()
  expectExit(await job.start(...target, '--', node, '-e', stubborn(port)), 'success')
  const session = [...(await sessions()).values()][0]
  const running = job.spawn(['ci', 'stop', '--grace', '600'])
  await until('the first signal', () => stdoutOf(session) === 'not yet\n')
  const began = Date.now()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) running.child.kill(signal)
  const result = await running.result
  expect(Date.now() - began).toBeLessThan(7000) // GitHub kills a cancelled step after 7.5 s
  expect(result.stdout).toMatch(/^(Stopped|Left) node /m)
  await harness.deployedAgain()
  await harness.nothingLeft(job)
})

describe('a run in the foreground', () => {
  test('[D15] is ended by a stop from another shell, with its whole tree', async () => {
    const script = `setsid sleep 1000 & exec ${server.join(' ')} 8080 local`
    const running = job.spawn(['ci', 'start', ...target, '--foreground', '--', 'sh', '-c', script])
    await until('an answer of the local program', async () => {
      if (running.child.exitCode !== null) throw new Error(running.output())
      return (await harness.who()).who === 'local'
    })
    const stopped = await job.stop()
    expectExit(stopped, 'success')
    expect(stopped.stdout).toMatch(/^Stopped sh /m)
    expect((await running.result).code).toBe(143)
    expect(job.processes()).toEqual([])
    await harness.deployedAgain()
    await harness.nothingLeft(job)
  })
})
