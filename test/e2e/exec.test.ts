import {readFileSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {harness, job} from './support/each-test.ts'
import {ciApiKey} from '../fixtures/ci-api-key.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import {node} from './support/programs.ts'

// `mirrord exec`, and what else the command line says to a session.

describe('exec', () => {
  test('[LIF-11] runs the program in the foreground with its own status, streams and the environment of the target', async () => {
    const script = 'read line; echo "$line $SERVICE_NAME"; echo err >&2; exit 7'
    const running = job.spawn(['exec', '-t', 'deployment/echo', '--steal', '--', 'sh', '-c', script], {
      below: ['sh', '-c', 'echo hello | "$@"', 'sh'],
    })
    const {code, stdout, stderr} = await running.result
    expect([code, stdout]).toEqual([7, expect.stringMatching(/^hello /)])
    expect(stderr).toContain('err\n')
    await harness.nothingLeft(job)
  })

  test('leaves the status to a program whose output nobody takes', async () => {
    const exec = ['exec', '-t', 'targetless', '--', 'sh', '-c', '(echo out); exit 0']
    for (const to of ['>/dev/full', '>&-', '| true'])
      expectExit(await job.run(exec, {below: ['bash', '-o', 'pipefail', '-c', `"$@" ${to}`, 'bash']}), 'success')
  })

  test('[LIF-01] a start whose result cannot be written says so, and that the session runs', async () => {
    const start = ['ci', 'start', '-t', 'targetless', '--ready', 'started', 'sleep', '600']
    const result = await job.run(start, {below: ['sh', '-c', '"$@" >/dev/full', 'sh']})
    expectFailure(result, 'permission', 'OUTPUT', 'The session runs all the same')
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  })

  test('runs with incoming traffic off from the file', async () => {
    const file = path.join(job.folder, 'mirrord.json')
    writeFileSync(file, JSON.stringify({target: 'deployment/echo', feature: {network: {incoming: 'off'}}}))
    const result = await job.run(['exec', '-f', file, 'true'])
    expectExit(result, 'success')
    await harness.nothingLeft(job)
  })
})

test('[LIF-15] a run inside of a run is refused, whatever its environment', async () => {
  const inner = ['env', '-i', node, path.join(import.meta.dirname, '../../bin/run.js'), 'exec', '-t', 'pod/x', 'true']
  // The pod has no mirrord: the inner one is this machine's.
  const result = await job.run(['exec', '-t', 'deployment/echo', '--steal', '--fs-mode', 'local', '--', ...inner])
  expectFailure(result, 'interceptionUnavailable', 'NESTED_RUN', 'another session')
  await harness.nothingLeft(job)
})

test('exec with a CI API key says that it counts as a session of the job; a damaged key is refused first', async () => {
  const exec = ['exec', '-t', 'deployment/echo', '--steal', '--', 'true']
  const result = await job.run(exec, {env: {MIRRORD_CI_API_KEY: ciApiKey}})
  expectExit(result, 'success')
  expect(result.stderr).toContain('! MIRRORD_CI_API_KEY is set: this counts as a session of the CI job')
  expectFailure(await job.run(exec, {env: {MIRRORD_CI_API_KEY: 'garbage'}}), 'apiKey', 'API_KEY_MALFORMED')
})

describe('ci start --json', () => {
  test('gives the session as one object, and ci stop --json what became of it', async () => {
    const started = await job.run([
      ...['ci', 'start', '-t', 'deployment/echo', '--json', '--ready', 'started', '--name', 'one'],
      ...['--environment', 'staging', '--triggered-by', 'a test', 'sleep', '600'],
    ])
    expectExit(started, 'success')
    expect(JSON.parse(started.stdout)).toMatchObject({
      name: 'one',
      incoming: 'steal',
      pod: expect.stringMatching(/^pod\/echo-/) as unknown,
      outputDirectory: expect.any(String) as unknown,
    })
    const stopped = await job.run(['ci', 'stop', '--json'])
    expectExit(stopped, 'success')
    const {outputDirectory} = JSON.parse(started.stdout) as {outputDirectory: string}
    expect(JSON.parse(readFileSync(path.join(outputDirectory, 'report.json'), 'utf8'))).toMatchObject({
      run: {environment: 'staging', trigger: 'a test'},
    })
    const {sessions, reports} = JSON.parse(stopped.stdout) as {sessions: unknown[]; reports: string[]}
    expect(sessions).toMatchObject([{name: 'one', program: 'sleep', result: 'stopped'}])
    expect(reports).toHaveLength(1)
  })
})

describe('[LIF-36] MIRRORD_PROGRESS_MODE', () => {
  const start = ['ci', 'start', '-t', 'deployment/echo', '--ready', 'started', 'sleep', '600']
  const result = (mode: string) => job.run(start, {env: {MIRRORD_PROGRESS_MODE: mode}})

  test('json: every line of stderr is an object; stdout is as ever', async () => {
    const {code, stdout, stderr} = await result('json')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^Incoming: .*\nOutput: .*\nProgram: .*\nStop it: .*\n$/)
    const lines = stderr.trimEnd().split('\n')
    const messages = lines.map((line) => JSON.parse(line) as {type: string; name: string})
    expect(messages[0]).toEqual({type: 'NewTask', name: 'mirrord ci start', parent: null})
    expect(messages.at(-1)).toMatchObject({type: 'FinishedTask', name: 'mirrord ci start', success: true})
  })

  test('json: also when it fails', async () => {
    const env = {MIRRORD_PROGRESS_MODE: 'json'}
    const {code, stdout, stderr} = await job.run(['ci', 'start', '-t', 'deployment/nobody', 'true'], {env})
    expect([code, stdout]).toEqual([43, ''])
    const messages = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as {message: string})
    expect(messages.at(-1)).toMatchObject({type: 'FinishedTask', name: 'mirrord ci start', success: false})
    expect(messages.at(-1)!.message).toContain('TARGET_NOT_FOUND')
  })

  test('off: stderr is empty, stdout is as ever', async () => {
    expect(await result('off')).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringContaining('Stop it:') as unknown,
    })
  })
})

test('a container runtime as the program gets a hint', async () => {
  const docker = path.join(job.folder, 'docker')
  writeFileSync(docker, '#!/bin/sh\nexit 0\n', {mode: 0o755})
  const result = await job.run(['exec', '--steal', '-t', 'deployment/echo', '--', docker, 'run', 'image'])
  expectExit(result, 'success')
  expect(result.stderr).toContain('`mirrord container -- docker run …`')
})

describe('ci start --grace', () => {
  const stubborn = `trap 'echo asked; sleep 5; echo late' TERM; while :; do sleep 0.1; done`

  test('is the time that a stop gives the program', async () => {
    expectExit(
      await job.run([
        'ci',
        'start',
        '-t',
        'deployment/echo',
        '--ready',
        'started',
        '--grace',
        '0',
        'sh',
        '-c',
        stubborn,
      ]),
      'success',
    )
    const stopped = await job.run(['ci', 'stop', '--json'])
    expectExit(stopped, 'success')
    const {sessions} = JSON.parse(stopped.stdout) as {sessions: {outputDirectory: string}[]}
    // With the default of ten seconds it would have come to that.
    expect(readFileSync(path.join(sessions[0]!.outputDirectory, 'stdout'), 'utf8')).not.toContain('late')
    await harness.nothingLeft(job)
  })
})
