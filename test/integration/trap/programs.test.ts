import {execFileSync} from 'node:child_process'
import {existsSync, mkdtempSync, readFileSync, realpathSync, rmSync} from 'node:fs'
import {connect} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {text} from 'node:stream/consumers'
import {afterAll, afterEach, beforeAll, expect, it} from 'vitest'
import {inOwnConditions} from './conditions.ts'
import {buildTrap, cleanUp, compile, compileGo, freePort, run, startRelay, which} from './harness.ts'

const go = which('go') ?? (existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : undefined)
const apps = join(import.meta.dirname, '../../apps/trap')
let directory: string
beforeAll(() => {
  buildTrap()
  directory = mkdtempSync(join(realpathSync(tmpdir()), 'mirrord-programs-'))
})
afterAll(() => rmSync(directory, {recursive: true}))
afterEach(cleanUp)

/** An ELF file without a program interpreter (PT_INTERP, elf(5)): no loader runs before it. */
function isStatic(file: string): boolean {
  const bytes = readFileSync(file)
  const [start, size, count] = [Number(bytes.readBigUInt64LE(32)), bytes.readUInt16LE(54), bytes.readUInt16LE(56)]
  return Array.from({length: count}, (_, i) => bytes.readUInt32LE(start + i * size)).every((type) => type !== 3)
}

inOwnConditions('programs', () => {
  it('[PRC-15] that are linked statically are intercepted like all others: C', async () => {
    using relay = await startRelay()
    const program = compile('processes')
    expect(isStatic(program)).toBe(true)
    const started = await run({program, arguments: ['connect', '10.1.2.3', '80'], connect: async () => relay.answer})
    expect(await started.finish()).toContain('connect connected')
    expect(started.connects).toMatchObject([{remote: {address: '10.1.2.3', port: 80}}])
  })

  it.skipIf(!go)('[PRC-15] that are linked statically are intercepted like all others: Go (needs go)', async () => {
    using relay = await startRelay()
    const program = compileGo('dial') ?? ''
    expect(isStatic(program)).toBe(true)
    const started = await run({
      program,
      arguments: ['10.1.2.3:80', '10.1.2.4:80'],
      connect: async ({remote}) => (remote.address === '10.1.2.3' ? relay.answer : {errno: 111}),
    })
    expect(await started.finish()).toContain('hello from 10.1.2.3:80 x 20')
    expect(started.connects).toHaveLength(21)
  })

  it.skipIf(!go)('[PRC-09, PRC-10] of Go find, signal and await a child by its pidfd (needs go)', async () => {
    using relay = await startRelay()
    const started = await run({
      program: compileGo('pidfd') ?? '',
      arguments: ['10.1.2.3:80'],
      connect: async () => relay.answer,
    })
    expect((await started.finish()).trim().split('\n')).toEqual([
      'find <nil>',
      'alive <nil>',
      'signal <nil>',
      'wait signal: terminated',
      'gone os: process already finished',
      'okay',
    ])
    expect(await started.trap.exited).toEqual({code: 0})
  })

  it.skipIf(!go || !which('gcc'))(
    '[PRC-11] that load a library of Go when they have long begun serve by it (needs go and gcc)',
    {timeout: 120_000},
    async () => {
      const [program, library] = [join(directory, 'late'), join(directory, 'late.so')]
      if (!existsSync(program)) {
        execFileSync('gcc', ['-O1', '-Wall', '-Wextra', '-Werror', '-o', program, join(apps, 'late.c'), '-ldl'])
        const env = {...process.env, CGO_ENABLED: '1', GO111MODULE: 'off', GOFLAGS: ''}
        execFileSync(go!, ['build', '-buildmode=c-shared', '-o', library, join(apps, 'late.go')], {env})
      }
      const started = await run({program, arguments: [library, '23333']})
      await started.line(/^listening$/)
      expect(started.listeners).toMatchObject([{asked: {address: '127.0.0.1', port: 23333}}])
      const [listener] = started.listeners
      const peer = {address: '10.244.7.9', port: 51515}
      const source = {address: '127.0.0.1', port: await freePort()}
      await started.trap.registerPeer(source, peer, {address: '10.244.0.7', port: 23333})
      const socket = connect({
        port: listener!.actual.port,
        host: '127.0.0.1',
        localAddress: source.address,
        localPort: source.port,
      })
      expect(await text(socket)).toBe('served to 10.244.7.9:51515\n')
      await started.finish()
      expect(await started.trap.exited).toEqual({code: 0})
    },
  )

  it('[PRC-16] with worker processes that talk over loopback do so here, without a question', async () => {
    const script = `
const {fork} = require('child_process'), http = require('http')
if (process.argv[1] === 'worker')
  http.createServer((request, response) => response.end('worker ' + request.url)).listen(0, function () { process.send(this.address().port) })
else {
  const workers = [1, 2].map(() => fork('-e', [], {execArgv: ['-e', process.execArgv[1], 'worker']}))
  let answers = 0
  workers.forEach((worker, i) => worker.on('message', async (port) => {
    for (const host of ['127.0.0.1', 'localhost']) console.log(i, host, await (await fetch('http://' + host + ':' + port + '/' + i)).text())
    if (++answers === 2) workers.forEach((one) => one.kill())
  }))
}`
    const started = await run({program: process.execPath, arguments: ['-e', script]})
    const lines = (await started.finish()).trim().split('\n')
    expect(lines.sort()).toEqual([
      '0 127.0.0.1 worker /0',
      '0 localhost worker /0',
      '1 127.0.0.1 worker /1',
      '1 localhost worker /1',
    ])
    expect(started.connects).toEqual([])
    expect(started.listeners).toHaveLength(2)
  })
})
