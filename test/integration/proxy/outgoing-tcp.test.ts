import {once} from 'node:events'
import net from 'node:net'
import {constants} from 'node:os'
import {afterEach, describe, expect, it} from 'vitest'
import {pickLoopbackAddress} from '../../../src/proxy/addresses.ts'
import {FlowControl} from '../../../src/proxy/flow.ts'
import {OutgoingTcpProxy} from '../../../src/proxy/outgoing-tcp.ts'
import type {ClientMessage, ConnectReply, DaemonConnect} from '../../../src/protocol/index.ts'
import type {ConnectAnswer, ConnectRequest} from '../../../src/trap/types.ts'
import {Cleanup, collect, dial, hasIPv6, socketPair, until} from './sockets.ts'

const cleanup = new Cleanup()
afterEach(() => cleanup.run())

type Relay = Extract<ConnectAnswer, {relay: unknown}>

const refused = {
  type: 'Err',
  value: {type: 'RemoteIO', value: {rawOsError: constants.errno.ECONNREFUSED, kind: {type: 'ConnectionRefused'}}},
} as unknown as ConnectReply
const connection = (connectionId: number): DaemonConnect => ({
  connectionId,
  remoteAddress: {type: 'Ip', value: {ip: '10.1.2.3', port: 80}},
  localAddress: {type: 'Ip', value: {ip: '10.9.9.9', port: 4000 + connectionId}},
})

/** A proxy whose agent is the test: it echoes in capitals, unless it is told otherwise. */
function stage(options: {acceptMs?: number; connectMs?: number; echo?: boolean} = {}) {
  const sent: Extract<ClientMessage, {type: 'TcpOutgoing'}>['value'][] = []
  const asked: {accept: (connection: DaemonConnect) => void; settle: PromiseWithResolvers<ConnectReply>}[] = []
  const proxy = new OutgoingTcpProxy({
    address: pickLoopbackAddress(),
    connect(_remote, accept) {
      const settle = Promise.withResolvers<ConnectReply>()
      asked.push({accept, settle})
      return settle.promise
    },
    send(message) {
      const {value} = message as Extract<ClientMessage, {type: 'TcpOutgoing'}>
      sent.push(value)
      if (options.echo !== false && value.type === 'Write') {
        const {connectionId, bytes} = value.value
        proxy.read(connectionId, Buffer.from(Buffer.from(bytes).toString().toUpperCase()))
      }
      return true
    },
    flow: new FlowControl({pause: () => {}, resume: () => {}}),
    warn: () => {},
    acceptMs: options.acceptMs,
    connectMs: options.connectMs,
  })
  cleanup.add(proxy, (it) => it.close())
  const hurry = new AbortController()
  const request: ConnectRequest = {
    pid: process.pid,
    protocol: 'tcp',
    unconnected: false,
    nonBlocking: false,
    remote: {address: '10.1.2.3', port: 80},
    relayFamily: 4,
    hurry: hurry.signal,
    gone: new AbortController().signal,
  }
  const accept = (connectionId: number, index = asked.length - 1) => {
    const {accept: register, settle} = asked[index]!
    register(connection(connectionId))
    settle.resolve({type: 'Ok', value: connection(connectionId)})
  }
  /** A whole connect of a program, to the point where its socket is connected to the relay. */
  const ready = async (connectionId: number): Promise<Relay> => {
    const answer = proxy.connect(request)
    await until('the question to the agent', () => asked.length > 0)
    accept(connectionId)
    return (await answer) as Relay
  }
  const closes = () => sent.flatMap((message) => (message.type === 'Close' ? [message.value.connectionId] : []))
  return {proxy, sent, asked, request, hurry, accept, ready, closes}
}

const sourceOf = (socket: net.Socket) => ({address: socket.localAddress!, port: socket.localPort!})

