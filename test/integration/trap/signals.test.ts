import {execFileSync} from 'node:child_process'
import {mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs'
import {connect as dial} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, afterEach, beforeAll, describe, expect, it} from 'vitest'
import {trapIn} from './conditions.ts'
import {buildTrap, cleanUp, compile, run, startRelay, useTrap, type Run} from './harness.ts'

let processes: string
beforeAll(() => {
  buildTrap()
  processes = compile('processes')
})
afterEach(cleanUp)

const lines = (text: string) => text.trim().split('\n')

describe.each([
  ['with killable waits', ''],
  ['without killable waits (kernel before 5.19)', 'killable,wake'],
])('signals, %s', (_, denied) => {
  let trap: ReturnType<typeof trapIn>
  beforeAll(() => {
    trap = trapIn({nobody: false, denied})
    useTrap(trap.path)
  })
  afterAll(() => {
    useTrap(undefined)
    trap.remove()
  })

  it.each(['stop', 'stop-thread', 'terminal'])(
    '%s a process whose connect is held, which then goes on',
    async (mode) => {
      using relay = await startRelay()
      const answer = Promise.withResolvers<void>()
      const program = await run({
        program: processes,
        arguments: [mode, '10.1.2.3', '80'],
        connect: async () => {
          await answer.promise
          return relay.answer
        },
      })
      await program.until(() => program.connects.length > 0)
      program.input('now\n')
      await program.line(/^continued/)
      answer.resolve()
      expect(lines(await program.finish())).toEqual([
        `stopped by ${mode === 'terminal' ? 'TSTP' : 'STOP'}`,
        'continued',
        'connect connected',
        'child exit 0',
        ...(mode === 'terminal' ? ['leader exit 0'] : []),
      ])
    },
  )

  it('a storm of SIGURG, as the Go runtime sends, loses and breaks nothing', async () => {
    using relay = await startRelay()
    const program = await run({
      program: processes,
      arguments: ['storm', '10.1.2.3', '80'],
      connect: async () => {
        await new Promise((resolve) => setTimeout(resolve, 5)) // held for several signals
        return relay.answer
      },
    })
    const [, port] = await program.line(/^port (\d+)/)
    for (let i = 0; i < 20; i++)
      await new Promise<void>((resolve, reject) =>
        dial(Number(port), '127.0.0.1')
          .on('error', reject)
          .on('data', () => {})
          .on('close', () => resolve()),
      )
    expect(lines(await program.finish())).toEqual(['connected 20', `port ${port}`, 'accepted 20 signals many'])
  })

  it('SIGKILL to callers at any moment leaves nothing behind', async () => {
    const script = `for i in $(seq 30); do ${processes} connect 10.1.2.3 80 & p=$!; kill -9 $p; wait $p; done; echo done`
    const program = await run({
      program: '/bin/sh',
      arguments: ['-c', `(${script}) 2>/dev/null`],
      connect: ({gone}) => new Promise((resolve) => gone.addEventListener('abort', () => resolve({errno: 111}))),
    })
    expect(await program.finish()).toContain('done')
    expect(program.connects.filter(({gone}) => !gone.aborted)).toEqual([])
  })
})

describe('a crash', () => {
  const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'utf8').trim()

  it('is reported with its signal', async () => {
    const program = await run({program: processes, arguments: ['crash']})
    expect(await program.trap.exited).toEqual({signal: 'SIGSEGV'})
    await program.finish()
    const shell = await run({program: '/bin/sh', arguments: ['-c', `${processes} crash 2>/dev/null; exit $?`]})
    expect(await shell.trap.exited).toEqual({code: 128 + 11})
    await shell.finish()
  })

  it.skipIf(!/^[^|/]+$/.test(pattern))('writes a core file where the kernel is set to write one', async () => {
    const cwd = mkdtempSync(join(tmpdir(), 'mirrord-core-'))
    const program = await run({program: processes, arguments: ['crash', 'core'], cwd})
    await program.finish()
    expect(readdirSync(cwd)).toHaveLength(1)
    rmSync(cwd, {recursive: true})
  })
})

describe('limits', () => {
  const through = async (mode: string, count: number, check?: (program: Run) => void) => {
    using relay = await startRelay()
    const program = await run({
      program: processes,
      arguments: [mode, '10.1.2.3', '80', String(count)],
      connect: async () => relay.answer,
    })
    const output = lines(await program.finish())
    check?.(program)
    return output
  }

  it('a program with at most 64 descriptors', async () => {
    expect(await through('nofile', 64)).toEqual([
      'connect connected',
      'datagram outside',
      'then EMFILE with 64',
      'after connected',
    ])
  })

  const hard = execFileSync('/bin/sh', ['-c', 'ulimit -Hn'], {encoding: 'utf8'}).trim()
  const most = Math.min(1_000_000, hard === 'unlimited' ? Infinity : Number(hard))
  it(`a program with up to ${most} descriptors`, async () => {
    expect(await through('nofile', most)).toEqual(['connect connected', 'datagram in the window', 'after connected'])
  })

  it('[PRC-18] 200 threads that connect at once', async () => {
    expect(await through('threads', 200, ({connects}) => expect(connects).toHaveLength(200))).toEqual(['threads 200'])
  })

  const sockets = process.env.MIRRORD_LONG ? 10_000 : 2000
  it(`${sockets} sockets open in one program`, {timeout: 120_000}, async () => {
    expect(await through('many', sockets)).toEqual([`connected ${sockets} of ${sockets}, 1 open`])
  })

  it('a thread executes another program while others are in held calls', async () => {
    using relay = await startRelay()
    const program = await run({
      program: processes,
      arguments: ['exec-amid', '10.1.2.3', '80'],
      connect: ({remote, gone}) =>
        remote.port === 81
          ? Promise.resolve(relay.answer)
          : new Promise((resolve) => gone.addEventListener('abort', () => resolve({errno: 111}))),
    })
    await program.until(() => program.connects.length === 8)
    program.input('now\n')
    expect(lines(await program.finish())).toEqual(['connect connected', 'window 1'])
    expect(program.connects.slice(0, 8).every(({gone}) => gone.aborted)).toBe(true)
  })
})
