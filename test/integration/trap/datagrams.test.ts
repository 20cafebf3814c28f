import {createSocket, type Socket} from 'node:dgram'
import {networkInterfaces} from 'node:os'
import {afterEach, beforeAll, expect, it} from 'vitest'
import type {ConnectAnswer, ConnectRequest} from '../../../src/trap/types.ts'
import {inEachCondition} from './conditions.ts'
import {buildTrap, cleanUp, compile, compileGo, python, run} from './harness.ts'

let datagrams: string
beforeAll(() => {
  buildTrap()
  datagrams = compile('datagrams')
})
const open = new Set<Socket>()
afterEach(async () => {
  await cleanUp()
  for (const socket of open) socket.close()
  open.clear()
})

const outside = Object.values(networkInterfaces())
  .flat()
  .find((i) => i?.family === 'IPv4' && !i.internal)?.address
const hasIPv6 = Object.values(networkInterfaces())
  .flat()
  .some((i) => i?.address === '::1')

/** A remote end as the session shows it: a relay that sends everything back. */
async function echo(host = '127.0.0.1'): Promise<{relay: {address: string; port: number}; sources: string[]}> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  const sources: string[] = []
  socket.on('message', (data, from) => {
    sources.push(`${from.address}:${from.port}`)
    socket.send(data, from.port, from.address)
  })
  open.add(socket)
  await new Promise<void>((resolve) => socket.bind(0, host, resolve))
  return {relay: {address: host, port: socket.address().port}, sources}
}
const echoes = ({relayFamily}: ConnectRequest): Promise<ConnectAnswer> => echo(relayFamily === 6 ? '::1' : '127.0.0.1')
const asked = (connects: ConnectRequest[]) =>
  connects.map(({remote, unconnected}) => `${unconnected ? '' : 'connected '}${remote.address}:${remote.port}`)
const script = (text: string) => ({program: python ?? '', arguments: ['-c', text]})

