import {execFileSync} from 'node:child_process'
import {once} from 'node:events'
import {chmodSync, existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync} from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {exitCodes} from '../../src/errors/exit-codes.ts'
import {harness, job} from './support/each-test.ts'
import {PLAIN_PORT} from './support/fixture.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import {request} from './support/http.ts'
import {go, node} from './support/programs.ts'
import {until} from './support/until.ts'

const folder = path.join(import.meta.dirname, 'programs')
const server = [node, path.join(folder, 'server.mjs')]
const target = ['--target', 'deployment/echo']

const write = (name: string, value: unknown) => {
  const file = path.join(job.folder, name)
  writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value))
  return file
}

describe('ci start', () => {
  test('[LIF-35] [EXIT-70] fails at once with the last words of a program that dies before it is ready', async () => {
    const result = await job.start(...target, '--', 'sh', '-c', 'echo first; echo last words >&2; exit 9')
    expectFailure(result, 'programDied', 'PROGRAM_DIED', 'last words', /\b9\b/)
    await harness.nothingLeft(job)
  })

  test('[EXIT-71] fails when the program does not listen in time, and says what helps', async () => {
    const result = await job.start(...target, '--ready-timeout', '3', '--', 'sleep', '60')
    expectFailure(result, 'programNotReady', 'PROGRAM_NOT_READY', '--no-wait')
    await harness.nothingLeft(job)
  })

  test('[D26] returns for a program that never listens where incoming traffic is off, and says what it did', async () => {
    const file = write('mirrord.json', {target: 'deployment/echo', feature: {network: {incoming: 'off'}}})
    const result = await job.start('-f', file, '--', 'sleep', '300')
    expectExit(result, 'success')
    expect(result.stdout).toContain('Incoming: off')
    expect(result.stdout).toMatch(new RegExp(`^Program: +pid ${job.program('sleep 300').pid}$`, 'm'))
    expect(result.stdout).toContain(`${job.outputFolders()[0]}/{stdout,stderr}`)
    expect(result.stderr).toMatch(/^✓ Target .* \(\d+\.\d\d s\)\n✓ Agent .* is connected /m)
    expect((await harness.who()).who).toBe('deployed')
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  })

  test('[LIF-22] waits for no call of the program, static or not: it lives until the stop', async () => {
    const program = path.join(job.folder, 'pause')
    const source = '#include <unistd.h>\nint main(void) { return pause(); }'
    execFileSync('gcc', ['-static', '-x', 'c', '-o', program, '-'], {input: source})
    const file = write('mirrord.json', {target: 'deployment/echo', feature: {network: {incoming: 'off'}}})
    expectExit(await job.start('-f', file, '--', program), 'success')
    // Upstream gives such a program 60 s.
    const {code} = await job.run(['ci', 'wait', '--for', 'exit', '--timeout', process.env.MIRRORD_LONG ? '70' : '1'])
    expect(code).toBe(exitCodes.programRunning.code)
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  })

  test('[D19] takes the variables of feature.env.unset from the program, local and remote ones', async () => {
    const config = {
      target: 'deployment/echo',
      feature: {env: {unset: ['OF_JOB', 'FROM_POD']}, network: {incoming: 'off'}},
    }
    const script = 'echo "$KEPT ${OF_JOB-none} ${FROM_POD-none}"; exec sleep 300'
    const words = ['ci', 'start', '-f', write('mirrord.json', config), '--', 'sh', '-c', script]
    expectExit(await job.run(words, {env: {OF_JOB: 'secret', KEPT: 'kept'}}), 'success')
    expect(readFileSync(path.join(job.outputFolders()[0]!, 'stdout'), 'utf8')).toBe('kept none none\n')
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  })

  test('[D28] undoes what was connected when the program cannot be executed', async () => {
    const script = write('server', '#!/no/such/interpreter\n')
    chmodSync(script, 0o755)
    const result = await job.start(...target, '--', script)
    expectFailure(result, 'programNotFound', 'PROGRAM_NOT_FOUND', 'interpreter')
    expect(result.stderr).toMatch(/^✓ Agent .* is connected/m)
    await harness.nothingLeft(job)
  })

  test('[INC-11] serves a port of the pod that is taken on this machine', async () => {
    const taken = net.createServer()
    await new Promise<void>((resolve) => taken.listen(0, '0.0.0.0', resolve))
    const {port} = taken.address() as net.AddressInfo
    try {
      const started = await job.start(...target, '--', ...server, String(port), 'local')
      expectExit(started, 'success')
      expect(started.stdout).toContain(`port ${port}`)
      expectExit(await job.stop(), 'success')
      await harness.nothingLeft(job)
    } finally {
      taken.close()
    }
  })

  test('[EXIT-73] names the port when it is taken and nothing can replace it', async () => {
    const taken = net.createServer().listen(0, '0.0.0.0')
    await once(taken, 'listening')
    try {
      const {port} = taken.address() as net.AddressInfo
      const result = await job.start('--no-intercept', ...target, '--', ...server, `${port}`, 'local')
      expectFailure(result, 'portInUse', 'PORT_IN_USE', 'EADDRINUSE')
      await harness.nothingLeft(job)
    } finally {
      taken.close()
    }
  })

  test('without interception gives environment and incoming traffic, and says what is off', async () => {
    const service = await harness.cluster.serviceUrl(harness.namespace, 'plain')
    const who = async () => JSON.parse((await request(service.url)).body) as {who: string}
    const plain = ['--target', 'deployment/plain', '--no-intercept', '--', ...server, `${PLAIN_PORT}`, 'local']
    const started = await job.start(...plain)
    expectExit(started, 'success')
    expect(started.stderr).toMatch(/^!.*outgoing/im)
    expect(await who()).toMatchObject({who: 'local', fromPod: 'yes'})
    expectExit(await job.stop(), 'success')
    await until('an answer of the deployed program', async () => (await who()).who === 'deployed')
    service.close()
    await harness.nothingLeft(job)
  })

  test('[LIF-37] [EXIT-143] undoes everything when it is cancelled before the program is ready', async () => {
    const running = job.spawn(['ci', 'start', ...target, '--', 'sleep', '300'])
    await until('the program', () => job.processes().some(({command}) => command === 'sleep 300'))
    running.child.kill('SIGTERM')
    const result = await running.result
    expectFailure(result, 'terminated', 'START_CANCELLED')
    await harness.nothingLeft(job)
  })

  test('[LIF-07] twice at the same time: one stop ends both', async () => {
    const service = await harness.cluster.serviceUrl(harness.namespace, 'info')
    const started = await Promise.all([
      job.start(...target, '--', ...server, '8080', 'first'),
      job.start('--target', 'deployment/info', '--', ...server, '8080', 'second'),
    ])
    for (const result of started) expectExit(result, 'success')
    expect((await harness.who()).who).toBe('first')
    expect((await request(service.url)).body).toContain('second')
    expectExit(await job.stop(), 'success')
    expect((await harness.who()).who).toBe('deployed')
    expect((await request(service.url)).body).toBe('info of the cluster')
    service.close()
    await harness.nothingLeft(job)
  })
})

