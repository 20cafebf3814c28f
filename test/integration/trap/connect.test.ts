import {createServer, type AddressInfo, type Socket} from 'node:net'
import {constants, networkInterfaces} from 'node:os'
import {afterEach, beforeAll, expect, it} from 'vitest'
import {inEachCondition} from './conditions.ts'
import {buildTrap, cleanUp, compile, compileGo, python, run, startRelay, which} from './harness.ts'
import type {Address, ConnectAnswer} from '../../../src/trap/types.ts'

const {ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH} = constants.errno
let sockets: string
beforeAll(() => {
  buildTrap()
  sockets = compile('sockets')
})
afterEach(cleanUp)

const remote = ['10.1.2.3', '8080'] as const

inEachCondition('connect', (condition) => {
  it('connects a blocking socket to the relay and shows the cluster addresses', async () => {
    using relay = await startRelay()
    const sources: unknown[] = []
    const program = await run({
      program: sockets,
      arguments: ['blocking', ...remote],
      connect: async () => ({...relay.answer, onConnected: (source) => sources.push(source)}),
    })
    expect(await program.finish()).toBe(
      'connect ok\npeer 10.1.2.3:8080 own 10.244.0.7:45678\nagain EISCONN\ndata hello\n',
    )
    expect(program.connects).toMatchObject([
      {protocol: 'tcp', unconnected: false, remote: {address: '10.1.2.3', port: 8080}, pid: program.trap.programPid},
    ])
    // The source that the trap reports is the one that the relay meets: it authenticates the connection.
    expect(relay.sources).toEqual(sources.map((s) => Object.values(s as object).join(':')))
    expect(program.warnings).toEqual([])
  })

  it.each([
    ['ECONNREFUSED', ECONNREFUSED],
    ['ETIMEDOUT', ETIMEDOUT],
    ['EHOSTUNREACH', EHOSTUNREACH],
  ])("gives the remote's own errno, %s", async (name, errno) => {
    const blocking = await run({program: sockets, arguments: ['blocking', ...remote], connect: async () => ({errno})})
    expect(await blocking.finish()).toBe(`connect ${name}\n`)
    const nonBlocking = await run({
      program: sockets,
      arguments: ['nonblocking', ...remote],
      connect: async () => ({errno}),
    })
    expect(await nonBlocking.finish()).toBe(`connect ${name}\nerror 0\n`)
  })

  it('keeps an epoll registration made before a non-blocking connect', async () => {
    using relay = await startRelay()
    const program = await run({
      program: sockets,
      arguments: ['nonblocking', ...remote],
      connect: async () => relay.answer,
    })
    expect(await program.finish()).toBe(
      'connect ok\nevents 1 out 1 hup 0 error 0\nagain ok then EISCONN\n' +
        'peer 10.1.2.3:8080 own 10.244.0.7:45678\ndata hello\n',
    )
  })

  it('hurries the session when a non-blocking socket has waited long enough', async () => {
    using relay = await startRelay()
    const program = await run({
      program: sockets,
      arguments: ['nonblocking', ...remote],
      nonBlockingHold: 50,
      connect: (request) =>
        new Promise<ConnectAnswer>((resolve) => request.hurry.addEventListener('abort', () => resolve(relay.answer))),
    })
    expect(await program.finish()).toContain('data hello')
  })

  it('leaves a non-blocking connect under way until the answer is there', async () => {
    using relay = await startRelay()
    const {promise, resolve} = Promise.withResolvers<typeof relay.answer & {onConnected(source?: Address): void}>()
    const connected: (Address | undefined)[] = []
    const program = await run({
      program: sockets,
      arguments: ['nonblocking', ...remote],
      nonBlockingHold: 50,
      connect: (request) =>
        new Promise<ConnectAnswer>((answer) =>
          request.hurry.addEventListener('abort', () =>
            answer({relay: relay.relay, onConnected: () => connected.push(undefined), later: promise}),
          ),
        ),
    })
    await program.line(/^connect ok/)
    expect(connected).toEqual([])
    resolve({...relay.answer, onConnected: (source) => void connected.push(source)})
    expect(await program.finish()).toBe(
      'connect ok\nevents 1 out 1 hup 0 error 0\nagain ok then EISCONN\n' +
        'peer 10.1.2.3:8080 own 10.244.0.7:45678\ndata hello\n',
    )
    expect(connected.map((source) => `${source?.address}:${source?.port}`)).toEqual(relay.sources)
    expect(program.connects[0]?.nonBlocking).toBe(true)
  })

  it.each([
    ['ECONNREFUSED', 'ECONNRESET'],
    ['ETIMEDOUT', 'ETIMEDOUT'],
  ] as const)('fails a non-blocking connect that was under way: %s shows as %s', async (why, shown) => {
    using relay = await startRelay()
    const errno = constants.errno[why]
    const {promise, resolve} = Promise.withResolvers<{errno: number}>()
    let asked = 0
    const program = await run({
      program: sockets,
      arguments: ['nonblocking', ...remote],
      nonBlockingHold: 50,
      connect: (request) =>
        new Promise<ConnectAnswer>((answer) => {
          if (++asked > 1) return answer(relay.answer) // the program tries once more with the same socket
          request.hurry.addEventListener('abort', () => answer({relay: relay.relay, later: promise}))
        }),
    })
    await program.line(/^connect ok/)
    resolve({errno})
    expect(await program.finish()).toMatch(
      new RegExp(
        `^connect ok\\nevents 1 out 1 hup 1 error ${constants.errno[shown]}\\nagain \\w+ then [^]*\\ndata hello\\n$`,
      ),
    )
    expect(relay.sources).toHaveLength(1)
  })

  it.skipIf(!python)(
    'finds the socket of a connect under way by another number, and knows when it was closed',
    async () => {
      using relay = await startRelay()
      const {promise, resolve} = Promise.withResolvers<void>()
      const connected: (Address | undefined)[] = []
      const script = `
import os, select, socket
def begin():
    s = socket.socket()
    s.setblocking(False)
    assert s.connect_ex(('10.1.2.3', 8080)) == 115
    return s
closed, moved, forked = begin(), begin(), begin()
closed.close()
again = os.dup(moved.fileno())
moved.close()
moved = socket.socket(fileno=again)
if os.fork() == 0:
    print('begun', flush=True)
    select.select([], [forked], [])
    forked.setblocking(True)
    print('forked', forked.recv(9), flush=True)
    os._exit(0)
forked.close()
select.select([], [moved], [])
moved.setblocking(True)
data = moved.recv(9)
os.wait()
print('moved', data, flush=True)
`
      const program = await run({
        program: python!,
        arguments: ['-c', script],
        nonBlockingHold: 50,
        connect: (request) =>
          new Promise<ConnectAnswer>((answer) => {
            const onConnected = (source?: Address) => void connected.push(source)
            const later = promise.then(() => ({...relay.answer, relay: relay.relay, onConnected}))
            request.hurry.addEventListener('abort', () => answer({relay: relay.relay, later}))
          }),
      })
      await program.line(/^begun/)
      resolve()
      expect((await program.finish()).split('\n').sort()).toEqual(['', 'begun', "forked b'hello'", "moved b'hello'"])
      expect(connected.filter((source) => source === undefined)).toHaveLength(1)
      expect(connected).toHaveLength(3)
    },
  )

  it('serves dup, fork and exec, and 32 threads at once', async () => {
    using relay = await startRelay()
    const connect = async () => relay.answer
    const dup = await run({program: sockets, arguments: ['dup', ...remote], connect})
    expect(await dup.finish()).toBe('connect ok\npeer 10.1.2.3:8080 own 10.244.0.7:45678\ndata hello\n')
    const fork = await run({program: sockets, arguments: ['fork', ...remote], connect})
    expect(await fork.finish()).toBe('connect ok\npeer 10.1.2.3:8080 own 10.244.0.7:45678\ndata hello\n')
    const held: (() => void)[] = []
    const threads = await run({
      program: sockets,
      arguments: ['threads', ...remote],
      connect: () =>
        new Promise((resolve) => {
          held.push(() => resolve(relay.answer))
          if (held.length === 32) held.forEach((answer) => answer())
        }),
    })
    expect(await threads.finish()).toBe('threads 32\n')
  })

  it('runs signal handlers while a connect is held, and finds the same question again', async () => {
    using relay = await startRelay()
    const program = await run({
      program: sockets,
      arguments: ['signal', ...remote],
      nonBlockingHold: 300,
      connect: (request) =>
        new Promise<ConnectAnswer>((resolve) => request.hurry.addEventListener('abort', () => resolve(relay.answer))),
    })
    // Without killable waits the kernel itself ends the call, as the handler has no SA_RESTART.
    const old = 'connect EINTR alarms some\ndata ENOTCONN\n'
    expect(await program.finish()).toBe(
      condition.denied.includes('killable') ? old : 'alarm 3\nconnect ok alarms some\ndata hello\n',
    )
    expect(program.connects).toHaveLength(1)
  })

  it('tells the session when the caller was killed', async () => {
    let gone!: () => void
    const told = new Promise<void>((resolve) => (gone = resolve))
    const program = await run({
      program: sockets,
      arguments: ['blocking', ...remote],
      connect: (request) => new Promise(() => request.gone.addEventListener('abort', gone)),
    })
    await program.until(() => program.connects.length === 1)
    process.kill(program.trap.programPid, 'SIGKILL')
    await told
    expect(await program.trap.exited).toEqual({signal: 'SIGKILL'})
  })

  it('connects a socket that is bound already', async () => {
    using relay = await startRelay()
    const outside = Object.values(networkInterfaces())
      .flat()
      .filter((i) => i?.family === 'IPv4' && !i.internal)
      .map((i) => i?.address ?? '')
    for (const own of ['127.0.0.1', '0.0.0.0', ...outside.slice(0, 1)]) {
      const program = await run({
        program: sockets,
        arguments: ['bound', ...remote, own],
        connect: async () => relay.answer,
      })
      expect(await program.finish()).toBe('bind ok\nconnect ok\ndata hello\n')
    }
  })

  it('leaves local destinations, disabled protocols and direct answers alone', async () => {
    using relay = await startRelay('local')
    const to = ['127.0.0.1', String(relay.relay.port)]
    const listed = await run({
      program: sockets,
      arguments: ['dup', ...to],
      local: [{cidr: '127.0.0.0/8', port: relay.relay.port}],
    })
    expect(await listed.finish()).toContain('data local')
    const off = await run({program: sockets, arguments: ['dup', ...to], outgoing: {tcp: false, udp: false}})
    expect(await off.finish()).toContain('data local')
    const direct = await run({program: sockets, arguments: ['dup', ...to], connect: async () => ({direct: true})})
    expect(await direct.finish()).toContain('data local')
    expect([listed.connects.length, off.connects.length, direct.connects.length]).toEqual([0, 0, 1])
  })

  it('fails loudly when the session itself fails', async () => {
    const program = await run({
      program: sockets,
      arguments: ['blocking', ...remote],
      connect: () => Promise.reject(new Error('no agent')),
    })
    expect(await program.finish()).toBe('connect ENETUNREACH\n')
    expect(program.warnings).toEqual(['connect to 10.1.2.3:8080 failed: Error: no agent'])
  })

  it('gives connected UDP a relay, with the original source on every answer', async () => {
    const {createSocket} = await import('node:dgram')
    const relay = createSocket('udp4')
    relay.on('message', (data, from) => relay.send(`${data.toString()} pong`, from.port, from.address))
    await new Promise<void>((resolve) => relay.bind(0, '127.0.0.1', resolve))
    const program = await run({
      program: sockets,
      arguments: ['udp', '10.1.2.3', '5000'],
      connect: async () => ({
        relay: {address: '127.0.0.1', port: relay.address().port},
        local: {address: '10.244.0.7', port: 9},
      }),
    })
    expect(await program.finish()).toBe(
      'connect ok\npeer 10.1.2.3:5000 own 10.244.0.7:9\ngot ping pong from 10.1.2.3:5000\n',
    )
    relay.close()
  })

  it('serves Node: net.connect, its addresses, and a refused connection', async () => {
    using relay = await startRelay()
    const program = await run({
      program: process.execPath,
      arguments: [
        '-e',
        `const net = require('net')
         const c = net.connect(80, '10.1.2.3', () => console.log(c.remoteAddress, c.remotePort, c.localAddress))
         c.on('data', (d) => console.log('data', String(d)))
         c.on('close', () => net.connect(81, '10.1.2.3').on('error', (e) => console.log(e.code)))`,
      ],
      connect: async ({remote}) => (remote.port === 80 ? relay.answer : {errno: ECONNREFUSED}),
    })
    expect(await program.finish()).toBe('10.1.2.3 80 10.244.0.7\ndata hello\nECONNREFUSED\n')
  })

  it.skipIf(!python)('serves Python: blocking, with a timeout, asyncio, and IPv6 sockets', async () => {
    using relay = await startRelay()
    using relay6 = await startRelay('six', '::1')
    const families: number[] = []
    const program = await run({
      program: python ?? '',
      arguments: [
        '-c',
        `
import socket, asyncio
for timeout in (None, 5):
    s = socket.create_connection(('10.1.2.3', 80), timeout)
    print(s.recv(9), s.getpeername())
async def main():
    r, w = await asyncio.open_connection('10.1.2.3', 80)
    print(await r.read(), w.get_extra_info('peername'))
asyncio.run(main())
s = socket.socket(socket.AF_INET6)
s.connect(('::ffff:10.1.2.3', 80)); print(s.recv(9), s.getpeername()[0])
s = socket.socket(socket.AF_INET6)
s.connect(('fd00::5', 80)); print(s.recv(9), s.getpeername()[0])
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
s.connect(('fd00::5', 80)); print(s.recv(9), s.getpeername()[0])
`,
      ],
      connect: async ({relayFamily}) => {
        families.push(relayFamily)
        return relayFamily === 6 ? relay6.answer : relay.answer
      },
    })
    expect((await program.finish()).trim().split('\n')).toEqual([
      "b'hello' ('10.1.2.3', 80)",
      "b'hello' ('10.1.2.3', 80)",
      "b'hello' ('10.1.2.3', 80)",
      "b'hello' ::ffff:10.1.2.3",
      "b'hello' fd00::5",
      "b'six' fd00::5",
    ])
    expect(families).toEqual([4, 4, 4, 4, 4, 6])
  })

  it.skipIf(!which('curl'))('serves curl', async () => {
    using relay = await startRelay('HTTP/1.0 200 OK\r\n\r\nfrom the cluster')
    const program = await run({
      program: which('curl') ?? '',
      arguments: ['-sS', 'http://10.1.2.3:8080/', '-w', ' via %{remote_ip}'],
      connect: async () => relay.answer,
    })
    expect(await program.finish()).toBe('from the cluster via 10.1.2.3')
    const refused = await run({program: which('curl') ?? '', arguments: ['-sS', 'http://10.1.2.3:8080/']})
    await refused.finish()
    expect(await refused.trap.exited).toEqual({code: 7})
  })

  const go = compileGo('dial')
  it.skipIf(!go)('serves static Go: 20 connections at once, and a refused one', async () => {
    using relay = await startRelay()
    const program = await run({
      program: go ?? '',
      arguments: ['10.1.2.3:80', '10.1.2.3:81'],
      connect: async ({remote}) => (remote.port === 80 ? relay.answer : {errno: ECONNREFUSED}),
    })
    expect(await program.finish()).toBe(
      'hello from 10.1.2.3:80 x 20\ndial tcp 10.1.2.3:81: connect: connection refused\n',
    )
  })

  const script = (text: string) => ({program: python ?? '', arguments: ['-c', text]})

  it.skipIf(!python)(
    'refuses TCP Fast Open, as where it is switched off, and lets nothing out unconnected',
    async () => {
      using relay = await startRelay()
      const program = await run({
        ...script(`
import socket, errno
FASTOPEN = 0x20000000
for send in (lambda s: s.sendto(b'early', FASTOPEN, ('10.1.2.3', 80)), lambda s: s.sendmsg([b'early'], [], FASTOPEN, ('10.1.2.3', 80)),
             lambda s: s.sendto(b'unconnected', socket.MSG_NOSIGNAL, ('10.1.2.3', 80))):
    s = socket.socket()
    try: print('sent', send(s))
    except OSError as e: print(errno.errorcode[e.errno]) # ENOTSUP is EOPNOTSUPP
s = socket.socket()
try: s.setsockopt(socket.IPPROTO_TCP, 30, 1) # TCP_FASTOPEN_CONNECT
except OSError: pass
s.connect(('10.1.2.3', 80)); print(s.recv(9))
`),
        connect: async () => relay.answer,
      })
      expect(await program.finish()).toBe("ENOTSUP\nENOTSUP\nEPIPE\nb'hello'\n")
      expect(program.connects).toHaveLength(1)
    },
  )

  it.skipIf(!python)('connects with SO_SNDTIMEO before its time is over, and MPTCP sockets', async () => {
    using relay = await startRelay()
    const program = await run({
      ...script(`
import socket, struct
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('qq', 0, 50000))
s.connect(('10.1.2.3', 80)); print(s.recv(9))
try: s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
except OSError: s = socket.socket()
s.connect(('10.1.2.3', 81)); print(s.recv(9), s.getpeername())
`),
      connect: ({remote, hurry}) =>
        remote.port === 81
          ? Promise.resolve(relay.answer)
          : new Promise((resolve) => hurry.addEventListener('abort', () => resolve(relay.answer))),
    })
    expect(await program.finish()).toBe("b'hello'\nb'hello' ('10.1.2.3', 81)\n")
  })

  it.skipIf(!python)('[OUT-04] connects sockets bound to any port and to a privileged one', async () => {
    using relay = await startRelay()
    const program = await run({
      ...script(`
import socket
for port in (0, 80):
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('0.0.0.0', port)); s.connect(('1.1.1.1', 4567)); print(s.recv(9), s.getsockname(), s.getpeername())
`),
      connect: async () => relay.answer,
    })
    expect(await program.finish()).toBe("b'hello' ('10.244.0.7', 45678) ('1.1.1.1', 4567)\n".repeat(2))
  })

  it.skipIf(!python || condition.denied !== '')(
    'serves 200 threads that connect at once, to a relay whose backlog is full',
    async () => {
      const waiting: Socket[] = []
      const server = createServer((socket) => waiting.push(socket.on('error', () => {}).end('x')))
      await new Promise<void>((resolve) => server.listen({port: 0, host: '127.0.0.1', backlog: 8}, resolve))
      const relay = {address: '127.0.0.1', port: (server.address() as AddressInfo).port}
      const held: (() => void)[] = []
      const program = await run({
        ...script(`
import socket, threading
got = []
def one():
    s = socket.socket(); s.connect(('10.1.2.3', 80)); got.append(s.recv(9))
threads = [threading.Thread(target=one) for _ in range(200)]
for t in threads: t.start()
for t in threads: t.join()
print(len(got), set(got))
`),
        connect: () =>
          new Promise((resolve) => {
            held.push(() => resolve({relay}))
            if (held.length === 200) held.forEach((answer) => answer())
          }),
      })
      expect(await program.finish()).toBe("200 {b'x'}\n")
      server.close()
    },
  )

  it.skipIf(!python || condition.denied !== '')('serves a program with 5,000 connections', async () => {
    using relay = await startRelay('x')
    const program = await run({
      ...script(`
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
sockets = []
for i in range(5000):
    s = socket.socket(); s.connect(('10.1.2.3', 80)); sockets.append(s)
print(len([s for s in sockets if s.getpeername() == ('10.1.2.3', 80)]))
`),
      connect: async () => relay.answer,
    })
    expect(await program.finish()).toBe('5000\n')
  })

  it.skipIf(!python || condition.denied !== '')('answers one connect beside 3,000 that wait', async () => {
    using relay = await startRelay()
    const program = await run({
      ...script(`
import socket, threading, os
threading.stack_size(65536)
def wait():
    try: socket.socket().connect(('10.1.2.3', 81))
    except OSError: pass
for i in range(3000): threading.Thread(target=wait, daemon=True).start()
input()
s = socket.socket(); s.connect(('10.1.2.3', 80)); print(s.recv(9)); os._exit(0)
`),
      connect: ({remote}) => (remote.port === 80 ? Promise.resolve(relay.answer) : new Promise(() => {})),
    })
    await program.until(() => program.connects.length === 3000)
    program.input('go\n')
    expect(await program.finish()).toBe("b'hello'\n")
  })
})
