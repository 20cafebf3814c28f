import {execFile} from 'node:child_process'
import {readFileSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {promisify} from 'node:util'
import {describe, expect, test} from 'vitest'
import type {SessionStatus} from '../../src/session/status.ts'
import {harness, job} from './support/each-test.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import {node} from './support/programs.ts'
import {until} from './support/until.ts'

const execute = promisify(execFile)
const run = path.join(import.meta.dirname, '../../bin/run.js')
const target = ['--target', 'deployment/echo']

/** Says so when it starts; answers on 8080; SIGUSR2 ends it with this status. */
const server = (status: number) => [
  node,
  '-e',
  `console.log('started'); console.error('careful')
   require('http').createServer((_, response) => response.end('{"who":"local"}')).listen(8080)
   process.on('SIGUSR2', () => { console.log('bye'); process.exit(${status}) })`,
]

async function statuses(...args: string[]): Promise<SessionStatus[]> {
  const result = await job.run(['ci', 'status', '--json', ...args])
  expectExit(result, 'success')
  return JSON.parse(result.stdout) as SessionStatus[]
}

/** What a command prints where its output is a terminal. */
async function onTerminal(words: string): Promise<string> {
  const {stdout} = await execute('script', ['-qec', `'${node}' '${run}' ${words}`, '/dev/null'], {env: job.env})
  return stdout
}

/** Resolves when so many commands hold a connection to the session. */
const watched = (clients: number) =>
  until(
    `${clients} clients of the control socket`,
    () =>
      readFileSync('/proc/net/unix', 'latin1')
        .split('\n')
        // The listening socket bears the name too.
        .filter((line) => line.includes(job.folder) && line.endsWith('control.sock')).length > clients,
  )

describe('with no session', () => {
  test('ci status and ci logs say so and succeed; there is nothing that ci wait could wait for', async () => {
    const status = await job.run(['ci', 'status'])
    expect([status.code, status.stdout, status.stderr]).toEqual([0, 'No mirrord session of this job.\n', ''])
    expect(await statuses()).toEqual([])
    expectExit(await job.run(['ci', 'logs', '-f']), 'success')
    expectFailure(await job.run(['ci', 'wait', '--for', 'ready']), 'sessionNotFound', 'SESSION_NOT_FOUND')
    expect(job.files()).toEqual([])
  })

  test.each([
    [['ci', 'wait']],
    [['ci', 'wait', '--for', 'never']],
    [['ci', 'wait', '--for', 'exit', '--timeout', '0']],
    [['ci', 'wait', 'a', 'b', '--for', 'exit']],
    [['ci', 'logs', '--timestamps']],
    [['ci', 'logs', '--tail', '-1']],
    [['ci', 'logs', '--stream', 'stdin']],
    [['ci', 'status', '--yaml']],
    [['ci', 'status', 'a', 'b']],
  ])('%j is a usage error', async (args) => {
    expectExit(await job.run(args), 'usage')
  })
})

describe('sessions of a job', () => {
  test('[LIF-01] [EXIT-75] [EXIT-76] are shown, followed and waited for, from ready to the status with which the program ends', async () => {
    const quiet = path.join(job.folder, 'quiet.json')
    writeFileSync(quiet, JSON.stringify({target: 'deployment/info', feature: {network: {incoming: 'off'}}}))
    expectExit(await job.start(...target, '--name', 'api', '--', ...server(3)), 'success')
    expectExit(
      await job.start('-f', quiet, '--name', 'batch', '--', 'sh', '-c', 'echo at work; exec sleep 300'),
      'success',
    )

    expectExit(await job.run(['ci', 'wait', '--for', 'ready', '--timeout', '60']), 'success')
    expect((await harness.who()).who).toBe('local')
    const [api, batch] = (await statuses()) as [SessionStatus, SessionStatus]
    expect(api).toMatchObject({
      name: 'api',
      target: 'deployment/echo',
      pod: expect.stringMatching(/^echo-/) as string,
      state: 'ready',
      pids: {session: job.processes().find(({pid}) => pid === api.pids.session)?.pid},
      ports: [{port: 8080, local: expect.stringMatching(/:\d+$/) as string}],
      endedAt: null,
      exit: null,
      failure: null,
    })
    expect(api.readyAt! >= api.startedAt).toBe(true)
    expect(Math.min(api.requests!, api.bytesIn!, api.bytesOut!)).toBeGreaterThan(0)
    expect(batch).toMatchObject({name: 'batch', state: 'ready', ports: []})
    const plain = await job.run(['ci', 'status', 'api'])
    expect(plain.stdout).toMatch(
      /^NAME +TARGET +POD +STATE +PIDS +PORTS +REQUESTS +BYTES +UPTIME\napi +deployment\/echo +echo-\S+ +ready +\d+,\d+ +8080->\S+ +\S+ +\d\S*B\/\d\S*B +\d+s\n$/,
    )

    const unknown = await job.run(['ci', 'logs', 'nope'])
    expectFailure(unknown, 'sessionNotFound', 'SESSION_NOT_FOUND', /api, batch/)
    expect((await job.run(['ci', 'logs', 'api'])).stdout).toBe('started\ncareful\n')
    expect((await job.run(['ci', 'logs', 'api', '--stream', 'stderr'])).stdout).toBe('careful\n')
    expect((await job.run(['ci', 'logs'])).stdout).toBe('api | started\napi | careful\nbatch | at work\n')

    const late = await job.run(['ci', 'wait', 'api', '--for', 'exit', '--timeout', '1'])
    expectFailure(late, 'programRunning', 'PROGRAM_RUNNING', '--timeout')
    const following = job.spawn(['ci', 'logs', 'api', '-f', '--timestamps', '--stream', 'stdout'])
    const waiting = job.spawn(['ci', 'wait', 'api', '--for', 'exit'])
    await watched(2)
    // What was there before it looked for the first time has no time.
    await until('the first lines', () => following.output().includes('started'))
    process.kill(api.pids.program!, 'SIGUSR2')
    const waited = await waiting.result
    expect([waited.code, waited.stdout]).toEqual([3, 'api exited with status 3\n'])
    const followed = await following.result
    expectExit(followed, 'success')
    expect(followed.stdout).toMatch(/^- {24}started\n\d{4}-\d\d-\d\dT[\d:.]+Z bye\n$/)

    expect(await statuses('api')).toMatchObject([
      {state: 'failed', exit: {code: 3, signal: null}, failure: {code: 'PROGRAM_CRASHED', exit: 74}},
    ])
    expect((await job.run(['ci', 'wait', 'api', '--for', 'exit'])).code).toBe(3)
    expect((await job.run(['ci', 'logs', 'api', '--tail', '1'])).stdout).toBe('bye\ncareful\n')
    expectFailure(await job.run(['ci', 'wait', '--for', 'ready']), 'programCrashed', 'PROGRAM_CRASHED')
    expectFailure(await job.stop(), 'programCrashed', 'PROGRAM_CRASHED')
    expect(await statuses()).toEqual([])
    await harness.nothingLeft(job)
  })

  test('[LIF-06] stay on record when the program has ended well, until ci stop', async () => {
    expectExit(await job.start(...target, '--', ...server(0)), 'success')
    const [before] = await statuses()
    process.kill(before!.pids.program!, 'SIGUSR2')
    const waited = await job.run(['ci', 'wait', '--for', 'exit'])
    expect([waited.code, waited.stdout]).toEqual([0, 'node exited with status 0\n'])
    expect(await statuses()).toMatchObject([{name: 'node', state: 'ended', exit: {code: 0}, failure: null}])
    expectExit(await job.run(['ci', 'logs', '-f']), 'success')
    await harness.deployedAgain()
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  })

  test('that are stopped say so to who waits; who follows their output gets all of it', async () => {
    expectExit(await job.start(...target, '--', ...server(0)), 'success')
    const waiting = job.spawn(['ci', 'wait', '--for', 'exit'])
    const following = job.spawn(['ci', 'logs', '--follow'])
    await watched(2)
    expectExit(await job.stop(), 'success')
    expectFailure(await waiting.result, 'sessionStopped', 'SESSION_STOPPED')
    const followed = await following.result
    expectExit(followed, 'success')
    expect(followed.stdout).toBe('started\ncareful\n')
    await harness.nothingLeft(job)
  })

  test('that are killed count as failed', async () => {
    expectExit(await job.start(...target, '--', ...server(0)), 'success')
    const waiting = job.spawn(['ci', 'wait', '--for', 'exit'])
    await watched(1)
    process.kill(job.session().pid, 'SIGKILL')
    expectFailure(await waiting.result, 'programCrashed', 'SESSION_LOST')
    expect(await statuses()).toMatchObject([{state: 'failed', failure: {code: 'SESSION_LOST'}, uptimeSeconds: null}])
    expect((await job.run(['ci', 'status'])).stdout).toContain('ended without being stopped. (SESSION_LOST)')
    const table = await onTerminal('ci status')
    expect(table).toMatch(/^┌.*│ NAME .*┘\r\n/s)
    expect(table).toContain('│ \u001B[31mfailed\u001B[39m')
    expect(await onTerminal('ci logs')).toBe('started\r\n\u001B[33mcareful\u001B[39m\r\n')
    expectFailure(await job.stop(), 'programCrashed', 'SESSION_LOST')
    await harness.nothingLeft(job)
  })

  test('in the foreground keep no output, and ci logs says where it is', async () => {
    const running = job.spawn(['ci', 'start', ...target, '--foreground', '--', ...server(0)])
    await until('an answer of the local program', async () => (await harness.who()).who === 'local')
    expectFailure(await job.run(['ci', 'logs']), 'usage', 'OUTPUT_NOT_KEPT', '--foreground')
    expectExit(await job.stop(), 'success')
    await running.result
    await harness.nothingLeft(job)
  })

  test('with much output: a reader that has seen enough is no failure', async () => {
    const script = `for (let line = 0; line < 200_000; line++) console.log('line', line)
      require('http').createServer().listen(8080)`
    expectExit(await job.start(...target, '--', node, '-e', script), 'success')
    const command = `'${node}' '${run}' ci logs | head -n 2`
    const {stdout, stderr} = await execute('bash', ['-o', 'pipefail', '-c', command], {env: job.env})
    expect([stdout, stderr]).toEqual(['line 0\nline 1\n', ''])
    const all = await job.run(['ci', 'logs', '--tail', '100000'])
    expect(all.stdout.split('\n')).toHaveLength(100_001)
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  })
})
