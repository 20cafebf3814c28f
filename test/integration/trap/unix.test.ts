import {mkdtempSync, rmSync, chmodSync} from 'node:fs'
import {createServer, type Server, type Socket} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeAll, describe, expect, it} from 'vitest'
import {compilePatterns} from '../../../src/patterns/index.ts'
import type {UnixConnectRequest} from '../../../src/trap/types.ts'
import {inEachCondition} from './conditions.ts'
import {buildTrap, cleanUp, python, run, which} from './harness.ts'

beforeAll(buildTrap)
const servers = new Set<Server>()
const directories = new Set<string>()
afterEach(async () => {
  await cleanUp()
  for (const server of servers) server.close()
  for (const directory of directories) rmSync(directory, {recursive: true})
  servers.clear()
  directories.clear()
})

/** A relay path of the session: `serve` gets its connection. */
async function relay(serve: (socket: Socket) => void): Promise<{relay: string}> {
  const directory = mkdtempSync(join(tmpdir(), 'mirrord-unix-'))
  directories.add(directory)
  chmodSync(directory, 0o755)
  const path = join(directory, 'relay')
  const server = createServer({allowHalfOpen: true}, (socket) => {
    socket.on('error', () => {})
    serve(socket)
  })
  servers.add(server)
  await new Promise<void>((resolve) => server.listen({path, readableAll: true, writableAll: true}, resolve))
  return {relay: path}
}
const echo = () => relay((socket) => socket.pipe(socket))

/** Whole frames of a stream of `u32 length, bytes`. */
function frames(socket: Socket, message: (bytes: Buffer) => void): void {
  let left = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    left = Buffer.concat([left, chunk])
    while (left.length >= 4 && left.length >= 4 + left.readUInt32LE(0)) {
      const end = 4 + left.readUInt32LE(0)
      message(left.subarray(4, end))
      left = left.subarray(end)
    }
  })
}
const framed = (bytes: Buffer | string) => {
  const body = Buffer.from(bytes)
  const head = Buffer.alloc(4)
  head.writeUInt32LE(body.length)
  return Buffer.concat([head, body])
}
const unixStreams = compilePatterns([
  {pattern: '^/remote/', label: 1},
  {pattern: '^@remote', label: 2},
])
const script = (text: string) => ({program: python ?? '', arguments: ['-c', text], unixStreams})
const shown = (requests: UnixConnectRequest[]) =>
  requests.map(({path, seqpacket}) => `${seqpacket ? 'seqpacket ' : ''}${Buffer.from(path).toString('latin1')}`)

