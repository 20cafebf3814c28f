import {spawn} from 'node:child_process'
import {createHash, randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync} from 'node:fs'
import net from 'node:net'
import {constants, tmpdir} from 'node:os'
import path from 'node:path'
import {afterEach, beforeAll, beforeEach, describe, expect, it} from 'vitest'
import {Client} from '../../../src/agent/client.ts'
import {RootedFiles} from '../../../src/agent/files/rooted.ts'
import {FlowControl} from '../../../src/proxy/flow.ts'
import {OutgoingUnixProxy} from '../../../src/proxy/outgoing-unix.ts'
import {agentConnection, ClientSession, type ClientMessage} from '../../../src/protocol/index.ts'
import type {UnixConnectRequest} from '../../../src/trap/types.ts'
import {frame, FrameReader} from '../../../src/util/frames.ts'
import {channels, loopback, type Loopback} from '../protocol/loopback.ts'
import {buildTrap, trapPath, which} from '../trap/harness.ts'
import {Cleanup, collect, until} from './sockets.ts'

const {errno} = constants
const cleanup = new Cleanup()

describe('unix sockets of the target', () => {
  let base: string
  let root: string
  let relays: string
  let pair: Loopback | undefined
  const warnings: string[] = []
  const sent: ClientMessage[] = []

  beforeAll(() => buildTrap())
  beforeEach(() => {
    base = mkdtempSync(path.join(tmpdir(), 'mrd-unix-'))
    root = path.join(base, 'root')
    relays = path.join(base, 'relays')
    mkdirSync(path.join(root, 'app'), {recursive: true})
    mkdirSync(relays, {mode: 0o700})
    warnings.length = sent.length = 0
  })
  afterEach(() => {
    cleanup.run()
    pair?.client.destroy()
    pair = undefined
    rmSync(base, {recursive: true, force: true})
  })

  /** Our agent with `root` as its target's root, over a real connection, and the proxy on top. */
  async function open(options: {version?: string; helper?: string; acceptMs?: number; directory?: string} = {}) {
    pair = await loopback()
    const ends = channels(pair)
    const context = {
      environment: new Map<string, string>(),
      files: cleanup.add(new RootedFiles(root), (it) => void it.close()),
      helper: 'helper' in options ? options.helper : trapPath,
      redirecting: undefined,
      dns: {timeout: undefined, attempts: undefined},
    }
    new Client(agentConnection(ends.server), context, () => {})
    const agent = await ClientSession.open(ends.client, {
      logs: false,
      ...(options.version === undefined ? {} : {version: options.version}),
    })
    const flow = new FlowControl({pause: () => agent.connection.pause(), resume: () => agent.connection.resume()})
    const proxy = new OutgoingUnixProxy({
      directory: options.directory ?? relays,
      connectStream: (address, accept) => agent.connectTcp(address, accept),
      connectSeqpacket: (address, accept) => agent.connectSeqpacket(address, accept),
      send(message) {
        sent.push(message)
        return agent.send(message)
      },
      flow,
      warn: (text) => warnings.push(text),
      acceptMs: options.acceptMs,
    })
    agent.onDrain = () => flow.drained()
    agent.handlers.outgoingRead = (kind, id, bytes) => void proxy.read(kind, id, bytes)
    agent.handlers.outgoingClosed = (kind, id) => void proxy.closed(kind, id)
    cleanup.add(proxy, (it) => it.close())
    return proxy
  }
  const request = (name: string | Buffer, more: Partial<UnixConnectRequest> = {}): UnixConnectRequest => ({
    pid: process.pid,
    seqpacket: false,
    path: Buffer.from(name),
    gone: new AbortController().signal,
    ...more,
  })
  /** The program's socket, connected by the trap to the relay of an answer. */
  async function program(proxy: OutgoingUnixProxy, name: string | Buffer, more: Partial<UnixConnectRequest> = {}) {
    const answer = await proxy.connect(request(name, more))
    if (!('relay' in answer)) throw new Error(JSON.stringify(answer))
    const socket = cleanup.socket(net.connect({path: answer.relay, allowHalfOpen: true}))
    await once(socket, 'connect')
    return {socket, relay: answer.relay}
  }
  async function server(name: string, serve: (socket: net.Socket) => void) {
    const listening = net.createServer({allowHalfOpen: true}, (socket) => serve(cleanup.socket(socket)))
    cleanup.add(listening, (it) => it.close())
    listening.listen(name.startsWith('\0') ? name : path.join(root, name))
    await once(listening, 'listening')
  }
  const echo = (socket: net.Socket) => void socket.pipe(socket)
  /** A SOCK_SEQPACKET server, see the file. */
  async function seqpacketServer(name: string) {
    const script = path.join(import.meta.dirname, '../agent/seqpacket.py')
    const child = spawn('python3', [script, path.join(root, name)], {stdio: ['ignore', 'pipe', 'inherit']})
    cleanup.add(child, (it) => it.kill('SIGKILL'))
    await once(child.stdout, 'data')
  }
  /** The trap's end of a relay that carries messages. */
  function messages(socket: net.Socket) {
    const reader = new FrameReader()
    const got: Buffer[] = []
    socket.on('data', (chunk) => got.push(...reader.push(chunk).map((message) => Buffer.from(message))))
    return {
      got,
      send: (message: string | Buffer) => socket.write(frame(Buffer.from(message))),
      async next() {
        await until('a message', () => got.length > 0)
        return got.shift()!
      },
    }
  }

  it('[OUT-13] connects a stream by path, both ways, with half close', async () => {
    await server('app/unix-socket-server.sock', (socket) => {
      const got = collect(socket)
      void got.ended.then(() => socket.end(`after the end: ${got.text()}`))
    })
    symlinkSync('/app/unix-socket-server.sock', path.join(root, 'link.sock'))
    const proxy = await open()
    for (const name of ['/app/unix-socket-server.sock', '/link.sock']) {
      const {socket, relay} = await program(proxy, name)
      const got = collect(socket)
      socket.end('hello')
      expect(await got.ended).toBe('end')
      expect(got.text()).toBe('after the end: hello')
      expect(existsSync(relay)).toBe(false)
    }
    expect(readdirSync(relays)).toEqual([])
  })

  it('connects an abstract name, and keeps what the server says first', async () => {
    const name = `\0mrd-unix-${process.pid}`
    await server(name, (socket) => socket.end('greeting'))
    const {socket} = await program(await open(), name)
    const got = collect(socket)
    await got.ended
    expect(got.text()).toBe('greeting')
  })

  it('carries 32 MiB each way at once, whoever is slower', async () => {
    await server('echo.sock', echo)
    const {socket} = await program(await open(), '/echo.sock')
    const piece = randomBytes(1024 * 1024)
    const [expected, received] = [createHash('sha256'), createHash('sha256')]
    let bytes = 0
    const all = new Promise<void>((resolve) => {
      socket.on('data', (chunk) => {
        received.update(chunk)
        bytes += chunk.length
        if (bytes === 32 * piece.length) resolve()
      })
    })
    for (let count = 0; count < 32; count++) {
      expected.update(piece)
      if (!socket.write(piece)) await once(socket, 'drain')
    }
    await all
    expect(received.digest('hex')).toBe(expected.digest('hex'))
  })

  it("[OUT-15] fails with the target's errno", async () => {
    const proxy = await open()
    expect(await proxy.connect(request('/app/missing.sock'))).toEqual({errno: errno.ENOENT})
    await server('app/x.sock', echo)
    expect(await proxy.connect(request('/app/x.sock/y'))).toEqual({errno: errno.ENOTDIR})
    expect(await proxy.connect(request('\0nobody'))).toEqual({errno: errno.ECONNREFUSED})
    expect(await proxy.connect(request('/app/x.sock', {seqpacket: true}))).toEqual({errno: errno.EPROTOTYPE})
    expect(await proxy.connect(request(Buffer.from([0x2f, 0xff])))).toEqual({errno: errno.ENOENT})
    expect(warnings).toEqual([expect.stringContaining('no UTF-8')])
    // The program goes on: the same path, twice.
    for (let count = 0; count < 2; count++) expect(await proxy.connect(request('/app/x.sock'))).toHaveProperty('relay')
  })

  it.skipIf(!which('python3'))(
    '[OUT-16] keeps the boundaries of seqpacket messages, both ways (needs python3)',
    async () => {
      await seqpacketServer('seq.sock')
      const proxy = await open()
      const {socket, relay} = await program(proxy, '/seq.sock', {seqpacket: true})
      const {send, next} = messages(socket)
      const all = ['a', 'bc', 'x'.repeat(65_535), 'y'.repeat(200_000)]
      for (const message of all) send(message)
      for (const message of all) expect((await next()).equals(Buffer.from(message))).toBe(true)
      // In pieces, as a stream may deliver it.
      for (const byte of frame(Buffer.from('in pieces'))) socket.write(Buffer.from([byte]))
      expect((await next()).toString()).toBe('in pieces')
      send('burst')
      for (let number = 0; number < 500; number++) expect((await next()).toString()).toBe(String(number).repeat(100))
      const ended = once(socket, 'end')
      socket.end()
      expect((await next()).toString()).toBe('you ended')
      await ended
      expect(existsSync(relay)).toBe(false)
    },
  )

  it.skipIf(!which('python3'))(
    'leaves out empty messages with one warning, and ends what is no frame (needs python3)',
    async () => {
      await seqpacketServer('seq.sock')
      const proxy = await open()
      const {socket} = await program(proxy, '/seq.sock', {seqpacket: true})
      const {send, next} = messages(socket)
      for (const message of ['', 'one', '', 'two']) send(message)
      expect((await next()).toString()).toBe('one')
      expect((await next()).toString()).toBe('two')
      expect(warnings).toEqual([expect.stringContaining('empty messages')])
      const broken = await program(proxy, '/seq.sock', {seqpacket: true})
      const ended = collect(broken.socket).ended
      broken.socket.write(Buffer.alloc(8, 0xff))
      await ended
      await until('the close', () => sent.some((it) => it.type === 'SeqpacketOutgoing' && it.value.type === 'Close'))
    },
  )

  it('says why seqpacket sockets are not there', async () => {
    const old = await open({version: '1.26.0'})
    expect(await old.connect(request('/seq.sock', {seqpacket: true}))).toEqual({errno: errno.EPROTONOSUPPORT})
    expect(warnings).toEqual([expect.stringMatching(/\/seq\.sock .* needs 1\.27\.0/)])
    pair?.client.destroy()
    const bare = await open({helper: undefined})
    expect(await bare.connect(request('/seq.sock', {seqpacket: true}))).toEqual({errno: errno.EPROTONOSUPPORT})
    expect(warnings.at(-1)).toMatch(/the agent cannot connect such sockets/)
  })

  it.each([
    ['nobody connects in time', 'time'],
    ['the caller is gone', 'gone'],
    ['the session ends', 'close'],
  ] as const)('closes the connection and removes the relay when %s', async (_, why) => {
    let ended: Promise<unknown> | undefined
    await server('app.sock', (socket) => {
      socket.resume()
      ended = once(socket, 'end')
    })
    const proxy = await open({acceptMs: why === 'time' ? 50 : 60_000})
    const caller = new AbortController()
    const answer = await proxy.connect(request('/app.sock', {gone: caller.signal}))
    expect(answer).toHaveProperty('relay')
    if (why === 'gone') caller.abort()
    if (why === 'close') proxy.close()
    await until('the server’s end', () => ended !== undefined)
    await ended
    await until('the removal', () => readdirSync(relays).length === 0)
  })

  it('connects nothing for a caller that is gone already', async () => {
    await server('app.sock', echo)
    const proxy = await open()
    const answer = await proxy.connect(request('/app.sock', {gone: AbortSignal.abort()}))
    expect(answer).toHaveProperty('errno')
    expect(sent.map((message) => message.type === 'TcpOutgoing' && message.value.type)).toEqual(['Close'])
  })

  it('names a directory whose path is too long for a socket', async () => {
    await server('app.sock', echo)
    const directory = path.join(relays, 'd'.repeat(100))
    mkdirSync(directory)
    const proxy = await open({directory})
    await expect(proxy.connect(request('/app.sock'))).rejects.toThrow(/too long a name/)
    expect(sent.map((message) => message.type === 'TcpOutgoing' && message.value.type)).toEqual(['Close'])
  })
})
