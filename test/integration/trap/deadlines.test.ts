import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {afterEach, beforeAll, expect, it} from 'vitest'
import {compilePatterns} from '../../../src/patterns/index.ts'
import {inEachCondition} from './conditions.ts'
import {buildTrap, cleanUp, python, run} from './harness.ts'
import {Target} from './remote.ts'

const ended: (() => void)[] = []
beforeAll(buildTrap)
afterEach(async () => {
  await cleanUp()
  for (const end of ended.splice(0)) end()
})

const never = () => new Promise<never>(() => {})
const limits = {connect: 150, listen: 150, file: 150, datagram: 150}
const prelude = `
import ctypes, errno, os, select, signal, socket, struct, subprocess
def attempt(name, call):
    try: print(name, 'ok', call())
    except OSError as e: print(name, errno.errorcode[e.errno])
`
const script = (text: string) => ({program: python ?? '', arguments: ['-c', prelude + text]})
const warned = (warnings: readonly string[], what: RegExp) => warnings.filter((text) => what.test(text)).length

/** A listener that accepts nothing, whose backlog is full: a connect to it takes for ever. Its process says where it is. */
async function full(how: string): Promise<string> {
  const text = `
import os, socket, sys
${how}
l.listen(0)
fill = []
for i in range(4):
    s = socket.socket(l.family); s.setblocking(False); s.connect_ex(l.getsockname()); fill.append(s)
print(name(), flush=True); sys.stdin.read()
`
  const child = spawn(python ?? '', ['-c', text], {stdio: ['pipe', 'pipe', 'inherit']})
  ended.push(() => child.kill('SIGKILL'))
  const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string]
  return line.trim()
}

inEachCondition('a question without an answer', () => {
  it.skipIf(!python)('ends connect, listen and datagrams with their own errno', async () => {
    const program = await run({
      ...script(`
def connect(kind, block=True, where=('10.1.2.3', 80)):
    s = socket.socket(type=kind); s.setblocking(block); s.connect(where)
attempt('tcp', lambda: connect(socket.SOCK_STREAM))
attempt('tcp without waiting', lambda: connect(socket.SOCK_STREAM, False))
attempt('udp', lambda: connect(socket.SOCK_DGRAM))
attempt('udp without waiting', lambda: connect(socket.SOCK_DGRAM, False))
u = socket.socket(type=socket.SOCK_DGRAM)
attempt('sendto', lambda: u.sendto(b'x', ('10.1.2.3', 5000)))
attempt('sendmsg', lambda: u.sendmsg([b'x'], [], 0, ('10.1.2.3', 53)))
l = socket.socket(); l.bind(('127.0.0.1', 0))
attempt('listen', l.listen)
attempt('listens', lambda: l.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
`),
      limits,
      nonBlockingHold: 50,
      connect: never,
      listen: never,
    })
    expect((await program.finish()).trim().split('\n')).toEqual([
      ...['tcp ETIMEDOUT', 'tcp without waiting ETIMEDOUT', 'udp ENETUNREACH', 'udp without waiting ENETUNREACH'],
      ...['sendto ENETUNREACH', 'sendmsg ENETUNREACH', 'listen ETIMEDOUT', 'listens ok 0'],
    ])
    expect(program.connects.map(({gone}) => gone.aborted)).toEqual(Array<boolean>(6).fill(true))
    expect(program.closed).toHaveLength(1)
    expect(warned(program.warnings, /^connect of process \d+: no answer in/)).toBe(4)
    expect(warned(program.warnings, /no answer in .* to where its datagrams go/)).toBe(2)
    expect(warned(program.warnings, /^listen of process \d+: no answer/)).toBe(1)
  })

  it.skipIf(!python)('ends connect of a remote unix path with ETIMEDOUT', async () => {
    const gone: AbortSignal[] = []
    const program = await run({
      ...script(`
def connect(kind, block):
    s = socket.socket(socket.AF_UNIX, kind); s.setblocking(block); s.connect('/remote/x')
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    for block in (True, False): attempt(kind.name, lambda: connect(kind, block))
`),
      limits,
      unixStreams: compilePatterns([{pattern: '^/remote/', label: 1}]),
      connectUnix: (request) => {
        gone.push(request.gone)
        return never()
      },
    })
    const [stream, packets] = ['SOCK_STREAM ETIMEDOUT\n', 'SOCK_SEQPACKET ETIMEDOUT\n']
    expect(await program.finish()).toBe(`${stream}${stream}${packets}${packets}`)
    expect(gone.map(({aborted}) => aborted)).toEqual([true, true, true, true])
  })

  it.skipIf(!python)('ends every call about files with EIO', async () => {
    using target = new Target({readWrite: ['^/app']})
    target.file('/app/test.txt', 'remote')
    const asked: string[] = []
    const program = await run({
      ...script(`
libc = ctypes.CDLL(None, use_errno=True)
def raw(call, *a):
    if call(*a) < 0: raise OSError(ctypes.get_errno(), '')
attempt('open', lambda: os.open('/app/test.txt', os.O_RDONLY))
attempt('open to write', lambda: os.open('/app/test.txt', os.O_WRONLY))
attempt('stat', lambda: os.stat('/app/test.txt'))
attempt('access', lambda: raw(libc.access, b'/app/other', 0))
attempt('readlink', lambda: os.readlink('/app/link'))
attempt('list', lambda: os.listdir('/app'))
attempt('statvfs', lambda: os.statvfs('/app'))
attempt('chdir', lambda: os.chdir('/app'))
attempt('execve', lambda: os.execv('/app/program', ['x']))
attempt('watch', lambda: raw(libc.inotify_add_watch, libc.inotify_init(), b'/app', 2))
attempt('mkdir', lambda: os.mkdir('/app/d'))
attempt('rename', lambda: os.rename('/app/a', '/app/b'))
attempt('unlink', lambda: os.unlink('/app/a'))
attempt('truncate', lambda: os.truncate('/app/a', 1))
`),
      files: target.options,
      limits,
      file: (request) => {
        request.gone.addEventListener('abort', () => asked.push(request.operation))
        return never()
      },
    })
    const calls = ['open', 'open to write', 'stat', 'access', 'readlink', 'list', 'statvfs', 'chdir', 'execve', 'watch']
    const all = [...calls, 'mkdir', 'rename', 'unlink', 'truncate']
    expect((await program.finish()).trim().split('\n')).toEqual(all.map((name) => `${name} EIO`))
    expect(asked).toHaveLength(all.length)
    expect(warned(program.warnings, /did not answer about \/app.* gets EIO/)).toBe(all.length)
  })

  it.skipIf(!python)(
    'is none for what waits natively: the program’s own timeouts end it, long ones not early',
    async () => {
      const program = await run({
        ...script(`
l = socket.socket(); l.bind(('127.0.0.1', 0)); l.listen()
u = socket.socket(type=socket.SOCK_DGRAM); u.bind(('127.0.0.1', 0))
def within(seconds, micros):
    for s in (l, u): s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', seconds, micros))
within(0, 50000)
attempt('accept', l.accept); attempt('recvfrom', lambda: u.recvfrom(9))
within(18446744074, 0) # as nanoseconds in 64 bits that would be 0.29 s
class Alarm(Exception): pass
def alarm(*_): raise Alarm
signal.signal(signal.SIGALRM, alarm)
for name, call in (('accept', l.accept), ('recvfrom', lambda: u.recvfrom(9))):
    signal.setitimer(signal.ITIMER_REAL, 0.6)
    try: attempt(name, call)
    except Alarm: print(name, 'waits')
`),
        limits: {connect: 100, listen: 10_000, file: 100, datagram: 100},
      })
      expect((await program.finish()).trim().split('\n')).toEqual([
        ...['accept EAGAIN', 'recvfrom EAGAIN', 'accept waits', 'recvfrom waits'],
      ])
    },
  )
})