describe('an outgoing TCP connection', () => {
  it('is spliced with the socket that comes from the announced source, also when the word comes first', async () => {
    const {ready} = stage()
    const {relay, local, onConnected} = await ready(1)
    expect(local).toEqual({address: '10.9.9.9', port: 4001})
    const spare = net.createServer().listen(0, '127.0.0.1')
    await once(spare, 'listening')
    const port = (spare.address() as net.AddressInfo).port
    spare.close()
    onConnected!({address: '127.0.0.1', port})
    const program = await dial(cleanup, relay, {address: '127.0.0.1', port})
    const got = collect(program)
    program.write('hello')
    await until('the echo', () => got.text() === 'HELLO')
  })

  it('is spliced when the socket came before the word, and stays for longer than an accept may take', async () => {
    const {ready, closes} = stage({acceptMs: 40})
    const {relay, onConnected} = await ready(1)
    const program = await dial(cleanup, relay)
    const foreign = await dial(cleanup, relay)
    const dropped = collect(foreign)
    onConnected!(sourceOf(program))
    const got = collect(program)
    program.write('hello')
    await until('the echo', () => got.text() === 'HELLO')
    // The stranger's time is over after ours began.
    await dropped.ended
    program.write(' again')
    await until('the second echo', () => got.text() === 'HELLO AGAIN')
    expect(closes()).toEqual([])
  })

  it('delivers what the agent sent before the program was there, and its end', async () => {
    const {ready, proxy} = stage()
    const {relay, onConnected} = await ready(7)
    proxy.read(7, Buffer.from('banner '))
    proxy.read(7, Buffer.from('of the server'))
    proxy.closed(7)
    const program = await dial(cleanup, relay)
    const got = collect(program)
    onConnected!(sourceOf(program))
    expect(await got.ended).toBe('end')
    expect(got.text()).toBe('banner of the server')
  })

  it('fails with the errno of the pod', async () => {
    const {proxy, request, asked} = stage()
    const answer = proxy.connect(request)
    await until('the question', () => asked.length === 1)
    asked[0]!.settle.resolve(refused)
    expect(await answer).toEqual({errno: constants.errno.ECONNREFUSED})
  })

  it('rejects when the agent is gone', async () => {
    const {proxy, request, asked} = stage()
    const answer = proxy.connect(request)
    await until('the question', () => asked.length === 1)
    asked[0]!.settle.reject(new Error('the agent is gone'))
    await expect(answer).rejects.toThrow('gone')
  })

  it('is closed in the pod when the program gave up', async () => {
    const {ready, closes} = stage()
    const {onConnected} = await ready(3)
    onConnected!(undefined)
    await until('the close', () => closes().length === 1)
    expect(closes()).toEqual([3])
  })

  it('is closed in the pod when the announced socket never comes', async () => {
    const {ready, closes} = stage({acceptMs: 20})
    const {onConnected} = await ready(3)
    onConnected!({address: '127.0.0.1', port: 1})
    await until('the close', () => closes().length === 1)
    expect(closes()).toEqual([3])
  })

  it('is closed in the pod when the program resets it', async () => {
    const {ready, closes} = stage()
    const {relay, onConnected} = await ready(3)
    const program = await dial(cleanup, relay)
    onConnected!(sourceOf(program))
    const got = collect(program)
    program.write('x')
    await until('the echo', () => got.text() === 'X')
    program.resetAndDestroy()
    await until('the close', () => closes().length === 1)
    expect(closes()).toEqual([3])
  })

  it('is reset when the session ends', async () => {
    const {ready, proxy} = stage()
    const {relay, onConnected} = await ready(3)
    const program = await dial(cleanup, relay)
    const got = collect(program)
    onConnected!(sourceOf(program))
    program.write('x')
    await until('the echo', () => got.text() === 'X')
    proxy.close()
    expect(await got.ended).toBe('reset')
  })

  it.skipIf(!hasIPv6)('works for sockets that reach only IPv6', async () => {
    const {proxy, request, asked, accept} = stage()
    const answer = proxy.connect({...request, relayFamily: 6})
    await until('the question', () => asked.length === 1)
    accept(1)
    const {relay, onConnected} = (await answer) as Relay
    expect(relay.address).toBe('::1')
    const program = await dial(cleanup, relay)
    const got = collect(program)
    onConnected!(sourceOf(program))
    program.write('six')
    await until('the echo', () => got.text() === 'SIX')
  })

  it('does not mix up two hundred at once', async () => {
    const {proxy, request, asked, accept} = stage()
    const answers = Array.from({length: 200}, () => proxy.connect(request))
    await until('the questions', () => asked.length === 200)
    for (let index = 199; index >= 0; index--) accept(index + 1, index)
    const programs = await Promise.all(
      answers.map(async (answer, index) => {
        const {relay, local, onConnected} = (await answer) as Relay
        expect(local!.port).toBe(4001 + index)
        const program = await dial(cleanup, relay)
        const got = collect(program)
        onConnected!(sourceOf(program))
        program.end(`p${index}`)
        return {got, index}
      }),
    )
    await until('every echo', () => programs.every(({got, index}) => got.text() === `P${index}`))
  })
})

