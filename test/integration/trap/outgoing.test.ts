import {createServer, type AddressInfo} from 'node:net'
import {createServer as createHttpServer} from 'node:http'
import {constants, networkInterfaces} from 'node:os'
import {afterEach, beforeAll, expect, it} from 'vitest'
import type {ConnectAnswer, ConnectRequest} from '../../../src/trap/types.ts'
import {inEachCondition} from './conditions.ts'
import {buildTrap, cleanUp, python, run, startRelay} from './harness.ts'

beforeAll(buildTrap)
const servers = new Set<{close(): unknown}>()
afterEach(async () => {
  await cleanUp()
  for (const server of servers) server.close()
  servers.clear()
})

const hasIPv6 = Object.values(networkInterfaces())
  .flat()
  .some((i) => i?.address === '::1')
const script = (text: string) => ({program: python ?? '', arguments: ['-c', text]})
const node = (text: string) => ({program: process.execPath, arguments: ['-e', text]})
const asked = (connects: readonly ConnectRequest[]) =>
  connects.map(({remote}) => `${remote.address}:${remote.port}`).sort()

async function listening<S extends {listen(port: number, host: string, done: () => void): unknown; close(): unknown}>(
  server: S & {address(): unknown},
  host: string,
): Promise<{address: string; port: number}> {
  servers.add(server)
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  return {address: host, port: (server.address() as AddressInfo).port}
}

/** A relay that sends everything back, from when `ready` has resolved. */
const echo = (ready: Promise<unknown> = Promise.resolve()) =>
  listening(
    createServer((socket) => {
      socket.on('error', () => {})
      void ready.then(() => socket.pipe(socket))
    }),
    '127.0.0.1',
  )
/** A relay with a web server behind it. */
const web = (text: string, host = '127.0.0.1') =>
  listening(
    createHttpServer((_, response) => response.end(text)),
    host,
  )

const peers = ['1.1.1.1:1111', '2.2.2.2:2222', '3.3.3.3:3333']

