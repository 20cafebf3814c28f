import {chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {connect, createServer, type AddressInfo, type Socket} from 'node:net'
import {constants, tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeAll, expect, it} from 'vitest'
import {inEachCondition} from './conditions.ts'
import type {Address, Trap} from '../../../src/trap/types.ts'
import {buildTrap, cleanUp, compile, compileGo, freePort, python, run, trapPath, which} from './harness.ts'

let sockets: string
beforeAll(() => {
  buildTrap()
  sockets = compile('sockets')
})
const open = new Set<Socket>()
afterEach(async () => {
  for (const socket of open) socket.destroy()
  open.clear()
  await cleanUp()
})

const peer = {address: '10.244.7.9', port: 51515}
const local = {address: '10.244.0.7', port: 8080}

/** Dials as the session does: chooses the source, registers it, then connects. */
async function dial(trap: Trap, to: Address, as: Address = peer, host = '127.0.0.1'): Promise<Socket> {
  const source = {address: host, port: await freePort()}
  await trap.registerPeer(source, as, local)
  return dialPlain(to.port, source)
}
function dialPlain(port: number, source?: Address): Promise<Socket> {
  const socket = connect({
    port,
    host: source?.address ?? '127.0.0.1',
    localAddress: source?.address,
    localPort: source?.port,
  })
  open.add(socket)
  return new Promise((resolve, reject) => socket.once('connect', () => resolve(socket)).once('error', reject))
}

inEachCondition('listen', () => {
  it('holds the call until the session has answered', async () => {
    let answer!: (result: {errno?: number}) => void
    const program = await run({
      program: sockets,
      arguments: ['relisten', '127.0.0.1', String(await freePort())],
      listen: () => new Promise((resolve) => (answer = resolve)),
    })
    await program.until(() => program.listeners.length === 1)
    expect(program.output()).toBe('')
    const listener = program.listeners[0]
    expect(listener).toMatchObject({pid: program.trap.programPid, asked: listener?.actual})
    answer({})
    await program.line(/^again ok/) // the second listen asks nobody
    await program.line(/^closed/)
    await program.until(() => program.closed.length === 1)
    expect(program.closed).toEqual([listener?.id])
    expect(program.listeners).toHaveLength(1)
  })

  it('[INC-29] fails when the session refuses, and the port does not listen', async () => {
    const port = await freePort()
    const program = await run({
      program: sockets,
      arguments: ['relisten', '127.0.0.1', String(port)],
      listen: async () => ({errno: constants.errno.EACCES}),
    })
    await program.line(/^listen EACCES/)
    await program.line(/^closed/)
    expect(program.listeners).toHaveLength(2) // the second listen of this socket is a new attempt
    await expect(dialPlain(port)).rejects.toMatchObject({code: 'ECONNREFUSED'})
    expect(program.closed).toEqual([])
  })

  it('reports a listener whose process was killed', async () => {
    const program = await run({program: sockets, arguments: ['accept', '127.0.0.1', String(await freePort())]})
    await program.line(/^listen ok/)
    process.kill(program.trap.programPid, 'SIGKILL')
    await program.finish()
    expect(program.closed).toEqual([program.listeners[0]?.id])
  })

  it('[INC-23] is reported but not held when incoming is off', async () => {
    const program = await run({
      program: sockets,
      arguments: ['accept', '127.0.0.1', String(await freePort())],
      incoming: false,
      listen: () => new Promise(() => {}),
    })
    await program.line(/^listen ok/)
    await program.until(() => program.listeners.length === 1)
  })
})

inEachCondition('bind', () => {
  it('moves to another port when the asked one is in use, and getsockname keeps it', async () => {
    const busy = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => busy.once('listening', resolve))
    const {port} = busy.address() as AddressInfo
    const program = await run({program: sockets, arguments: ['own', '127.0.0.1', String(port)]})
    const output = await program.finish()
    busy.close()
    expect(output).toBe(
      `listen ok\npeer ENOTCONN own 127.0.0.1:${port}\nconnect ok\n` + // the tree's own listener, not the other one
        `peer 127.0.0.1:${port} own ${/own (127\.0\.0\.1:\d+)\n$/.exec(output)?.[1] ?? ''}\n`,
    )
    expect(program.listeners[0]?.asked.port).toBe(port)
    expect(program.listeners[0]?.actual.port).not.toBe(port)
    expect(program.connects).toEqual([])
  })

  it('[INC-23] without incoming a port in use is an error, as ever', async () => {
    const busy = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => busy.once('listening', resolve))
    const {port} = busy.address() as AddressInfo
    const program = await run({program: sockets, arguments: ['own', '127.0.0.1', String(port)], incoming: false})
    await program.line(/^bind EADDRINUSE/)
    busy.close()
  })

  it('[INC-10] takes the port as in use when a socket of the tree holds it, moved or not', async () => {
    const free = await run({program: sockets, arguments: ['bind-twice', '127.0.0.1', String(await freePort())]})
    expect(await free.finish()).toMatch(/second EADDRINUSE\nafter close ok\n$/)
    const busy = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => busy.once('listening', resolve))
    const moved = await run({
      program: sockets,
      arguments: ['bind-twice', '127.0.0.1', String((busy.address() as AddressInfo).port)],
    })
    expect(await moved.finish()).toMatch(/second EADDRINUSE\nafter close ok\n$/)
    busy.close()
    expect(moved.listeners[0]?.actual.port).not.toBe(moved.listeners[0]?.asked.port)
    for (const {listeners, closed} of [free, moved]) expect(closed).toEqual(listeners.map(({id}) => id))
    expect([free.listeners.length, moved.listeners.length]).toEqual([1, 1])
  })

  it("binds the pod's own address", async () => {
    const port = await freePort()
    const program = await run({program: sockets, arguments: ['accept', '10.244.0.7', String(port)]})
    await program.line(new RegExp(`^peer ENOTCONN own 10\\.244\\.0\\.7:${port}$`))
    expect(program.listeners[0]?.actual).toEqual({address: '127.0.0.1', port})
  })

  it.skipIf(process.getuid?.() !== 0 || !which('setpriv'))(
    'gives a privileged port to an unprivileged user, whose trap lives without any capability',
    async () => {
      const directory = mkdtempSync(join(tmpdir(), 'mirrord-nobody-'))
      const nobody = join(directory, 'trap')
      const as = '--reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all'
      copyFileSync(trapPath, join(directory, 'mirrord-trap'))
      writeFileSync(nobody, `#!/bin/sh\nexec setpriv ${as} ${directory}/mirrord-trap\n`, {mode: 0o755})
      chmodSync(directory, 0o755)
      const program = await run({
        program: sockets,
        arguments: ['accept', '127.0.0.1', '80'],
        trapPath: nobody,
      })
      await program.line(/^peer ENOTCONN own 127\.0\.0\.1:80$/)
      expect(readFileSync(`/proc/${program.trap.programPid}/status`, 'utf8')).toMatch(/NoNewPrivs:\t1/)
      const to = program.listeners[0]?.actual ?? local
      expect(to.port).toBeGreaterThan(1023)
      await dial(program.trap, to)
      await program.line(/^blocking 10\.244\.7\.9:51515/)
      rmSync(directory, {recursive: true})
    },
  )
})