inEachCondition('unconnected datagrams', ({name}) => {
  const restarts = name.includes('before 5.19') // there a signal ends the call whatever we know of it (README, Not covered)

  it('go to any remote address; every call shows the original source', async () => {
    const program = await run({
      program: compile('sockets'),
      arguments: ['messages', '10.1.2.3', '5000'],
      connect: echoes,
    })
    expect(await program.finish()).toBe(
      'window 1\nrecvmsg ping from 10.1.2.3:5000\nsendmmsg 2\n' + 'recvmmsg ping from 10.1.2.3:5000\n'.repeat(2),
    )
    expect(program.connects).toMatchObject([
      {protocol: 'udp', unconnected: true, remote: {address: '10.1.2.3', port: 5000}, relayFamily: 4},
    ])
  })

  it('keep flags, lengths and errors of the calls', async () => {
    const program = await run({program: datagrams, arguments: ['flags', '10.1.2.3', '5000'], connect: echoes})
    expect((await program.finish()).trim().split('\n')).toEqual([
      'sendto 5',
      'peek 5 hello from 10.1.2.3:5000',
      'truncated 5 he from 10.1.2.3:5000',
      'nothing EAGAIN',
      'sendto 0',
      'empty 0  from 10.1.2.3:5000',
      'too long EMSGSIZE',
      'much too long EMSGSIZE',
      'bad data EFAULT',
      'longest 65507',
      'back 65507',
      'sendto 2',
      'bad buffer EFAULT',
    ])
  })

  it.skipIf(restarts)('wait with SO_RCVTIMEO, and for signals as signal(7) says', async () => {
    const program = await run({program: datagrams, arguments: ['timeouts', '10.1.2.3', '5000'], connect: echoes})
    expect((await program.finish()).trim().split('\n')).toEqual([
      'timeout EAGAIN',
      'interrupted with a timeout EINTR',
      'interrupted EINTR',
      'restarted 4 late from 10.1.2.3:5000',
    ])
  })

  it.skipIf(restarts)('come by recvmmsg in the number, the time and the order that it asks for', async () => {
    const program = await run({program: datagrams, arguments: ['many', '10.1.2.3', '5000'], connect: echoes})
    const lines = (await program.finish()).trim().split('\n')
    expect(lines.filter((line) => !line.startsWith('sendto') && !line.startsWith('peek'))).toEqual([
      'all 3',
      '1 a from 10.1.2.3:5000',
      '1 b from 10.1.2.3:5000',
      '1 c from 10.1.2.3:5000',
      'at least one 1',
      'until zero 1',
      'interrupted after one 1',
      'in a second 2 left 1',
      'bad timeout EINVAL',
    ])
  })

  it('carry options, but for the interface that they would leave by', async () => {
    const program = await run({program: datagrams, arguments: ['control', '10.1.2.3', '5000'], connect: echoes})
    expect((await program.finish()).trim().split('\n')).toEqual([
      'sendmsg 9',
      'recvmsg 9 scattered from 10.1.2.3:5000',
      'pktinfo 127.0.0.1',
      'type ttl',
      'cut 5 trunc 1 ctrunc 1',
      'bad control EINVAL',
      'bad vector EMSGSIZE',
    ])
  })

  it('of one sendmmsg each go their own way', async () => {
    const program = await run({program: datagrams, arguments: ['mixed', '10.1.2.3', '5000'], connect: echoes})
    const lines = (await program.finish()).trim().split('\n')
    expect(lines.sort()).toEqual(['remote from 10.1.2.3:5000', 'self from ourselves'])
    expect(asked(program.connects)).toEqual(['10.1.2.3:5000'])
  })

  it('come back in order, 10,000 of them', async () => {
    const program = await run({program: datagrams, arguments: ['burst', '10.1.2.3', '5000', '10000'], connect: echoes})
    expect(await program.finish()).toBe('got 10000 ordered 1\n')
  })

  it('never block their sender, whatever the relay takes', async () => {
    const silent = createSocket('udp4')
    open.add(silent)
    await new Promise<void>((resolve) => silent.bind(0, '127.0.0.1', resolve))
    silent.on('message', () => {})
    const relay = {address: '127.0.0.1', port: silent.address().port}
    const program = await run({
      program: datagrams,
      arguments: ['flood', '10.1.2.3', '5000', '10000'],
      connect: async () => ({relay}),
    })
    expect(await program.finish()).toBe('sent 10000\n')
  })

  it('to more addresses than the trap remembers: the relays used longest ago are given back', async () => {
    const {relay} = await echo()
    let gone = 0
    const program = await run({
      program: datagrams,
      arguments: ['spread', '10.1.2.3', '20000', '1100'],
      connect: async (request) => {
        request.gone.addEventListener('abort', () => gone++)
        return {relay}
      },
    })
    await program.line(/sent 1100/)
    await program.until(() => program.connects.length === 1100)
    await program.finish()
    expect(gone).toBe(1100) // 76 on the way, the others when the tree had ended
  })

  it('[OUT-07] [OUT-08] [OUT-09] [OUT-10] stay local when UDP is off, but for port 53', async () => {
    const program = await run({
      ...script(`
import socket
a, b = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in 'ab')
for s in (a, b): s.bind(('127.0.0.1', 0))
a.sendto(b'by sendto', b.getsockname()); print(b.recvfrom(99) == (b'by sendto', a.getsockname()))
a.sendmsg([b'by sendmsg'], [], 0, b.getsockname()); print(b.recvmsg(99)[3] == a.getsockname())
a.sendto(b'query', ('1.2.3.4', 53)); print(a.recvfrom(99))
b.sendmsg([b'que', b'ry'], [], 0, ('1.2.3.5', 53)); print(b.recvmsg(99))
`),
      outgoing: {tcp: true, udp: false},
      connect: echoes,
    })
    expect(await program.finish()).toBe("True\nTrue\n(b'query', ('1.2.3.4', 53))\n(b'query', [], 0, ('1.2.3.5', 53))\n")
    expect(asked(program.connects)).toEqual(['1.2.3.4:53', '1.2.3.5:53'])
  })

  it('fail with the errno that the session gives, and ask again the next time', async () => {
    let first = true
    const program = await run({
      ...script(`
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in 'ab':
    try: print(s.sendto(b'ping', ('10.1.2.3', 5000)))
    except OSError as e: print(e.strerror)
print(s.recvfrom(99))
`),
      connect: async (request) => {
        const answer = first ? {errno: 113} : await echoes(request)
        first = false
        return answer
      },
    })
    expect(await program.finish()).toBe("No route to host\n4\n(b'ping', ('10.1.2.3', 5000))\n")
  })

  it('wait for the session across a signal handler, all of them for one answer', async () => {
    const {promise: asked, resolve: ask} = Promise.withResolvers<() => void>()
    const program = await run({
      ...script(`
import signal, socket, threading
signal.signal(signal.SIGALRM, lambda *a: print('alarm'))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
threads = [threading.Thread(target=lambda: s.sendto(b'ping', ('10.1.2.3', 5000))) for _ in range(20)]
for t in threads: t.start()
import ctypes, ctypes.util
libc = ctypes.CDLL(None, use_errno=True)
import struct
to = struct.pack('=H', socket.AF_INET) + struct.pack('!H', 5000) + socket.inet_aton('10.1.2.3') + bytes(8)
handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda n: print('handled'))
libc.signal(signal.SIGUSR1, handler)
print('sending')
print(libc.sendto(s.fileno(), b'ping', 4, 0, to, 16))
for t in threads: t.join()
print(len([s.recvfrom(99) for _ in range(21)]))
`),
      connect: (request) => new Promise((resolve) => ask(() => resolve(echoes(request)))),
    })
    await program.line(/sending/)
    process.kill(program.trap.programPid, 'SIGUSR1')
    await program.line(/handled/)
    const answer = await asked
    answer()
    await program.line(/^21$/)
    await program.finish()
    expect(program.connects).toHaveLength(1)
  })

  it.runIf(name === 'natively')(
    'are given up when nobody says for 10 s where they go',
    async () => {
      const program = await run({
        ...script(`
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try: s.sendto(b'ping', ('10.1.2.3', 5000))
except OSError as e: print(e.strerror)
`),
        connect: () => new Promise(() => {}),
      })
      expect(await program.finish()).toBe('Network is unreachable\n')
      expect(program.warnings).toHaveLength(1)
    },
    20_000,
  )
})