inEachCondition('outgoing connections', () => {
  it.skipIf(!python)('[OUT-01] are asked for at once by threads, before any answer', async () => {
    const relay = await echo()
    const held: (() => void)[] = []
    const program = await run({
      ...script(`
import errno, os, select, socket, threading
def one(ip, port, own):
    s = socket.socket(); s.bind((own, 0)); s.setblocking(False)
    if s.connect_ex((ip, port)) not in (0, errno.EINPROGRESS): return print('failed')
    select.select([], [s], []); s.send(str(port).encode()); select.select([s], [], [])
    os.write(1, f'{s.recv(99)} {s.getpeername()} {s.getsockname()[0]}\\n'.encode())  # at once: print writes in pieces
all = [threading.Thread(target=one, args=a) for a in (('1.1.1.1', 1111, '127.0.0.1'), ('2.2.2.2', 2222, '0.0.0.0'), ('3.3.3.3', 3333, '0.0.0.0'))]
for t in all: t.start()
for t in all: t.join()
`),
      nonBlockingHold: 60_000,
      connect: ({remote}) =>
        new Promise((resolve) => {
          held.push(() => resolve({relay, local: {address: `10.244.0.${remote.port % 10}`, port: 4567}}))
          if (held.length === 3) for (const answer of held.reverse()) answer()
        }),
    })
    expect((await program.finish()).trim().split('\n').sort()).toEqual([
      "b'1111' ('1.1.1.1', 1111) 10.244.0.1",
      "b'2222' ('2.2.2.2', 2222) 10.244.0.2",
      "b'3333' ('3.3.3.3', 3333) 10.244.0.3",
    ])
    expect(asked(program.connects)).toEqual(peers)
  })

  it.skipIf(!python)('[OUT-01] are asked for by one thread, one after another, without the answers', async () => {
    const all = Promise.withResolvers<void>()
    const relay = await echo(all.promise)
    let hurried = 0
    const program = await run({
      ...script(`
import asyncio
async def one(ip, port):
    r, w = await asyncio.open_connection(ip, port, local_addr=('0.0.0.0', 0))
    w.write(str(port).encode())
    return await r.read(99), w.get_extra_info('socket').getpeername()
async def main():
    for line in await asyncio.gather(one('1.1.1.1', 1111), one('2.2.2.2', 2222), one('3.3.3.3', 3333)): print(*line)
asyncio.run(main())
`),
      nonBlockingHold: 50,
      connect: (request) =>
        new Promise<ConnectAnswer>((resolve) =>
          request.hurry.addEventListener('abort', () => {
            hurried++
            if (hurried === 3) all.resolve() // from here on the remote ends answer
            resolve({relay})
          }),
        ),
    })
    expect(await program.finish()).toBe(
      "b'1111' ('1.1.1.1', 1111)\nb'2222' ('2.2.2.2', 2222)\nb'3333' ('3.3.3.3', 3333)\n",
    )
    expect(asked(program.connects)).toEqual(peers)
  })

  const ten = (prefix: string, port: number) =>
    node(`const hosts = Array.from({length: 10}, (_, i) => '${prefix}.' + (i + 1))
      Promise.all(hosts.map(async (host) => (await fetch('http://' + host + ':${port}/')).text()))
        .then((texts) => console.log(texts.join(' ')))`)

  it('[OUT-22] of ten requests of Node at once all succeed, and nothing is complained about', async () => {
    const relay = await web('yes')
    const program = await run({...ten('10.1.2', 80), connect: async () => ({relay})})
    expect(await program.finish()).toBe(`${'yes '.repeat(10).trim()}\n`)
    expect(asked(program.connects)).toEqual(Array.from({length: 10}, (_, i) => `10.1.2.${i + 1}:80`).sort())
    expect(program.warnings).toEqual([])
  })

  it('[OUT-22] do so locally when outgoing traffic is off', async () => {
    const {port} = await web('yes', '0.0.0.0')
    const program = await run({...ten('127.0.0', port), outgoing: {tcp: false, udp: false}})
    expect(await program.finish()).toBe(`${'yes '.repeat(10).trim()}\n`)
    expect([program.connects, program.warnings]).toEqual([[], []])
  })

  it.skipIf(!hasIPv6)('[OUT-25] are made to IPv6 addresses by Node', async () => {
    const [four, six] = [await web('from the pod'), await web('from the pod', '::1')]
    const program = await run({
      ...node(`fetch('http://[fd00::5]:8080/').then((r) => r.text()).then(console.log)`),
      connect: async ({relayFamily}) => ({relay: relayFamily === 6 ? six : four}),
    })
    expect(await program.finish()).toBe('from the pod\n')
    expect(asked(program.connects)).toEqual(['fd00::5:8080'])
  })

  it.skipIf(!python)(
    '[OUT-28] of datagram sockets that time out in the pod say so, and the program goes on',
    async () => {
      const program = await run({
        ...script(`
import errno, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for call in (lambda: s.connect(('10.1.2.3', 5000)), lambda: s.sendto(b'x', ('10.1.2.3', 5001))):
    try: call()
    except OSError as e: print(errno.errorcode[e.errno])
`),
        connect: async () => ({errno: constants.errno.ETIMEDOUT}),
      })
      expect(await program.finish()).toBe('ETIMEDOUT\nETIMEDOUT\n')
      expect(asked(program.connects)).toEqual(['10.1.2.3:5000', '10.1.2.3:5001'])
    },
  )

  it.skipIf(!python)('[OUT-30] end one way while the answer is still to come', async () => {
    const answer = 'x'.repeat(1 << 20)
    let question = ''
    const relay = await listening(
      createServer({allowHalfOpen: true}, (socket) => {
        socket.setEncoding('utf8').on('data', (text) => (question += String(text)))
        socket.on('end', () => socket.end(answer))
      }),
      '127.0.0.1',
    )
    const program = await run({
      ...script(`
import socket
s = socket.create_connection(('10.1.2.3', 80)); s.sendall(b'question'); s.shutdown(socket.SHUT_WR)
got = b''.join(iter(lambda: s.recv(65536), b''))
print(len(got), set(got) == {ord('x')})
`),
      connect: async () => ({relay}),
    })
    expect(await program.finish()).toBe(`${answer.length} True\n`)
    expect(question).toBe('question')
  })

  it.skipIf(!python)('[OUT-32] are none of a socketpair', async () => {
    using relay = await startRelay()
    const program = await run({
      ...script(`
import os, socket
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    a, b = socket.socketpair(socket.AF_UNIX, kind)
    a.sendall(b'ping'); print(b.recv(4)); b.sendall(b'pong'); print(a.recv(4))
`),
      connect: async () => relay.answer,
    })
    expect(await program.finish()).toBe("b'ping'\nb'pong'\n".repeat(3))
    expect([program.connects, program.listeners]).toEqual([[], []])
  })
})
