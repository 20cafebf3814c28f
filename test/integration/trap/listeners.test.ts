import {createServer, connect, type AddressInfo, type Socket} from 'node:net'
import {afterEach, beforeAll, expect, it} from 'vitest'
import type {Address, Trap} from '../../../src/trap/types.ts'
import {inEachCondition} from './conditions.ts'
import {buildTrap, cleanUp, freePort, python, run} from './harness.ts'
import {Target} from './remote.ts'

beforeAll(buildTrap)
const open = new Set<Socket>()
afterEach(async () => {
  for (const socket of open) socket.destroy()
  open.clear()
  await cleanUp()
})

const script = (text: string, ...more: string[]) => ({program: python ?? '', arguments: ['-c', text, ...more]})
const peer = {address: '10.244.7.9', port: 51515}

/** Dials a listener as the session does, and sends a text. */
async function deliver(trap: Trap, port: number, text = ''): Promise<Socket> {
  const source: Address = {address: '127.0.0.1', port: await freePort()}
  await trap.registerPeer(source, peer, {address: '10.244.0.7', port: 80})
  const socket = connect({port, host: '127.0.0.1', localAddress: source.address, localPort: source.port})
  open.add(socket)
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  socket.write(text)
  return socket
}

inEachCondition('listening sockets', () => {
  it.skipIf(!python)('[INC-07] listen twice and are reported once, and files are opened as before', async () => {
    using target = new Target({readOnly: ['^/app/']})
    target.file('/app/marker', 'remote')
    const events: string[] = []
    const port = await freePort()
    const program = await run({
      ...script(
        `
import socket, sys
s = socket.socket(); s.bind(('127.0.0.1', int(sys.argv[1])))
print(s.listen(1), s.listen(1), open('/app/marker').read())
`,
        String(port),
      ),
      files: target.options,
      listen: async ({asked}) => {
        events.push(`listen ${asked.port}`)
        return {}
      },
      file: (request) => {
        if (request.path === '/app/marker' && request.operation === 'open') events.push('open')
        events.push(...program.closed.map((id) => `closed ${id}`))
        return target.handler(request)
      },
    })
    expect(await program.finish()).toBe('None None remote\n')
    expect(events).toEqual([`listen ${port}`, 'open'])
    expect(program.closed).toEqual([program.listeners[0]?.id])
  })

  it.skipIf(!python)('[INC-08] live on in a duplicate when the original is closed', async () => {
    const program = await run(
      script(`
import os, socket
s = socket.socket(); s.bind(('0.0.0.0', 80)); s.listen()
other = socket.create_server(('127.0.0.1', 0))
d = socket.socket(fileno=os.dup(s.fileno()))
s.close(); other.close()
c, a = d.accept()
print(c.recv(99), a)
`),
    )
    // The other one was closed later: when its end is known, that of the original would be.
    await program.until(() => program.closed.length > 0)
    const [first, other] = program.listeners
    expect(program.closed).toEqual([other?.id])
    expect(first?.asked).toEqual({address: '0.0.0.0', port: 80})
    await deliver(program.trap, first?.actual.port ?? 0, 'later')
    expect(await program.finish()).toBe("b'later' ('10.244.7.9', 51515)\n")
    expect(program.closed).toEqual([other?.id, first?.id])
    expect(program.listeners).toHaveLength(2)
  })

  it.skipIf(!python)('[INC-18] are not datagram sockets: port 0 is bound twice, and nobody is asked', async () => {
    const program = await run(
      script(`
import socket
bound = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in 'ab']
for s in bound: s.bind(('0.0.0.0', 0))
print([s.getsockname()[0] for s in bound], bound[0].getsockname() != bound[1].getsockname())
`),
    )
    expect(await program.finish()).toBe("['0.0.0.0', '0.0.0.0'] True\n")
    expect([program.listeners, program.connects, program.warnings]).toEqual([[], [], []])
  })

  it.skipIf(!python).each(['that is free', 'that is in use'])(
    '[INC-19] talk to a client in the same process, on a port %s',
    async (which) => {
      const busy = createServer().listen(0, '127.0.0.1')
      await new Promise((resolve) => busy.once('listening', resolve))
      const port = which === 'that is free' ? await freePort() : (busy.address() as AddressInfo).port
      const program = await run(
        script(
          `
import socket, sys
port = int(sys.argv[1])
s = socket.socket(); s.bind(('127.0.0.1', port)); s.listen()
c = socket.create_connection(('127.0.0.1', port)); a, client = s.accept()
print(client == c.getsockname(), c.getpeername() == s.getsockname() == ('127.0.0.1', port))
c.sendall(b'ping'); print(a.recv(4))
a.sendall(b'pong'); print(c.recv(4))
`,
          String(port),
        ),
      )
      const output = await program.finish()
      busy.close()
      expect(output).toBe("True True\nb'ping'\nb'pong'\n")
      expect(program.listeners).toHaveLength(1)
      expect(program.connects).toEqual([])
    },
  )

  it.skipIf(!python)('[INC-22] are shared by forked workers, and end with the last of them', async () => {
    const program = await run(
      script(`
import os, socket
s = socket.create_server(('127.0.0.1', 0))
for worker in 'ab':
    if os.fork() == 0:
        c, _ = s.accept(); c.recv(99); os.write(1, b'served by %d\\n' % os.getpid())  # at once: print writes in pieces
        c.recv(99); os._exit(0)
s.close(); print('closed', flush=True)
os.wait(); print('one left', flush=True)
os.wait(); print('none left', flush=True)
input()
`),
    )
    await program.line(/^closed/)
    const port = program.listeners[0]?.actual.port ?? 0
    const both = [await deliver(program.trap, port, 'x'), await deliver(program.trap, port, 'x')]
    await program.until(() => (program.output().match(/served by \d+\n/g) ?? []).length === 2)
    const served = program.output().match(/(?<=served by )\d+/g) ?? []
    expect(new Set(served).size).toBe(2)
    both[0]?.end('x')
    await program.line(/^one left/)
    expect(program.closed).toEqual([])
    both[1]?.end('x')
    await program.line(/^none left/)
    await program.until(() => program.closed.length > 0)
    program.input('\n')
    await program.finish()
    expect(program.closed).toEqual([program.listeners[0]?.id])
    expect(program.listeners).toHaveLength(1)
  })
})
