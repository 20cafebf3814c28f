import {once} from 'node:events'
import net from 'node:net'
import {afterEach, describe, expect, it} from 'vitest'
import {pickLoopbackAddress, SourcePorts, type Endpoint} from '../../../src/proxy/addresses.ts'
import {FlowControl} from '../../../src/proxy/flow.ts'
import {IncomingProxy} from '../../../src/proxy/incoming.ts'
import {unobserved, type TrafficObserver} from '../../../src/proxy/observer.ts'
import type {ClientMessage} from '../../../src/protocol/index.ts'
import {Cleanup, hasIPv6, until} from './sockets.ts'

const cleanup = new Cleanup()
afterEach(() => cleanup.run())

type Steal = Extract<ClientMessage, {type: 'TcpSteal'}>['value']

/** A program that listens; what arrives is kept by connection. */
async function program(options: net.ListenOptions = {host: '127.0.0.1'}) {
  const connections: {socket: net.Socket; text: string; from: string}[] = []
  const server = net.createServer({allowHalfOpen: true}, (socket) => {
    const connection = {socket: cleanup.socket(socket), text: '', from: `${socket.remoteAddress}:${socket.remotePort}`}
    connections.push(connection)
    socket.on('data', (data) => (connection.text += data.toString()))
  })
  cleanup.add(server, (it) => it.close())
  server.listen({port: 0, ...options})
  await once(server, 'listening')
  const {address, port} = server.address() as net.AddressInfo
  return {connections, server, actual: {address, port}}
}

/** A proxy whose agent is the test. */
function stage(options: {refuse?: string; source?: number[]} = {}) {
  const sent: Steal[] = []
  const calls: string[] = []
  const peers = new Map<string, {peer: Endpoint; local: Endpoint}>()
  const sources = new SourcePorts()
  const wanted = [...(options.source ?? [])]
  const requests: Parameters<TrafficObserver['request']>[0][] = []
  const proxy = new IncomingProxy({
    address: pickLoopbackAddress(),
    sources: {next: () => wanted.shift() ?? sources.next()} as SourcePorts,
    send(message) {
      sent.push((message as Extract<ClientMessage, {type: 'TcpSteal'}>).value)
      return true
    },
    flow: new FlowControl({pause: () => {}, resume: () => {}}),
    async subscribe(port) {
      calls.push(`subscribe ${port}`)
      if (options.refuse) throw new Error(options.refuse)
    },
    unsubscribe: (port) => void calls.push(`unsubscribe ${port}`),
    async registerPeer({address, port}, peer, local) {
      peers.set(`${address}:${port}`, {peer, local})
    },
    forgetPeer: ({address, port}) => void peers.delete(`${address}:${port}`),
    warn: (text) => void calls.push(`warn: ${text}`),
    observer: {...unobserved, request: (request) => void requests.push(request)},
  })
  const arrive = (connectionId: number, destinationPort = 80) =>
    proxy.receive({
      type: 'NewConnectionV1',
      value: {
        connectionId,
        remoteAddress: '10.244.0.7',
        sourcePort: 50_000 + connectionId,
        destinationPort,
        localAddress: '10.244.0.3',
      },
    })
  const data = (connectionId: number, text: string) =>
    proxy.receive({type: 'Data', value: {connectionId, bytes: Buffer.from(text)}})
  const answers = (connectionId: number) =>
    sent.flatMap((message) =>
      message.type === 'Data' && message.value.connectionId === connectionId ? [Buffer.from(message.value.bytes)] : [],
    )
  const text = (connectionId: number) => Buffer.concat(answers(connectionId)).toString()
  const dropped = () => sent.flatMap((message) => (message.type === 'ConnectionUnsubscribe' ? [message.value] : []))
  const told = () => requests.map(({method, path, port, status}) => `${method} ${path} of ${port}: ${status ?? 'none'}`)
  return {proxy, sent, calls, peers, arrive, data, answers, text, dropped, told}
}

