import {execFileSync} from 'node:child_process'
import {readdirSync, readFileSync} from 'node:fs'
import {afterEach, beforeAll, expect, it} from 'vitest'
import {compilePatterns} from '../../../src/patterns/index.ts'
import {inEachCondition} from './conditions.ts'
import {buildTrap, cleanUp, python, run, startRelay, which} from './harness.ts'

beforeAll(buildTrap)
afterEach(cleanUp)

const script = (text: string) => ({program: python ?? '', arguments: ['-c', text]})
/** Prints each name with the errno of its call. */
const attempts = `
import errno, socket, time
def attempt(name, call):
    try: call(); print(name, 'ok')
    except OSError as e: print(name, errno.errorcode[e.errno])
`

/** From here on the supervisor opens nothing, until the function returned is called. */
function shortage(reaper: number, nobody: boolean): () => void {
  const supervisor = readFileSync(`/proc/${reaper}/task/${reaper}/children`, 'utf8').trim()
  const [, soft, hard] = /Max open files\s+(\d+)\s+(\d+)/.exec(readFileSync(`/proc/${supervisor}/limits`, 'utf8')) ?? []
  const used = new Set(readdirSync(`/proc/${supervisor}/fd`).map(Number))
  let free = 0
  while (used.has(free)) free++
  const as = nobody ? ['--reuid=65534', '--regid=65534', '--clear-groups'] : []
  const limit = (most: string) =>
    execFileSync('setpriv', [...as, 'prlimit', '--pid', supervisor, `--nofile=${most}:${hard}`])
  limit(String(free))
  return () => limit(soft ?? '')
}

inEachCondition('a supervisor that may open no more files', ({nobody}) => {
  it.skipIf(!python || !which('prlimit') || !which('setpriv'))(
    'lets nothing out unconnected, says so, and goes on afterwards',
    async () => {
      using relay = await startRelay()
      const program = await run({
        ...script(`${attempts}
t, u, own, l = socket.socket(), socket.socket(type=socket.SOCK_DGRAM), socket.socket(), socket.socket()
x = socket.socket(socket.AF_UNIX)
l.bind(('127.0.0.1', 0)); l.listen()
port = l.getsockname()[1]
print('ready'); input()
time.sleep(0.5) # a listener is looked for every 150 ms
attempt('connect', lambda: t.connect(('10.1.2.3', 80)))
attempt('connect udp', lambda: u.connect(('10.1.2.3', 53)))
attempt('sendto', lambda: u.sendto(b'x', ('10.1.2.3', 5000)))
attempt('sendmsg', lambda: u.sendmsg([b'x'], [], 0, ('10.1.2.3', 5000)))
attempt('unix', lambda: x.connect('/run/target.sock'))
attempt('loopback', lambda: own.connect(('127.0.0.1', port)))
attempt('accept', l.accept)
attempt('getsockname', t.getsockname)
attempt('listen', lambda: l.listen(5))
attempt('bind', lambda: socket.socket().bind(('127.0.0.1', 0)))
print('again'); input()
t.connect(('10.1.2.3', 80)); print(t.recv(9))
`),
        unixStreams: compilePatterns([{pattern: '^/run/target', label: 1}]),
        connectUnix: () => Promise.reject(new Error('not asked')),
        connect: async () => relay.answer,
      })
      await program.line(/^ready/)
      const enough = shortage(program.trap.pid, nobody)
      program.input('go\n')
      await program.line(/^again/)
      enough()
      expect(program.connects).toEqual([])
      expect(program.closed).toEqual([])
      program.input('go\n')
      expect((await program.finish()).trim().split('\n').slice(1)).toEqual([
        ...['connect ENETUNREACH', 'connect udp ENETUNREACH', 'sendto ENETUNREACH', 'sendmsg ENETUNREACH'],
        ...['unix ECONNREFUSED', 'loopback ok', 'accept ok', 'getsockname ok', 'listen ok', 'bind ok'],
        ...['again', "b'hello'"],
      ])
      expect(program.warnings.filter((text) => /cannot open any more files/.test(text))).toEqual([
        expect.stringMatching(/connect of process \d+ is not served: raise the hard limit of open files/),
      ])
    },
  )

  it.skipIf(!python || !which('prlimit') || !which('setpriv'))('ends the tree all the same', async () => {
    const program = await run(script(`print('ready'); input()`))
    await program.line(/^ready/)
    shortage(program.trap.pid, nobody)
    program.trap.killTree()
    await program.trap.ended
  })

  it.skipIf(!python)('warns once when UDP sockets have no number in the window any more', async () => {
    const many = await run(
      script(
        `import socket\ns = [socket.socket(type=socket.SOCK_DGRAM) for i in range(123)]\nprint(s[119].fileno() >= 900, s[120].fileno() < 900)`,
      ),
    )
    expect(await many.finish()).toBe('True True\n')
    expect(many.warnings).toEqual([expect.stringMatching(/process \d+ has more UDP sockets than are served.*sendmsg/)])
  })
})