describe('a connection whose program could not be held', () => {
  it.each(['before', 'after'] as const)(
    'carries what was written once the pod is connected, %s the accept',
    async (when) => {
      const {proxy, request, hurry, asked, accept} = stage()
      const answer = proxy.connect(request)
      await until('the question', () => asked.length === 1)
      hurry.abort()
      const {relay, local, onConnected} = (await answer) as Relay
      expect(local).toBeUndefined()
      if (when === 'before') accept(1)
      const program = await dial(cleanup, relay)
      const got = collect(program)
      onConnected!(sourceOf(program))
      program.write('early')
      if (when === 'after') accept(1)
      await until('the echo', () => got.text() === 'EARLY')
    },
  )

  it.each(['refuses', 'is gone'])('is reset when the other end %s', async (why) => {
    const {proxy, request, hurry, asked} = stage()
    hurry.abort()
    const {relay, onConnected} = (await proxy.connect(request)) as Relay
    const program = await dial(cleanup, relay)
    const got = collect(program)
    onConnected!(sourceOf(program))
    if (why === 'refuses') asked[0]!.settle.resolve(refused)
    else asked[0]!.settle.reject(new Error('gone'))
    expect(await got.ended).toBe('reset')
  })

  it('waits for the pod where its connect can stay under way, and then has the answer', async () => {
    const {proxy, request, hurry, asked, accept} = stage()
    request.nonBlocking = true
    hurry.abort()
    const answers = await Promise.all([proxy.connect(request), proxy.connect(request)])
    const [good, bad] = answers.map((answer) => (answer as Relay).later!)
    asked[1]!.settle.resolve(refused)
    expect(await bad).toEqual({errno: constants.errno.ECONNREFUSED})
    accept(1, 0)
    const {relay, local, onConnected} = (await good) as Relay
    expect(local).toBeDefined()
    const program = await dial(cleanup, relay)
    const got = collect(program)
    onConnected!(sourceOf(program))
    program.write('later')
    await until('the echo', () => got.text() === 'LATER')
  })

  it('is closed in the pod when the program is gone by then', async () => {
    const {proxy, request, hurry, accept, closes} = stage()
    hurry.abort()
    const {onConnected} = (await proxy.connect(request)) as Relay
    onConnected!(undefined)
    accept(9)
    await until('the close', () => closes().length === 1)
    expect(closes()).toEqual([9])
  })
})

describe('a spliced socket', () => {
  const remote = {address: '10.0.0.10', port: 53}

  it('is connected with the remote end', async () => {
    const {proxy, asked, accept} = stage()
    const {program, ours} = await socketPair(cleanup)
    void proxy.splice(ours, remote)
    await until('the question', () => asked.length === 1)
    accept(1)
    const got = collect(program)
    program.write('dns')
    await until('the echo', () => got.text() === 'DNS')
  })

  it('is reset when the remote end refuses', async () => {
    const {proxy, asked} = stage()
    const {program, ours} = await socketPair(cleanup)
    const got = collect(program)
    void proxy.splice(ours, remote)
    await until('the question', () => asked.length === 1)
    asked[0]!.settle.resolve(refused)
    expect(await got.ended).toBe('reset')
  })

  it('is closed in the pod when it was gone before the pod was connected', async () => {
    const {proxy, asked, accept, closes} = stage()
    const {ours} = await socketPair(cleanup)
    void proxy.splice(ours, remote)
    await until('the question', () => asked.length === 1)
    ours.destroy()
    await once(ours, 'close')
    accept(5)
    await until('the close', () => closes().length === 1)
    expect(closes()).toEqual([5])
  })
})

describe('a pod that does not answer', () => {
  it('is ETIMEDOUT; the connection that it makes after all is closed', async () => {
    const {proxy, request, accept, closes} = stage({connectMs: 20})
    expect(await proxy.connect(request)).toEqual({errno: constants.errno.ETIMEDOUT})
    accept(7)
    await until('the close', () => closes().length === 1)
    expect(closes()).toEqual([7])
  })
})