describe('subscriptions', () => {
  const actual = {address: '127.0.0.1', port: 1}

  it('follow the listeners: one for a port, ended with the last of them', async () => {
    const {proxy, calls} = stage()
    await proxy.listen({id: 1, port: 80, actual})
    await proxy.listen({id: 2, port: 80, actual})
    await proxy.listen({id: 3, port: 443, actual})
    expect(proxy.subscribedPorts).toEqual([80, 443])
    proxy.close(1)
    proxy.close(99)
    expect(calls).toEqual(['subscribe 80', 'subscribe 443'])
    proxy.close(2)
    proxy.close(2)
    expect(calls).toEqual(['subscribe 80', 'subscribe 443', 'unsubscribe 80'])
    expect(proxy.subscribedPorts).toEqual([443])
    await proxy.listen({id: 4, port: 80, actual})
    expect(calls.at(-1)).toBe('subscribe 80')
  })

  it('end all at once', async () => {
    const {proxy, calls} = stage()
    await proxy.listen({id: 1, port: 80, actual})
    await proxy.listen({id: 2, port: 81, actual})
    proxy.unsubscribeAll()
    proxy.close(1)
    expect(calls).toEqual(['subscribe 80', 'subscribe 81', 'unsubscribe 80', 'unsubscribe 81'])
  })

  it('[INC-29] that are refused fail the listen and leave nothing', async () => {
    const {proxy, calls} = stage({refuse: 'port 80 is stolen by another session'})
    await expect(proxy.listen({id: 1, port: 80, actual})).rejects.toThrow('another session')
    expect(proxy.subscribedPorts).toEqual([])
    proxy.close(1)
    expect(calls).toEqual(['subscribe 80'])
  })
})

describe('a stolen connection', () => {
  it('is delivered from an announced source, and both directions are carried', async () => {
    const {proxy, peers, arrive, data, text, sent} = stage()
    const {connections, actual} = await program()
    await proxy.listen({id: 1, port: 80, actual})
    arrive(1)
    await until('the connection', () => connections.length === 1)
    const [{socket, from}] = connections as [(typeof connections)[number]]
    expect(peers.get(from)).toEqual({
      peer: {address: '10.244.0.7', port: 50_001},
      local: {address: '10.244.0.3', port: 80},
    })
    data(1, 'GET')
    await until('the request', () => connections[0]!.text === 'GET')
    socket.end('200')
    await until('the answer', () => text(1) === '200')
    proxy.receive({type: 'Data', value: {connectionId: 1, bytes: new Uint8Array(0)}})
    await until('the end', () => peers.size === 0)
    expect(sent.filter(({type}) => type === 'ConnectionUnsubscribe')).toEqual([])
  })

  it('keeps what arrives before the dial is done, and its end', async () => {
    const {proxy, arrive, data} = stage()
    const {connections, actual} = await program()
    await proxy.listen({id: 1, port: 80, actual})
    arrive(1)
    data(1, 'one ')
    data(1, 'two')
    proxy.receive({type: 'Close', value: {connectionId: 1}})
    await until('the connection', () => connections.length === 1)
    await until('the bytes', () => connections[0]!.text === 'one two')
  })

  it('goes to the listener that came last', async () => {
    const {proxy, arrive} = stage()
    const [old, young] = [await program(), await program()]
    await proxy.listen({id: 1, port: 80, actual: old.actual})
    await proxy.listen({id: 2, port: 80, actual: young.actual})
    arrive(1)
    await until('the connection', () => young.connections.length === 1)
    proxy.close(2)
    arrive(2)
    await until('the other connection', () => old.connections.length === 1)
  })

  it('to a port without a listener is handed back', () => {
    const {arrive, dropped, data} = stage()
    arrive(4, 8080)
    data(4, 'lost')
    expect(dropped()).toEqual([4])
  })

  it('that the program refuses is handed back, with a warning', async () => {
    const {proxy, arrive, dropped, calls, peers} = stage()
    const {server, actual} = await program()
    await proxy.listen({id: 1, port: 80, actual})
    server.close()
    await once(server, 'close')
    arrive(4)
    await until('the refusal', () => calls.some((call) => call.startsWith('warn')))
    expect(dropped()).toEqual([4])
    expect(calls.at(-1)).toMatch(/port 80 could not be delivered.*ECONNREFUSED/)
    expect(peers.size).toBe(0)
  })

  it('that the program resets is ended at the agent', async () => {
    const {proxy, arrive, dropped} = stage()
    const {connections, actual} = await program()
    await proxy.listen({id: 1, port: 80, actual})
    arrive(4)
    await until('the connection', () => connections.length === 1)
    connections[0]!.socket.resetAndDestroy()
    await until('the end', () => dropped().length === 1)
    expect(dropped()).toEqual([4])
  })

  it.each([
    ['every address', {host: '0.0.0.0'}],
    ['another loopback address', {host: '127.0.0.9'}],
    ['every address of both families', {host: '::'}],
    ['every IPv6 address only', {host: '::', ipv6Only: true}],
    ['the IPv6 loopback', {host: '::1'}],
  ])('reaches a program that listens on %s', async (_name, options) => {
    if (options.host.includes(':') && !hasIPv6) return
    const {proxy, arrive, data} = stage()
    const {connections, actual} = await program(options)
    await proxy.listen({id: 1, port: 80, actual})
    arrive(1)
    data(1, 'x')
    await until('the bytes', () => connections[0]?.text === 'x')
  })

  it.skipIf(!hasIPv6)('takes the next source port when one is in use', async () => {
    const {connections, actual} = await program({host: '::1'})
    const holder = cleanup.add(net.createServer(), (it) => it.close())
    holder.listen(0, '::1')
    await once(holder, 'listening')
    const used = (holder.address() as net.AddressInfo).port
    const {proxy, arrive, peers} = stage({source: [used]})
    await proxy.listen({id: 1, port: 80, actual})
    arrive(1)
    await until('the connection', () => connections.length === 1)
    expect(connections[0]!.from).not.toBe(`::1:${used}`)
    expect(peers.size).toBe(1)
  })

  it('delivers two hundred at once, each to its own', async () => {
    const {proxy, arrive, data, text} = stage()
    const {server, actual} = await program()
    server.on('connection', (socket: net.Socket) => socket.on('data', (bytes) => socket.end(`got ${bytes.toString()}`)))
    await proxy.listen({id: 1, port: 80, actual})
    const ids = Array.from({length: 200}, (_, index) => index)
    for (const id of ids) {
      arrive(id)
      data(id, `c${id}`)
    }
    await until('every answer', () => ids.every((id) => text(id) === `got c${id}`))
  })
})

