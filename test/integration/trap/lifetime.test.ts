import {spawn} from 'node:child_process'
import {mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync, chmodSync} from 'node:fs'
import {connect, createServer, type AddressInfo, type Socket} from 'node:net'
import {constants, tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeAll, expect, it} from 'vitest'
import type {Address, Trap} from '../../../src/trap/types.ts'
import {inEachCondition} from './conditions.ts'
import {buildTrap, cleanUp, freePort, python, run, startRelay, which, type Run} from './harness.ts'

beforeAll(buildTrap)
const open = new Set<Socket>()
afterEach(async () => {
  for (const socket of open) socket.destroy()
  open.clear()
  await cleanUp()
})

const peer = {address: '10.244.7.9', port: 51_515}
const local = {address: '10.244.0.7', port: 8080}

/** Connects to a listener of the tree as the session does. */
async function dial(trap: Trap, to: Address | undefined): Promise<Socket> {
  const source = {address: '127.0.0.1', port: await freePort()}
  await trap.registerPeer(source, peer, local)
  const socket = connect({port: to?.port ?? 0, host: '127.0.0.1', localAddress: source.address, localPort: source.port})
  open.add(socket)
  socket.resume()
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  return socket
}
/** A server that tells when its client has gone. */
async function startPeer() {
  const ends: Promise<void>[] = []
  const server = createServer((socket) => {
    socket.resume()
    ends.push(new Promise((resolve) => socket.once('end', resolve)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = {address: '127.0.0.1', port: (server.address() as AddressInfo).port}
  return {address, ends, [Symbol.dispose]: () => void server.close()}
}
/** Descriptors of the supervisor, the process below the one that the session started. */
function descriptors({trap}: Run): number {
  const supervisor = readFileSync(`/proc/${trap.pid}/task/${trap.pid}/children`, 'utf8').trim()
  return readdirSync(`/proc/${supervisor}/fd`).length
}
/** Looks again and again, as nothing tells when it becomes true; the test's timeout ends it. */
async function eventually(check: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await check())) await new Promise((resolve) => setTimeout(resolve, 5))
}
async function canListen(port: number): Promise<boolean> {
  const server = createServer()
  const ok = await new Promise<boolean>((resolve) =>
    server.once('error', () => resolve(false)).listen({port, host: '127.0.0.1', exclusive: true}, () => resolve(true)),
  )
  if (ok) await new Promise((resolve) => server.close(resolve))
  return ok
}
const py = (code: string, ...args: string[]) => ({program: python ?? '', arguments: ['-c', code, ...args]})

inEachCondition('sockets of the tree', (condition) => {
  it.skipIf(!python)('show their end to the peer while the program lives on, relayed and local ones', async () => {
    using server = await startPeer()
    const program = await run({
      ...py(
        `
import socket, sys, os
def dial(port, host='10.1.2.3'):
    s = socket.socket(); s.connect((host, port)); return s
dial(80).close()
dial(int(sys.argv[1]), '127.0.0.1').close()
s = dial(80); d = s.dup(); s.close(); print('one left'); sys.stdin.readline(); d.close()
s = dial(80)
if os.fork() == 0: os._exit(0)
os.wait(); s.close()
print('closed'); sys.stdin.readline()
`,
        String(server.address.port),
      ),
      connect: async ({remote}) => (remote.port === 80 ? {relay: server.address} : {direct: true}),
    })
    await program.line(/^one left/)
    await eventually(() => server.ends.length >= 3)
    await Promise.all(server.ends.slice(0, 2))
    program.input('go on\n')
    await program.line(/^closed/)
    await eventually(() => server.ends.length === 4)
    await Promise.all(server.ends)
    program.input('end\n')
    await program.finish()
  })

  it.skipIf(!python)('free their port at once: listen, close, listen again; TCP and UDP, dup2 and exec', async () => {
    const program = await run({
      ...py(
        `
import os, socket, subprocess, sys
port = int(sys.argv[1])
def listen():
    s = socket.socket(); s.bind(('127.0.0.1', port)); s.listen(); return s
for i in range(20): listen().close()
for i in range(20):
    s = socket.socket(); s.bind(('127.0.0.1', port)); s.close()
for i in range(20):
    s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.1', port)); s.close()
null = os.open('/dev/null', os.O_RDONLY)
s = listen(); os.dup2(null, s.detach())
s = listen(); outside = os.dup2(s.fileno(), 400); s.close(); os.close(outside)
s = listen(); os.closerange(s.detach(), 4096)
child = subprocess.Popen([sys.executable, '-c', '''
import os, signal, socket, sys
s = socket.socket(); s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(); print("child", flush=True); signal.pause()
''', str(port)], stdout=subprocess.PIPE)
child.stdout.readline(); child.kill(); child.wait()
listen()
os.execv(sys.executable, [sys.executable, '-c', '''
import socket, sys
s = socket.socket(); s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(); print(s.getsockname()[1] == int(sys.argv[1]))
''', str(port)])
`,
        String(await freePort()),
      ),
    })
    expect(await program.finish()).toBe('True\n')
    expect(program.listeners.map(({asked, actual}) => asked.port === actual.port)).not.toContain(false)
  })

  it.skipIf(!python)('free their port for others when their process is killed, listening or only bound', async () => {
    const program = await run(
      py(`
import os, signal, socket, sys
held = [socket.socket(), socket.socket(), socket.socket()]
for s in held: s.bind(('127.0.0.1', 0))
held[0].listen(); held[1].listen()
print(*[s.getsockname()[1] for s in held])
if os.fork() == 0:
    held[1].close(); signal.pause()
if os.fork() == 0:
    held[0].close(); held[2].close(); signal.pause()
for s in held: s.close()
print('parent', os.getpid())
sys.stdin.readline()
`),
    )
    const ports = ((await program.line(/^(\d+) (\d+) (\d+)$/)) as string[]).slice(1).map(Number)
    await program.line(/^parent/)
    expect(program.closed).toEqual([])
    expect(await Promise.all(ports.map(canListen))).toEqual([false, false, false])
    const children = readFileSync(`/proc/${program.trap.programPid}/task/${program.trap.programPid}/children`, 'utf8')
    for (const child of children.trim().split(' ')) process.kill(Number(child), 'SIGKILL')
    for (const port of ports) await eventually(() => canListen(port))
    await program.until(() => program.closed.length === 2)
    program.input('end\n')
    await program.finish()
  })

  it.skipIf(!python)('leave no descriptor with us: 10,000 of them, closed, connected, refused', async () => {
    using relay = await startRelay('')
    const program = await run({
      ...py(`
import socket, sys
sys.stdin.readline()
for i in range(10000): socket.socket(type=socket.SOCK_DGRAM if i % 4 == 0 else socket.SOCK_STREAM).close()
for i in range(300):
    s = socket.socket(); s.connect_ex(('10.1.2.3', 80 + i % 2)); s.close()
kept = [socket.socket() for i in range(400)]
for s in kept: s.connect_ex(('10.1.2.3', 80))
print('made'); sys.stdin.readline()
`),
      connect: async ({remote}) => (remote.port === 80 ? relay.answer : {errno: constants.errno.ECONNREFUSED}),
    })
    const before = descriptors(program)
    program.input('begin\n')
    await program.line(/^made/)
    await eventually(() => descriptors(program) === before)
    program.input('end\n')
    await program.finish()
    expect(program.warnings).toEqual([])
  })

  it.skipIf(!python)('may be handed to another process: unconnected, listening, and closed by the sender', async () => {
    using relay = await startRelay()
    const program = await run({
      ...py(`
import os, socket, sys
a, b = socket.socketpair()
if os.fork() == 0:
    a.close()
    _, (fd,), _, _ = socket.recv_fds(b, 9, 1)
    s = socket.socket(fileno=fd); s.connect(('10.1.2.3', 80)); print(s.recv(9), s.getpeername()); s.close()
    b.send(b'1')
    _, (fd,), _, _ = socket.recv_fds(b, 9, 1)
    s = socket.socket(fileno=fd); b.send(b'2')
    c, at = s.accept(); print(at, c.getpeername(), c.getsockname())
    os._exit(0)
b.close()
s = socket.socket(); socket.send_fds(a, [b'x'], [s.fileno()]); a.recv(1); s.close()
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); socket.send_fds(a, [b'x'], [s.fileno()]); a.recv(1); s.close()
os.wait(); print('over'); sys.stdin.readline()
`),
      connect: async () => relay.answer,
    })
    await program.until(() => program.listeners.length === 1)
    await dial(program.trap, program.listeners[0]?.actual)
    await program.line(/^over/)
    expect(program.output()).toBe(
      "b'hello' ('10.1.2.3', 80)\n('10.244.7.9', 51515) ('10.244.7.9', 51515) ('10.244.0.7', 8080)\nover\n",
    )
    await program.until(() => program.closed.length === 1)
    program.input('end\n')
    await program.finish()
  })

  it.skipIf(!python)(
    'may be inherited by one process after the other, which listen and accept (uvicorn --reload)',
    async () => {
      const worker = `
import os, socket, sys
s = socket.socket(fileno=int(sys.argv[1])); s.listen(); print("worker", flush=True)
c, at = s.accept(); print("served", at[0], c.getpeername()[0], flush=True)
sys.stdin.readline()
`
      const program = await run({
        ...py(
          `
import socket, subprocess, sys
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.set_inheritable(True)
for i in range(3):
    p = subprocess.Popen([sys.executable, '-c', sys.argv[1], str(s.fileno())], close_fds=False, stdin=subprocess.PIPE)
    sys.stdin.readline(); p.kill(); p.wait(); print('killed', i)
`,
          worker,
        ),
      })
      for (const round of [0, 1, 2]) {
        await program.until(() => program.listeners.length === 1)
        await program.until(() => program.output().split('worker\n').length > round + 1)
        await dial(program.trap, program.listeners[0]?.actual)
        await program.until(() => program.output().split('served 10.244.7.9 10.244.7.9\n').length > round + 1)
        expect(program.closed).toEqual([])
        program.input('next\n')
        await program.line(new RegExp(`^killed ${round}`))
      }
      await program.finish()
      expect(program.closed).toHaveLength(1)
    },
  )

  it.each(['', 'cluster.schedulingPolicy = cluster.SCHED_NONE'])('serve a Node cluster of two (%s)', async (policy) => {
    const directory = mkdtempSync(join(tmpdir(), 'mirrord-cluster-'))
    chmodSync(directory, 0o755)
    const file = join(directory, 'cluster.cjs')
    writeFileSync(
      file,
      `const cluster = require('cluster'); ${policy}
       if (cluster.isPrimary) { cluster.fork(); cluster.fork() }
       else require('net').createServer((c) => { console.log('served', c.remoteAddress, c.localPort); c.end() }).listen(0, '127.0.0.1', () => console.log('ready'))`,
    )
    const program = await run({program: process.execPath, arguments: [file]})
    await program.until(() => program.output().split('ready\n').length === 3)
    for (const round of [1, 2, 3, 4]) {
      await dial(program.trap, program.listeners[0]?.actual)
      await program.until(() => program.output().split('served 10.244.7.9 8080\n').length > round)
    }
    rmSync(directory, {recursive: true})
  })

  it.skipIf(!python)(
    'are refused, not left unconnected, when they came from outside and cannot be duplicated',
    async () => {
      using relay = await startRelay()
      const directory = mkdtempSync(join(tmpdir(), 'mirrord-outside-'))
      chmodSync(directory, 0o755)
      const path = join(directory, 'socket')
      const outside = spawn(python ?? '', [
        '-c',
        `
import os, socket, sys
l = socket.socket(socket.AF_UNIX); l.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o777); l.listen(); print('ready', flush=True)
c, _ = l.accept()
listening = socket.socket(); listening.bind(('127.0.0.1', 0)); listening.listen()
idle = socket.socket(); datagrams = socket.socket(type=socket.SOCK_DGRAM)
socket.send_fds(c, [b'x'], [s.fileno() for s in (idle, listening, datagrams)])
c.recv(1)
`,
        path,
      ])
      await new Promise((resolve) => outside.stdout.once('data', resolve))
      const program = await run({
        ...py(
          `
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
_, fds, _, _ = socket.recv_fds(s, 9, 3)
a, l, d = [socket.socket(fileno=fd) for fd in fds]
print(a.connect_ex(('10.1.2.3', 80)), a.connect_ex(('10.1.2.3', 80)))
try: print('sent', d.sendto(b'x', ('10.1.2.3', 53)))
except OSError as e: print('sent', e.errno)
print('port', l.getsockname()[1])
c, _ = l.accept(); print(c.getpeername(), c.getsockname()); l.close()
`,
          path,
        ),
        connect: async () => relay.answer,
      })
      const port = Number((await program.line(/^port (\d+)/))[1])
      await dial(program.trap, {address: '127.0.0.1', port})
      const output = await program.finish()
      const {ENETUNREACH, EISCONN} = constants.errno
      const without = condition.denied.includes('docker')
      expect(output).toMatch(
        without ? `${ENETUNREACH} ${ENETUNREACH}\nsent ${ENETUNREACH}\n` : `0 ${EISCONN}\nsent 1\n`,
      )
      expect(output).toContain("('10.244.7.9', 51515) ('10.244.0.7', 8080)\n")
      expect(program.warnings.length).toBe(without ? 1 : 0)
      outside.kill()
      rmSync(directory, {recursive: true})
    },
  )

  it.skipIf(!which('java'))(
    'serve Java: blocking and NIO, closing by dup2, listening again on the same port',
    async () => {
      using relay = await startRelay()
      const directory = mkdtempSync(join(tmpdir(), 'mirrord-java-'))
      chmodSync(directory, 0o755)
      const file = join(directory, 'Sockets.java')
      writeFileSync(
        file,
        `import java.net.*; import java.nio.*; import java.nio.channels.*;
public class Sockets {
  static String name(SocketAddress a) { InetSocketAddress i = (InetSocketAddress) a; return i.getAddress().getHostAddress() + ":" + i.getPort(); }
  public static void main(String[] a) throws Exception {
    int port = Integer.parseInt(a[0]);
    for (int i = 0; i < 3; i++) {
      ServerSocket s = new ServerSocket(port, 9, InetAddress.getByName("127.0.0.1")); System.out.println("listening");
      Socket c = s.accept(); System.out.println("served " + name(c.getRemoteSocketAddress())); c.close(); s.close();
      ServerSocketChannel n = ServerSocketChannel.open().bind(new InetSocketAddress("127.0.0.1", port));
      n.close();
    }
    Socket s = new Socket("10.1.2.3", 80); System.out.println(new String(s.getInputStream().readAllBytes()) + " " + name(s.getRemoteSocketAddress())); s.close();
    Selector selector = Selector.open();
    SocketChannel c = SocketChannel.open(); c.configureBlocking(false); c.register(selector, SelectionKey.OP_CONNECT);
    if (!c.connect(new InetSocketAddress("10.1.2.3", 80))) { selector.select(); c.finishConnect(); }
    System.out.println("nio " + name(c.getRemoteAddress())); c.close();
    try { new Socket("10.1.2.3", 81); } catch (ConnectException e) { System.out.println(e.getMessage()); }
  }
}`,
      )
      const program = await run({
        program: which('java') ?? '',
        arguments: ['-XX:TieredStopAtLevel=1', '-Djava.io.tmpdir=/tmp', file, String(await freePort())],
        connect: async ({remote}) => (remote.port === 80 ? relay.answer : {errno: constants.errno.ECONNREFUSED}),
      })
      for (const round of [1, 2, 3]) {
        await program.until(() => program.output().split('listening\n').length > round)
        await dial(program.trap, program.listeners.at(-1)?.actual)
        await program.until(() => program.output().split('served 10.244.7.9:51515\n').length > round)
      }
      expect(await program.finish()).toMatch(/hello 10\.1\.2\.3:80\nnio 10\.1\.2\.3:80\nConnection refused\n$/)
      expect(program.warnings).toEqual([])
      rmSync(directory, {recursive: true})
    },
  )
})