inEachCondition('datagrams that stay', () => {
  it('reach a socket of the tree itself, bound or not', async () => {
    const program = await run({
      ...script(`
import os, socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); server.bind(('127.0.0.1', 0))
anywhere = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); anywhere.bind(('::', 0))
if os.fork() == 0:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for s in (server, anywhere):
        client.sendto(b'ping', ('127.0.0.1', s.getsockname()[1]))
        print(client.recvfrom(99)[0], flush=True)
    client.connect(server.getsockname()); client.send(b'connected'); print(client.recv(99), client.getpeername() == server.getsockname(), flush=True)
    os._exit(0)
for s in (server, anywhere, server):
    data, source = s.recvfrom(99)
    s.sendto(data + b' pong', source)
os.wait()
other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
other.sendto(b'statsd', ('127.0.0.1', 8125)); print(other.recvfrom(99))
`),
      connect: echoes,
    })
    expect(await program.finish()).toBe(
      "b'ping pong'\nb'ping pong'\nb'connected pong' True\n(b'statsd', ('127.0.0.1', 8125))\n",
    )
    expect(asked(program.connects)).toEqual(['127.0.0.1:8125'])
  })

  it('answer whoever wrote from this machine', async () => {
    const program = await run({
      ...script(`
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 0))
print('port', s.getsockname()[1])
for i in range(2):
    data, source = s.recvfrom(99)
    s.sendto(data + b' pong', source)
    s.sendmsg([b'again'], [], 0, source)
`),
      connect: echoes,
    })
    const port = Number((await program.line(/port (\d+)/))[1])
    for (const address of ['127.0.0.1', outside ?? '127.0.0.2']) {
      const client = createSocket('udp4')
      open.add(client)
      const answers: string[] = []
      const both = new Promise<void>((resolve) =>
        client.on('message', (data) => {
          if (answers.push(data.toString()) === 2) resolve()
        }),
      )
      client.send('ping', port, address)
      await both
      expect(answers).toEqual(['ping pong', 'again'])
    }
    await program.finish()
    expect(program.connects).toEqual([])
  })

  it('are multicast, broadcast, local by configuration, or of another protocol', async () => {
    const program = await run({
      ...script(`
import socket
r = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); r.bind(('', 0)); port = r.getsockname()[1]
r.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('239.1.2.3') + socket.inet_aton('127.0.0.1'))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('127.0.0.1'))
s.sendto(b'multicast', ('239.1.2.3', port)); print(r.recv(99))
s.sendto(b'listed', ('10.9.9.9', 9))
try: s.sendto(b'broadcast', ('255.255.255.255', 9))
except OSError as e: print(e.strerror)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
try: s.sendto(b'broadcast', ('255.255.255.255', 9))
except OSError as e: print(e.strerror)
try: s.sendto(b'port 0', ('10.1.2.3', 0))
except OSError as e: print(e.strerror)
u = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); v = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
v.bind('\\0datagrams-%d' % port); u.sendto(b'unix', '\\0datagrams-%d' % port); print(v.recv(99))
`),
      local: [{cidr: '10.9.0.0/16'}],
      connect: echoes,
    })
    expect((await program.finish()).trim().split('\n')).toEqual([
      "b'multicast'",
      'Permission denied',
      'Invalid argument',
      "b'unix'",
    ])
    expect(program.connects).toEqual([])
  })
})

