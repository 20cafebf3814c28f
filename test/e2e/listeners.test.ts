import {execFileSync} from 'node:child_process'
import {once} from 'node:events'
import {readFileSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:http'
import net from 'node:net'
import path from 'node:path'
import {expect, test} from 'vitest'
import {harness, job} from './support/each-test.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import {request} from './support/http.ts'
import {node, python} from './support/programs.ts'
import {until} from './support/until.ts'

const program = (name: string) => path.join(import.meta.dirname, 'programs', name)
const target = ['--target', 'deployment/echo']

/** The text that one of the programs of this file answers, and which one. */
const who = async () => (await harness.who()).who
const output = (name: string) => readFileSync(path.join(job.outputFolders()[0]!, name), 'utf8')

test('[INC-05, INC-06] a listener that is closed gives its port back, what it accepted lives on', async () => {
  const running = job.spawn(['ci', 'start', ...target, '--foreground', '--', python, program('listener.py'), '8080'])
  await until('the program listens', () => running.output().includes('listening\n'))
  const service = await harness.cluster.serviceUrl(harness.namespace, 'echo')
  const {hostname, port} = new URL(service.url)
  const socket = net.connect(Number(port) || 80, hostname)
  try {
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    const exchange = async (line: string, all: string) => {
      socket.write(line)
      await until(`the answer ${all}`, () => text === all)
    }
    await exchange('close\n', 'CLOSE\n')
    await harness.deployedAgain(5000)
    await exchange('still here\n', 'CLOSE\nSTILL HERE\n')
    expect(await who()).toBe('deployed')
    socket.write('exit\n')
    expectExit(await running.result, 'success')
  } finally {
    socket.destroy()
    service.close()
  }
})

test('[INC-20, INC-28] a program listens on the name localhost, then closes and makes a request', async () => {
  const words = [node, program('closing.mjs'), '8080', 'http://info/']
  const running = job.spawn(['ci', 'start', ...target, '--foreground', '--', ...words])
  await until('the program listens', () => running.output().includes('listening\n'))
  expect(await who()).toBe('local at 8080')
  const result = await running.result
  expectExit(result, 'success')
  expect(result.stdout).toContain('info of the cluster\n')
})

test('[EXIT-52] a second session on the same pod is refused with its own exit code, and the first goes on', async () => {
  expectExit(await job.start(...target, '--', python, program('prefork.py'), '8080'), 'success')
  const second = harness.job()
  try {
    const result = await second.start(...target, '--', node, program('server.mjs'), '8080')
    expectFailure(result, 'agentDirty', 'AGENT_DIRTY', 'another mirrord agent')
    expect(await who()).toMatch(/^worker/)
    expectExit(await job.stop(), 'success')
  } finally {
    await harness.finish(second)
  }
})

test('[INC-21] a server with a reloader: every worker serves, by one subscription', async () => {
  const file = path.join(job.folder, 'source')
  writeFileSync(file, 'first')
  expectExit(await job.start(...target, '--', python, program('reloader.py'), '8080', file), 'success')
  expect(await who()).toBe('first')
  writeFileSync(file, 'second')
  const seen = new Set<string>()
  await until('the other worker', async () => {
    const name = await who()
    seen.add(name)
    return name === 'second'
  })
  expect([...seen].filter((name) => name !== 'first')).toEqual(['second'])
  expect(output('mirrord.log').match(/incoming: port 8080 of the pod goes to/g)).toHaveLength(1)
  expectExit(await job.stop(), 'success')
  expect(output('stderr')).toBe('')
  expect(output('mirrord.log')).toMatch(/program: ended\..*\b0\b/)
})

test('[INC-22] forked workers share a listener, which ends with the last of them', async () => {
  expectExit(await job.start(...target, '--', python, program('prefork.py'), '8080'), 'success')
  const workers = [await who(), await who()]
  expect(workers).toEqual([expect.stringMatching(/^worker \d+$/), expect.stringMatching(/^worker \d+$/)])
  expect(workers[0]).not.toBe(workers[1])
  await until('the end of both workers', () => output('stdout') === 'no worker is left\n')
  await harness.deployedAgain(5000)
  expect(job.program('prefork.py')).toBeDefined()
  expectExit(await job.stop(), 'success')
})

test('[INC-23, OUT-18, ENV-14] without incoming and outgoing traffic all is local, and LD_PRELOAD stays', async () => {
  const outside = createServer((_, response) => response.end('this machine')).listen(0, '127.0.0.1')
  const free = net.createServer().listen(0, '127.0.0.1')
  await Promise.all([once(outside, 'listening'), once(free, 'listening')])
  const {port} = free.address() as net.AddressInfo
  free.close()
  const url = `http://127.0.0.1:${(outside.address() as net.AddressInfo).port}/`
  const config = path.join(job.folder, 'mirrord.json')
  writeFileSync(config, JSON.stringify({target: 'deployment/echo', feature: {network: {incoming: 'off'}}}))
  const preload = path.join(job.folder, 'preloaded.so')
  execFileSync('gcc', ['-shared', '-fPIC', '-x', 'c', '-o', preload, '-'], {input: 'int preloaded;'})
  try {
    const args = ['ci', 'start', '-f', config, '--no-outgoing', '--', node, program('local.mjs'), `${port}`, url]
    expectExit(await job.run(args, {env: {LD_PRELOAD: preload}}), 'success')
    const {body} = await until('the local server', () => request(`http://127.0.0.1:${port}/`))
    expect(JSON.parse(body)).toEqual({who: 'local', text: 'this machine', preload, loaded: true})
    expect(await who()).toBe('deployed')
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  } finally {
    outside.close()
  }
})