describe("the documentation's command lines", () => {
  test.skipIf(!go)('mirrord ci start --target deployment/x go run x.go', async () => {
    const started = await job.run(['ci', 'start', ...target, 'go', 'run', 'server.go', '8080', 'local'], {cwd: folder})
    expectExit(started, 'success')
    expect(await harness.who()).toMatchObject({who: 'local', fromPod: 'yes'})
    expect(await harness.ask('info')).toMatchObject({answer: 'info of the cluster'})
    const [output] = job.outputFolders()
    expect(output).toMatch(/\/mirrord\/go-[^/]+$/)
    expect(readFileSync(path.join(output!, 'stdout'), 'utf8')).toBe('local listens on 8080\n')
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  })

  test('[D30] removes output folders of a week ago, and says so in mirrord.log', async () => {
    const then = Date.now() / 1000 - 8 * 24 * 3600
    const old = path.join(job.folder, 'tmp/mirrord', `web-${Math.floor(then)}-0000000`)
    mkdirSync(old, {recursive: true})
    writeFileSync(path.join(old, 'mirrord.log'), '')
    utimesSync(path.join(old, 'mirrord.log'), then, then)
    expectExit(await job.start(...target, '--', ...server, '8080', 'local'), 'success')
    await until('the end of the old folder', () => !existsSync(old))
    const [output] = job.outputFolders()
    const log = () => readFileSync(path.join(output!, 'mirrord.log'), 'utf8')
    await until('the line in the log', () => log().includes('output: old folders removed: 1'))
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  })

  test('[LIF-02] mirrord ci start --config-file mirrord.json npm run x, with ci.output_dir', async () => {
    const cwd = path.join(job.folder, 'app')
    const output = path.join(job.folder, 'output')
    mkdirSync(cwd)
    write('app/package.json', {scripts: {x: `node ${path.join(folder, 'server.mjs')} 8080 local`}})
    write('app/mirrord.json', {target: 'deployment/echo', ci: {output_dir: output}})
    const started = await job.run(['ci', 'start', '--config-file', 'mirrord.json', 'npm', 'run', 'x'], {cwd})
    expectExit(started, 'success')
    expect(started.stdout).toMatch(new RegExp(`^Output: +${output}/npm-[^/]+/\\{stdout,stderr\\}$`, 'm'))
    expect(await harness.who()).toMatchObject({who: 'local', fromPod: 'yes'})
    expectExit(await job.stop(), 'success')
    expect((await harness.who()).who).toBe('deployed')
    expect(job.processes()).toEqual([])
  })
})