describe.skipIf(!python)('unix sockets', () => {
  inEachCondition('that match', ({name}) => {
    it('[OUT-13] connect the program’s own socket to the relay; getpeername shows the path that was asked for', async () => {
      const asked: UnixConnectRequest[] = []
      const program = await run({
        ...script(`
import os, select, socket
s = socket.socket(socket.AF_UNIX)
e = select.epoll(); e.register(s, select.EPOLLIN)
s.connect('/remote/app.sock'); print(s.getpeername(), repr(s.getsockname()))
s.sendall(b'ping'); print([fd == s.fileno() for fd, events in e.poll(5)], s.recv(99))
try: s.connect('/remote/app.sock')
except OSError as error: print(error.strerror)
s.shutdown(socket.SHUT_WR); print(s.recv(99))
n = socket.socket(socket.AF_UNIX); n.setblocking(False)
n.connect('\\0remote name'); print(n.getpeername()); n.setblocking(True); n.sendall(b'pong'); print(n.recv(99))
`),
        connectUnix: (request) => {
          asked.push(request)
          return echo()
        },
      })
      expect(await program.finish()).toBe(
        "/remote/app.sock ''\n[True] b'ping'\nTransport endpoint is already connected\nb''\nb'\\x00remote name'\nb'pong'\n",
      )
      expect(shown(asked)).toEqual(['/remote/app.sock', '\0remote name'])
      expect(asked[0]?.pid).toBeGreaterThan(0)
    })

    it('[OUT-15] mean the same with zeroes at the end, and get the errno of the target', async () => {
      const asked: UnixConnectRequest[] = []
      const program = await run({
        ...script(`
import ctypes, errno, os, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
path = struct.pack('=H', socket.AF_UNIX) + b'/remote/missing'
for length in (len(path), len(path) + 1, 110):
    s = socket.socket(socket.AF_UNIX)
    r = libc.connect(s.fileno(), path + bytes(110 - len(path)), length)
    print(r, errno.errorcode[ctypes.get_errno()])
print('goes on')
`),
        connectUnix: async (request) => {
          asked.push(request)
          return {errno: 2}
        },
      })
      expect(await program.finish()).toBe('-1 ENOENT\n'.repeat(3) + 'goes on\n')
      expect(shown(asked)).toEqual(['/remote/missing', '/remote/missing', '/remote/missing'])
    })

    it('[OUT-16] keep the boundaries of seqpacket messages, both ways, to the end', async () => {
      const asked: UnixConnectRequest[] = []
      const got: string[] = []
      const program = await run({
        ...script(`
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect('/remote/packets'); print(s.getpeername())
for message in (b'one', b'', b'x' * 100000): s.send(message)
for i in range(3): print(len(s.recv(200000)))
s.send(b'half closed'); s.shutdown(socket.SHUT_WR)
print(s.recv(99)); print(s.recv(99))
last = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); last.connect('/remote/packets')
for i in range(200): last.send(b'y' * 5000)
`),
        connectUnix: async (request) => {
          asked.push(request)
          return relay((socket) => {
            frames(socket, (bytes) => {
              got.push(bytes.length > 20 ? `${bytes.length}` : bytes.toString())
              socket.write(framed(bytes))
            })
            socket.on('end', () => socket.end())
          })
        },
      })
      expect(await program.finish()).toBe("/remote/packets\n3\n0\n100000\nb'half closed'\nb''\n")
      expect(shown(asked)).toEqual(['seqpacket /remote/packets', 'seqpacket /remote/packets'])
      // The program ended at once after its last words: they arrive all the same.
      await expect.poll(() => got.length).toBe(4 + 200)
      expect(got.slice(0, 4)).toEqual(['one', '', '100000', 'half closed'])
    })

    it('show a relay that is gone as a peer that is gone', async () => {
      const program = await run({
        ...script(`
import socket
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    s = socket.socket(socket.AF_UNIX, kind)
    s.connect('/remote/closing'); print(s.recv(9), s.recv(9))
    try:
        while True: s.send(b'more')
    except (BrokenPipeError, ConnectionResetError): print('gone')
`),
        connectUnix: ({seqpacket}) =>
          relay((socket) => {
            socket.write(seqpacket ? framed('bye') : 'bye')
            socket.destroySoon()
          }),
      })
      expect(await program.finish()).toBe("b'bye' b''\ngone\n".repeat(2))
    })

    it('wait with SO_SNDTIMEO, and across signal handlers', async () => {
      const asked: UnixConnectRequest[] = []
      let answer!: () => void
      let given!: () => void
      const givenUp = new Promise<void>((resolve) => (given = resolve))
      const program = await run({
        ...script(`
import ctypes, errno, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda n: print('handled'))
libc.signal(10, handler)
path = struct.pack('=H', socket.AF_UNIX) + b'/remote/slow' + bytes(20)
s = socket.socket(socket.AF_UNIX)
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('qq', 0, 100000))
print(libc.connect(s.fileno(), path, len(path)), errno.errorcode[ctypes.get_errno()])
s = socket.socket(socket.AF_UNIX)
print(libc.connect(s.fileno(), path, len(path)))
`),
        connectUnix: (request) => {
          asked.push(request)
          request.gone.addEventListener('abort', given)
          return new Promise((resolve) => (answer = () => resolve(echo())))
        },
      })
      await program.line(/-1 EAGAIN/)
      await givenUp
      await program.until(() => asked.length === 2)
      process.kill(program.trap.programPid, 'SIGUSR1')
      await program.line(/handled/)
      answer()
      await program.line(/^0$/)
      await program.finish()
      expect(asked).toHaveLength(2)
    })

    it('tell the session when the caller was killed', async () => {
      const asked: UnixConnectRequest[] = []
      let told!: () => void
      const gone = new Promise<void>((resolve) => (told = resolve))
      const program = await run({
        ...script("import socket; print('connecting'); socket.socket(socket.AF_UNIX).connect('/remote/slow')"),
        connectUnix: (request) => {
          asked.push(request)
          request.gone.addEventListener('abort', told)
          process.kill(request.pid, 'SIGKILL')
          return new Promise(() => {})
        },
      })
      await gone
      expect(await program.trap.exited).toEqual({signal: 'SIGKILL'})
    })

    it('wait while the backlog of the relay is full', async () => {
      const {relay: path} = await relay(() => {})
      const full = await run({
        ...script(`
import socket, threading
kinds = [socket.SOCK_STREAM, socket.SOCK_SEQPACKET] * 20
sockets = [socket.socket(socket.AF_UNIX, kind) for kind in kinds]
threads = [threading.Thread(target=s.connect, args=('/remote/many',)) for s in sockets]
for t in threads: t.start()
for t in threads: t.join()
print(len([s.getpeername() for s in sockets]))
`),
        connectUnix: async () => ({relay: path}),
      })
      expect(await full.finish()).toBe('40\n')
    })

    it.runIf(name === 'natively')(
      '[OUT-14] are local when the path is relative, of another root, or datagrams',
      async () => {
        const program = await run({
          ...script(`
import os, socket, tempfile
d = tempfile.mkdtemp(); os.chdir(d); os.mkdir('remote'); servers = []
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    server = socket.socket(socket.AF_UNIX, kind); server.bind('remote/local%d' % kind); server.listen(); servers.append(server)
    s = socket.socket(socket.AF_UNIX, kind); s.connect('remote/local%d' % kind); print(s.getpeername())
    s = socket.socket(socket.AF_UNIX, kind); s.connect(d + '/remote/local%d' % kind); print(s.getpeername())
datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
try: datagram.connect('/remote/datagrams')
except OSError as e: print(e.strerror)
if os.getuid() == 0:
    os.chroot(d)
    s = socket.socket(socket.AF_UNIX); s.connect('/remote/local1'); print('chrooted', s.getpeername())
else: print('chrooted remote/local1')
`),
        })
        expect((await program.finish()).trim().split('\n')).toEqual([
          'remote/local1',
          'remote/local1',
          'remote/local5',
          'remote/local5',
          'No such file or directory',
          'chrooted remote/local1',
        ])
      },
    )
  })

  it.skipIf(!which('curl'))('serve curl and Node', async () => {
    const connectUnix = () =>
      relay((socket) => socket.once('data', () => socket.end('HTTP/1.0 200 OK\r\n\r\nfrom the target')))
    const curl = await run({
      program: which('curl') ?? '',
      arguments: ['-sS', '--unix-socket', '/remote/http', 'http://localhost/'],
      unixStreams,
      connectUnix,
    })
    expect(await curl.finish()).toBe('from the target')
    const node = await run({
      program: process.execPath,
      arguments: [
        '-e',
        `require('http').get({socketPath: '/remote/http'}, (r) => r.on('data', (d) => console.log(String(d))))`,
      ],
      unixStreams,
      connectUnix,
    })
    expect(await node.finish()).toBe('from the target\n')
  })
})
