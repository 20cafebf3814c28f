import {readdirSync, readFileSync} from 'node:fs'
import {createSocket} from 'node:dgram'
import {afterEach, beforeAll, expect, it, vi} from 'vitest'
import {buildTrap, cleanUp, compile, run, startRelay} from './harness.ts'

beforeAll(buildTrap)
afterEach(cleanUp)

const rounds = process.env.MIRRORD_LONG ? 10_000 : 1000

it(
  `${rounds} cycles of connect, accept, datagram and file leave nothing open in the supervisor`,
  {timeout: 120_000},
  async () => {
    using relay = await startRelay()
    const echo = createSocket('udp4').on('message', (data, from) => echo.send(data, from.port, from.address))
    await new Promise<void>((resolve) => echo.bind(0, '127.0.0.1', resolve))
    const program = await run({
      program: compile('processes'),
      arguments: ['cycles', '10.1.2.3', '80', String(rounds)],
      overlays: [{path: '/etc/resolv.conf', source: '/etc/hosts'}],
      connect: async ({protocol}) =>
        protocol === 'tcp' ? relay.answer : {relay: {address: '127.0.0.1', port: echo.address().port}},
    })
    const supervisor = readFileSync(`/proc/${program.trap.pid}/task/${program.trap.pid}/children`, 'utf8').trim()
    const open = () => readdirSync(`/proc/${supervisor}/fd`).length
    await program.line(/^ready/)
    const before = open()
    program.input('x')
    expect((await program.line(/^cycles (.*)/))[1]).toBe(`${rounds} ${rounds} ${rounds} ${rounds}`)
    await vi.waitFor(() => expect(open()).toBeLessThanOrEqual(before), {timeout: 10_000, interval: 20})
    program.input('x')
    await program.finish()
    echo.close()
  },
)

it('the peer sees the end of a connection as soon as the program closes it', async () => {
  using relay = await startRelay()
  const ended = Promise.withResolvers<void>()
  relay.server.on('connection', (socket) => socket.on('close', () => ended.resolve()).resume())
  const program = await run({
    program: compile('processes'),
    arguments: ['close', '10.1.2.3', '80'],
    connect: async () => relay.answer,
  })
  await program.line(/^closed/)
  await ended.promise
  program.input('x')
  await program.finish()
})