describe('ci start --foreground', () => {
  const foreground = [...target, '--foreground', '--']

  test.each([
    ['its exit status', 'echo out; echo err >&2; exit 7', 7],
    ['128 and the number of the signal that ended it', 'echo out; echo err >&2; kill -TERM $$', 143],
  ])('passes the output of the program on and ends with %s', async (_, script, code) => {
    const result = await job.start(...foreground, 'sh', '-c', script)
    expect(result.code, result.output).toBe(code)
    expect(result.stdout).toBe('out\n')
    expect(result.stderr).toContain('err\n')
    await harness.nothingLeft(job)
  })

  test.each(['SIGINT', 'SIGTERM'] as const)('passes %s on to the program', async (signal) => {
    const script = `trap 'echo got it; exit 3' INT TERM; ${server.join(' ')} 8080 local & while :; do wait; done`
    const running = job.spawn(['ci', 'start', ...foreground, 'sh', '-c', script])
    await until('an answer of the local program', async () => (await harness.who()).who === 'local')
    running.child.kill(signal)
    const result = await running.result
    expect(result.code, result.output).toBe(3)
    expect(result.stdout).toContain('got it')
    await harness.deployedAgain()
    await harness.nothingLeft(job)
  })
})

describe('ci stop', () => {
  test('[LIF-05] [EXIT-0] with nothing to stop says so and succeeds, again and again', async () => {
    for (let round = 0; round < 2; round++) {
      const result = await job.stop()
      expectExit(result, 'success')
      expect(result.stdout).toContain('Nothing to stop')
    }
    expect(job.files()).toEqual([])
  })

  test('[LIF-05] several times at once all succeed', async () => {
    expectExit(await job.start(...target, '--', ...server, '8080', 'local'), 'success')
    for (const result of await Promise.all([job.stop(), job.stop(), job.stop()])) expectExit(result, 'success')
    expect((await harness.who()).who).toBe('deployed')
    await harness.nothingLeft(job)
  })

  test('[D8] ends daemons and children that ignore SIGTERM after the grace', async () => {
    const stubborn = `process.on('SIGTERM',()=>{});setInterval(()=>{},1e6)`
    const script = `setsid ${node} -e "${stubborn}" & exec ${server.join(' ')} 8080 local`
    expectExit(await job.start(...target, '--', 'sh', '-c', script), 'success')
    expectExit(await job.stop('--grace', '1'), 'success')
    await harness.nothingLeft(job)
  })

  test('[D1] does not touch the sessions of another job', async () => {
    const other = harness.job()
    try {
      expectExit(await job.start(...target, '--', ...server, '8080', 'local'), 'success')
      expectExit(await other.stop(), 'success')
      expect((await harness.who()).who).toBe('local')
      expectExit(await job.stop(), 'success')
      await harness.nothingLeft(job)
    } finally {
      other.dispose()
    }
  })
})