inEachCondition('a relay that takes nobody', ({nobody}) => {
  it.skipIf(!python)('ends connect with ETIMEDOUT, blocking or not, and lets the others go on', async () => {
    const port = Number(await full(`l = socket.socket(); l.bind(('127.0.0.1', 0))\nname = lambda: l.getsockname()[1]`))
    const program = await run({
      ...script(`
p = os.fork()
if not p:
    attempt('blocking', lambda: socket.socket().connect(('10.1.2.3', 80)))
    os._exit(0)
s = socket.socket(); s.setblocking(False)
attempt('without waiting', lambda: s.connect(('10.1.2.3', 80)))
attempt('goes on', socket.socket().getsockname)
os.waitpid(p, 0)
`),
      limits: {...limits, connect: 700},
      connect: async () => ({relay: {address: '127.0.0.1', port}}),
    })
    expect((await program.finish()).trim().split('\n').sort()).toEqual([
      ...['blocking ETIMEDOUT', "goes on ok ('0.0.0.0', 0)", 'without waiting EINPROGRESS'],
    ])
  })

  it.skipIf(!python || nobody)('ends connect of a unix path with ETIMEDOUT', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'mirrord-deadline-'))
    ended.push(() => rmSync(directory, {recursive: true}))
    const path = await full(
      `l = socket.socket(socket.AF_UNIX); l.bind('${directory}/relay')\nname = lambda: l.getsockname()`,
    )
    const program = await run({
      ...script(`
attempt('blocking', lambda: socket.socket(socket.AF_UNIX).connect('/remote/x'))
attempt('goes on', socket.socket().getsockname)
`),
      limits: {...limits, connect: 700},
      unixStreams: compilePatterns([{pattern: '^/remote/', label: 1}]),
      connectUnix: async () => ({relay: path}),
    })
    expect(await program.finish()).toBe("blocking ETIMEDOUT\ngoes on ok ('0.0.0.0', 0)\n")
  })
})