inEachCondition('accept', () => {
  it('[INC-25] shows the registered peer, blocking and non-blocking; local clients as they are', async () => {
    const program = await run({program: sockets, arguments: ['accept', '127.0.0.1', String(await freePort())]})
    await program.line(/^listen ok/)
    const to = program.listeners[0]?.actual ?? local
    await dial(program.trap, to)
    await program.line(/^nonblocking EAGAIN/)
    const {localPort} = await dialPlain(to.port)
    expect(await program.finish()).toBe(
      [
        'listen ok',
        `peer ENOTCONN own 127.0.0.1:${to.port}`,
        'blocking 10.244.7.9:51515',
        'peer 10.244.7.9:51515 own 10.244.0.7:8080',
        'cloexec 1',
        'nonblocking EAGAIN',
        `polled 127.0.0.1:${localPort}`,
        `peer 127.0.0.1:${localPort} own 127.0.0.1:${to.port}`,
        'nonblock 1',
        '',
      ].join('\n'),
    )
  })

  it('keeps the names of a connection that the session has forgotten', async () => {
    const program = await run({
      program: process.execPath,
      arguments: [
        '-e',
        `require('net').createServer((c) => { console.log(c.remoteAddress, c.remotePort, c.localAddress, c.localPort)
           c.on('data', () => { delete c._peername; delete c._sockname; console.log(c.remoteAddress, c.localPort); process.exit() })
         }).listen(0, () => console.log('listening'))`,
      ],
    })
    await program.line(/^listening/)
    const source = {address: '127.0.0.1', port: await freePort()}
    await program.trap.registerPeer(source, peer, local)
    const socket = await dialPlain(program.listeners[0]?.actual.port ?? 0, source)
    await program.line(/51515/)
    program.trap.forgetPeer(source)
    socket.write('x')
    expect(await program.finish()).toBe(
      'listening\n::ffff:10.244.7.9 51515 ::ffff:10.244.0.7 8080\n::ffff:10.244.7.9 8080\n',
    )
  })

  it('is interrupted by a signal as natively, and restarts with SA_RESTART', async () => {
    const program = await run({program: sockets, arguments: ['accept-signal', '127.0.0.1', String(await freePort())]})
    await program.line(/^interrupted EINTR/)
    await dial(program.trap, program.listeners[0]?.actual ?? local)
    expect(await program.finish()).toMatch(/restarted 10\.244\.7\.9:51515\n.*\nalarms [12]\n/)
  })

  it('does so too where the kernel has no killable waits (before 5.19)', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'mirrord-old-'))
    const old = join(directory, 'trap')
    writeFileSync(old, `#!/bin/sh\nexec ${compile('deny')} killable ${trapPath}\n`, {mode: 0o755})
    const program = await run({
      program: sockets,
      arguments: ['accept-signal', '127.0.0.1', String(await freePort())],
      trapPath: old,
    })
    await program.line(/^interrupted EINTR/)
    await dial(program.trap, program.listeners[0]?.actual ?? local)
    expect(await program.finish()).toMatch(/restarted 10\.244\.7\.9:51515\n.*\nalarms [12]\n/)
    const held: (() => void)[] = []
    const connecting = await run({
      program: sockets,
      arguments: ['signal', '10.1.2.3', '80', 'restart'],
      trapPath: old,
      nonBlockingHold: 60_000,
      connect: () => new Promise((resolve) => held.push(() => resolve({errno: constants.errno.ECONNREFUSED}))),
    })
    await connecting.line(/^alarm 3/)
    held.forEach((answer) => answer())
    expect(await connecting.finish()).toContain('connect ECONNREFUSED alarms some\n')
    expect(held).toHaveLength(1)
    rmSync(directory, {recursive: true})
  })

  it('keeps SO_RCVTIMEO', async () => {
    const program = await run({program: sockets, arguments: ['timeout', '127.0.0.1', String(await freePort())]})
    expect(await program.finish()).toMatch(/timeout EAGAIN\n$/)
  })

  it('gives the connection to the next worker when one is killed', async () => {
    const program = await run({program: sockets, arguments: ['prefork', '127.0.0.1', String(await freePort())]})
    await program.line(/^peer ENOTCONN/)
    program.input('k')
    await program.line(/^killed/)
    await dial(program.trap, program.listeners[0]?.actual ?? local)
    await program.line(/^worker2 10\.244\.7\.9:51515/)
  })

  it('wakes another process, asleep on the same listener, for a connection that its worker could not take', async () => {
    const program = await run({program: sockets, arguments: ['prefork-full', '127.0.0.1', String(await freePort())]})
    await program.line(/^listen ok/)
    await dial(program.trap, program.listeners[0]?.actual ?? local)
    await program.line(/^full EMFILE/)
    await program.line(/^at once 0/)
    await program.line(/^woken 1/)
    await program.line(/^later 10\.244\.7\.9:51515/)
    await program.finish()
  })

  it('wakes a sleeping event loop for a connection that could not be handed over', async () => {
    const program = await run({program: sockets, arguments: ['full', '127.0.0.1', String(await freePort())]})
    await program.line(/^listen ok/)
    const socket = await dial(program.trap, program.listeners[0]?.actual ?? local)
    await program.line(/^full EMFILE/)
    await program.line(/^woken 1/)
    await program.line(/^later 10\.244\.7\.9:51515/)
    socket.write('request')
    await program.line(/^data request/)
    const reply = await new Promise((resolve) => socket.once('data', (data: Buffer) => resolve(data.toString())))
    expect(reply).toBe('reply')
    socket.end()
    await program.finish()
  })

  it.skipIf(!python)('[INC-25] serves Python on IPv4 and on a dual-stack socket', async () => {
    const program = await run({
      program: python ?? '',
      arguments: [
        '-c',
        `
import socket
for family, ip in ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::')):
    s = socket.socket(family)
    s.bind((ip, 0)); s.listen()
    c, a = s.accept()
    print(a[:2], c.getpeername()[:2], c.getsockname()[:2])
`,
      ],
    })
    for (const index of [0, 1]) {
      await program.until(() => program.listeners.length > index)
      await dial(program.trap, program.listeners[index]?.actual ?? local)
    }
    expect(await program.finish()).toBe(
      "('10.244.7.9', 51515) ('10.244.7.9', 51515) ('10.244.0.7', 8080)\n" +
        "('::ffff:10.244.7.9', 51515) ('::ffff:10.244.7.9', 51515) ('::ffff:10.244.0.7', 8080)\n",
    )
    expect(program.listeners[0]?.asked.port).toBe(0)
  })

  const go = compileGo('serve')
  it.skipIf(!go)('serves static Go on a dual-stack listener', async () => {
    const port = await freePort()
    const program = await run({program: go ?? '', arguments: [`:${port}`]})
    await program.line(/^listening/)
    const to = program.listeners[0]?.actual ?? local
    await dial(program.trap, to)
    await program.line(/^accepted 10\.244\.7\.9:51515 at 10\.244\.0\.7:8080/)
    expect(program.closed).toEqual([])
    await dial(program.trap, to, {address: '10.9.9.9', port: 7})
    await program.line(/^accepted 10\.9\.9\.9:7 at/)
    await program.finish()
    expect(program.closed).toHaveLength(1)
  })
})