describe('requests at the end of the program', () => {
  const request = (path: string) => `GET ${path} HTTP/1.1\r\nHost: echo\r\n\r\n`
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'

  /** Each has arrived at the program, on a connection of its own that its caller keeps open. */
  async function delivered(...paths: string[]) {
    const it = stage()
    const {connections, actual} = await program()
    await it.proxy.listen({id: 1, port: 80, actual})
    for (const [id, path] of paths.entries()) {
      it.arrive(id)
      it.data(id, request(path))
    }
    await until('the requests', () => connections.filter(({text}) => text.endsWith('\r\n\r\n')).length === paths.length)
    const of = (path: string) => connections.find(({text}) => text === request(path))!.socket
    return {...it, of}
  }

  it('are told as not answered, also while their callers keep the connections open', async () => {
    const {proxy, of, told} = await delivered('/crash', '/reset')
    // As the kernel does when a process ends: a reset where it had not read everything.
    of('/crash').end()
    of('/reset').resetAndDestroy()
    await proxy.end()
    expect(told().sort()).toEqual(['GET /crash of 80: none', 'GET /reset of 80: none'])
  })

  it('are told as answered when the answer was the last thing that it wrote, and the caller gets it', async () => {
    const {proxy, of, told, text} = await delivered('/last')
    of('/last').end(answer)
    await once(of('/last'), 'finish')
    await proxy.end()
    expect(told()).toEqual(['GET /last of 80: 200'])
    expect(text(0)).toBe(answer)
  })

  it('are told once, whatever follows', async () => {
    const {proxy, of, told} = await delivered('/crash')
    of('/crash').end()
    await proxy.end()
    await proxy.end()
    proxy.receive({type: 'Data', value: {connectionId: 0, bytes: new Uint8Array()}})
    proxy.receive({type: 'Close', value: {connectionId: 0}})
    await until('the end of the connection', () => of('/crash').closed)
    expect(told()).toEqual(['GET /crash of 80: none'])
  })

  it('are told though something outside of its tree keeps its connection open', async () => {
    const {proxy, told} = await delivered('/kept')
    await proxy.end()
    expect(told()).toEqual(['GET /kept of 80: none'])
  })

  it('are told while the connection to it is still being made', async () => {
    const {proxy, arrive, data, told} = stage()
    const {actual} = await program()
    await proxy.listen({id: 1, port: 80, actual})
    arrive(0)
    data(0, request('/early'))
    await proxy.end()
    expect(told()).toEqual(['GET /early of 80: none'])
  })
})
