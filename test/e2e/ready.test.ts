import {once} from 'node:events'
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import {beforeEach, describe, expect, test} from 'vitest'
import {harness, job} from './support/each-test.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import {node} from './support/programs.ts'
import {until} from './support/until.ts'

const target = ['--target', 'deployment/echo']
/** The folder in which the program looks for the file `go`. */
let folder: string

beforeEach(() => {
  folder = path.join(job.folder, 'app')
  mkdirSync(folder)
})

const program = (port = 8080) => [node, path.join(import.meta.dirname, 'programs/ready.mjs'), `${port}`, folder]
const go = () => writeFileSync(path.join(folder, 'go'), '')
const stdout = () => readFileSync(path.join(job.outputFolders()[0]!, 'stdout'), 'utf8')

/** Starts with a probe that cannot succeed yet, lets it fail, then lets the program become ready. */
async function comesReady(...flags: string[]) {
  const running = job.spawn(['ci', 'start', ...target, ...flags, '--', ...program()])
  await until('the program', () => job.outputFolders().length > 0 && stdout().includes('listens on'))
  if (flags.includes('--ready-http')) await until('an attempt', () => stdout().includes('asked for its health'))
  expect(running.child.exitCode).toBeNull()
  go()
  const result = await running.result
  expectExit(result, 'success')
  expect(result.stdout).toMatch(/^Incoming: steal, all connections to port 8080 /)
  expectExit(await job.stop(), 'success')
  await harness.nothingLeft(job)
  return result
}

describe('a start waits', () => {
  test('until a URL answers with its status', async () => {
    const result = await comesReady('--ready-http', 'http://localhost:8080/health=2xx')
    expect(result.stderr).toContain('GET http://localhost:8080/health answered 204')
  })

  test('until a line of output matches', async () => {
    const result = await comesReady('--ready-log', '^ready to serve$')
    expect(result.stderr).toContain('a line matches /^ready to serve$/')
  })

  test('until a command succeeds and a port accepts connections', async () => {
    const result = await comesReady('--ready-exec', `test -e ${folder}/go`, '--ready-tcp', '8080')
    expect(result.stderr).toMatch(/port 8080 accepts connections, the command .* succeeded/)
  })

  test('for the program itself where this machine has its port in use', async () => {
    const other = net.createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 200 OK\r\n\r\n'))
    other.listen(0, '0.0.0.0')
    await once(other, 'listening')
    const {port} = other.address() as net.AddressInfo
    try {
      const flags = ['--ready-http', `:${port}/`, '--ready-timeout', '3']
      const result = await job.start(...target, ...flags, '--', ...program(port))
      expectFailure(result, 'programNotReady', 'PROGRAM_NOT_READY', 'it answered 503, expected 200-399')
      await harness.nothingLeft(job)
    } finally {
      other.close()
    }
  })

  test('for nothing but a life of a second with ci.ready "started", whose probes the file may name too', async () => {
    const file = path.join(job.folder, 'mirrord.json')
    writeFileSync(file, JSON.stringify({target: 'deployment/echo', ci: {ready: {http: ':1/', timeout: 3}}}))
    const failed = await job.start('-f', file, '--', 'sleep', '300')
    expectFailure(failed, 'programNotReady', 'PROGRAM_NOT_READY', 'does not listen on port 1')
    expectExit(await job.start('-f', file, '--ready', 'started', '--', 'sleep', '300'), 'success')
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  })
})

describe('a program that is not ready', () => {
  test('[D13, LIF-35] ends the start when it dies, with its last words and its status', async () => {
    for (const flags of [
      ['--ready', 'started'],
      ['--ready-log', 'never'],
    ]) {
      const script = 'echo first; echo last words >&2; exit 3'
      const result = await job.start(...target, ...flags, '--', 'sh', '-c', script)
      expectFailure(result, 'programDied', 'PROGRAM_DIED', 'first', 'last words', 'status 3')
      expect(result.stdout).toBe('')
    }
    await harness.nothingLeft(job)
  })

  test('[D13] ends the start with what the cluster had refused it', async () => {
    const script = `require('net').connect(1, process.env.ECHO_SERVICE_HOST || '10.96.0.1').on('error', () => process.exit(4))`
    const result = await job.start(...target, '--', node, '-e', script)
    expectFailure(result, 'programDied', 'PROGRAM_DIED', /the cluster/, /the connection to [\d.]+:1 failed: E/)
    await harness.nothingLeft(job)
  })

  test('in time names each probe with its last failure', async () => {
    const flags = ['--ready-timeout', '3', '--ready-log', 'never', '--ready-exec', 'echo not yet; exit 5']
    const result = await job.start(...target, ...flags, '--', ...program())
    const words = ['matches /never/ (no line matched so far)', 'it exited with status 5: not yet', 'listens on 8080']
    expectFailure(result, 'programNotReady', 'PROGRAM_NOT_READY', '--ready-timeout', ...words)
    expect(result.stdout).toBe('')
    await harness.nothingLeft(job)
  })

  test('[LIF-37] is undone with its probes when the start is cancelled', async () => {
    const running = job.spawn(['ci', 'start', ...target, '--ready-exec', 'sleep 1234', '--', ...program()])
    await until('the probe', () => job.processes().some(({command}) => command === 'sleep 1234'))
    running.child.kill('SIGINT')
    const result = await running.result
    expect(result.code, result.output).not.toBe(0)
    await harness.nothingLeft(job)
  })

  test('takes its probes along when its session is killed', async () => {
    const running = job.spawn(['ci', 'start', ...target, '--ready-exec', 'sleep 1234', '--', ...program()])
    await until('the probe', () => job.processes().some(({command}) => command === 'sleep 1234'))
    process.kill(job.session().pid, 'SIGKILL')
    expectFailure(await running.result, 'programCrashed', 'SESSION_KILLED', 'before the program was ready')
    await harness.nothingLeft(job)
  })

  test('is left to others with --no-wait', async () => {
    const started = await job.start(...target, '--no-wait', '--ready-log', 'never', '--', 'sleep', '300')
    expectExit(started, 'success')
    expect(job.program('sleep 300')).toBeDefined()
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  })
})

describe('before anything is started', () => {
  test.each([
    ['a bad pattern', ['--ready-log', '('], 'configInvalid', 'CONFIG_INVALID', 'flag --ready-log'],
    ['a bad port', ['--ready-tcp', 'http'], 'configInvalid', 'CONFIG_INVALID', 'ci.ready.tcp.0 (flag --ready-tcp)'],
    ['a bad URL', ['--ready-http', 'localhost'], 'configInvalid', 'CONFIG_INVALID', 'ci.ready.http'],
    ['output of the foreground', ['--foreground', '--ready-log', 'x'], 'usage', 'READY_LOG_UNAVAILABLE', 'output_dir'],
  ] as const)('%s is refused', async (_, flags, exit, code, word) => {
    const result = await job.start(...target, ...flags, '--', 'touch', path.join(folder, 'ran'))
    expectFailure(result, exit, code)
    expect(result.stderr).toContain(word)
    expect(job.outputFolders()).toEqual([])
    expect(job.files()).toEqual([])
  })
})