inEachCondition('datagram sockets', () => {
  it('[OUT-06] change their peer, lose it, and go to a local one', async () => {
    const program = await run({
      program: datagrams,
      arguments: ['peers', '10.1.2.3', '5000', outside ?? '127.0.0.1'],
      local: [{cidr: outside ?? '127.0.0.1'}],
      connect: echoes,
    })
    expect((await program.finish()).trim().split('\n')).toEqual([
      'connect 0',
      'sendto 11',
      'got 11 to the peer from 10.1.2.3:5000',
      'connect 0',
      'send 5',
      'got 5 other from 10.1.2.3:5001',
      'dissolve 0',
      'peer ENOTCONN',
      'sendto 11',
      'got 11 unconnected from 10.1.2.3:5000',
      'connect 0',
      'connect locally 0',
      `peer ${outside ?? '127.0.0.1'}:9`,
      `own ${outside ?? '127.0.0.1'}`,
    ])
    expect(asked(program.connects)).toEqual([
      'connected 10.1.2.3:5000',
      'connected 10.1.2.3:5001',
      '10.1.2.3:5000',
      'connected 10.1.2.3:5000',
    ])
  })

  it('[OUT-05] bind an address of the pod', async () => {
    const program = await run({
      program: datagrams,
      arguments: ['bound', '10.1.2.3', '5000', '4.4.4.4', '4444'],
      incoming: false,
      connect: echoes,
    })
    expect((await program.finish()).trim().split('\n')).toEqual([
      'bind 0',
      'own 4.4.4.4:4444',
      'sendto 11',
      'got 11 unconnected from 10.1.2.3:5000',
      'sendto 12',
      'got 12',
      'connect 0',
      'send 5',
      'got 5 hello from 10.1.2.3:5000',
      expect.stringMatching(/^own 127\.0\.0\.1:\d+$/),
      'second EADDRINUSE',
    ])
  })

  it.skipIf(!hasIPv6)('speak IPv6, and IPv4 in the way of IPv6 sockets', async () => {
    const program = await run({
      ...script(`
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
for to in ('::ffff:10.1.2.3', 'fd00::5'):
    s.sendto(b'ping', (to, 5000)); print(s.recvfrom(99)[1][:2])
only = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
only.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
only.sendto(b'ping', ('fd00::5', 5000)); print(only.recvfrom(99)[1][:2])
try: only.sendto(b'ping', ('::ffff:10.1.2.3', 5000))
except OSError as e: print(e.strerror)
own = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); own.bind(('::1', 0))
s.sendto(b'own', ('::1', own.getsockname()[1])); print(own.recv(99))
`),
      connect: echoes,
    })
    expect(await program.finish()).toBe(
      "('::ffff:10.1.2.3', 5000)\n('fd00::5', 5000)\n('fd00::5', 5000)\nNetwork is unreachable\nb'own'\n",
    )
    expect(program.connects.map(({relayFamily}) => relayFamily)).toEqual([4, 4, 6])
  })

  it('[OUT-19] serve dgram of Node, connected and not', async () => {
    const program = await run({
      program: process.execPath,
      arguments: [
        '-e',
        `const s = require('dgram').createSocket('udp4')
         s.bind(() => s.send('ping', 5000, '10.1.2.3'))
         s.once('message', (data, from) => {
           console.log(String(data), from.address, from.port)
           s.connect(5001, '10.1.2.3', () => s.send('connected'))
           s.once('message', (data, from) => { console.log(String(data), from.address, from.port); s.close() })
         })`,
      ],
      connect: echoes,
    })
    expect(await program.finish()).toBe('ping 10.1.2.3 5000\nconnected 10.1.2.3 5001\n')
  })

  it('[OUT-21] stay connected to a local socket when outgoing traffic is off', async () => {
    const server = createSocket('udp4')
    open.add(server)
    await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve))
    const message = new Promise<string>((resolve) => server.on('message', (data) => resolve(data.toString())))
    const program = await run({
      program: process.execPath,
      arguments: [
        '-e',
        `const s = require('dgram').createSocket('udp4')
         s.connect(${server.address().port}, '127.0.0.1', () => s.send('local', () => s.close()))`,
      ],
      outgoing: {tcp: false, udp: false},
    })
    expect(await message).toBe('local')
    expect(await program.finish()).toBe('')
    expect(program.connects).toEqual([])
  })

  const go = compileGo('datagrams')
  it.skipIf(!go)('serve static Go: ListenUDP, ReadMsgUDP, Dial', async () => {
    const program = await run({program: go ?? '', arguments: ['10.1.2.3:5000'], connect: echoes})
    expect(await program.finish()).toBe(
      'ping from 10.1.2.3:5000\nmessage from 10.1.2.3:5000\ndialled from 10.1.2.3:5000\n',
    )
  })
})
