import dgram from 'node:dgram'
import {once} from 'node:events'
import net from 'node:net'
import {constants} from 'node:os'
import {afterEach, describe, expect, it} from 'vitest'
import {pickLoopbackAddress, type Endpoint} from '../../../src/proxy/addresses.ts'
import {DnsRelay} from '../../../src/proxy/dns-relay.ts'
import {OutgoingUdpProxy} from '../../../src/proxy/outgoing-udp.ts'
import type {ClientMessage, ConnectReply} from '../../../src/protocol/index.ts'
import type {ConnectAnswer, ConnectRequest} from '../../../src/trap/types.ts'
import {Cleanup, collect, dial, hasIPv6, until} from './sockets.ts'

const cleanup = new Cleanup()
afterEach(() => cleanup.run())

type Relay = Extract<ConnectAnswer, {relay: unknown}>

/** A program's datagram socket with what it received. */
async function program(family: 4 | 6 = 4) {
  const socket = dgram.createSocket(family === 4 ? 'udp4' : 'udp6')
  cleanup.add(socket, (it) => it.close())
  const got: {text: string; from: Endpoint}[] = []
  socket.on('message', (data, from) => got.push({text: data.toString('latin1'), from}))
  socket.bind(0, family === 4 ? '127.0.0.1' : '::1')
  await once(socket, 'listening')
  const {address, port} = socket.address()
  const send = (data: string | Buffer, to: Endpoint) =>
    new Promise<void>((resolve) => socket.send(data, to.port, to.address, () => resolve()))
  return {socket, got, source: {address, port}, send}
}

/** A proxy whose agent is the test. */
function stage(refuse?: ConnectReply) {
  const sent: Extract<ClientMessage, {type: 'UdpOutgoing'}>['value'][] = []
  const warnings: string[] = []
  /** What the tunnel says of itself. */
  const full: {now: boolean; drained?: () => void} = {now: false}
  let connections = 0
  const proxy = new OutgoingUdpProxy({
    address: pickLoopbackAddress(),
    async connect(remote, accept) {
      if (refuse) return refuse
      const connectionId = ++connections
      const value = {
        connectionId,
        remoteAddress: {type: 'Ip' as const, value: {ip: remote.address, port: remote.port}},
        localAddress: {type: 'Ip' as const, value: {ip: '10.9.9.9', port: 5000 + connectionId}},
      }
      accept(value)
      return {type: 'Ok', value}
    },
    send(message) {
      sent.push((message as Extract<ClientMessage, {type: 'UdpOutgoing'}>).value)
      return !full.now
    },
    flow: {waitForDrain: (_, resume) => (full.drained = resume), forget: () => {}},
    warn: (text) => warnings.push(text),
  })
  cleanup.add(proxy, (it) => it.close())
  const request: ConnectRequest = {
    pid: process.pid,
    protocol: 'udp',
    unconnected: false,
    nonBlocking: false,
    remote: {address: '10.1.2.3', port: 1234},
    relayFamily: 4,
    hurry: new AbortController().signal,
    gone: new AbortController().signal,
  }
  const writes = () =>
    sent.flatMap((message) =>
      message.type === 'Write'
        ? [`${message.value.connectionId}:${Buffer.from(message.value.bytes).toString('latin1')}`]
        : [],
    )
  const closes = () => sent.flatMap((message) => (message.type === 'Close' ? [message.value.connectionId] : []))
  return {proxy, sent, request, writes, closes, connections: () => connections, warnings, full}
}

describe('a connected datagram socket', () => {
  it.each(hasIPv6 ? ([4, 6] as const) : ([4] as const))(
    'exchanges datagrams with the remote end, IPv%i',
    async (relayFamily) => {
      const {proxy, request, writes} = stage()
      const {relay, local, onConnected} = (await proxy.connect({...request, relayFamily})) as Relay
      expect(local).toEqual({address: '10.9.9.9', port: 5001})
      const {source, got, send} = await program(relayFamily)
      onConnected!(source)
      await send('a', relay)
      await send('b', relay)
      await until('the datagrams', () => writes().length === 2)
      expect(writes().sort()).toEqual(['1:a', '1:b'])
      proxy.read(1, Buffer.from('answer'))
      await until('the answer', () => got.length === 1)
      expect(got[0]).toMatchObject({text: 'answer', from: {address: relay.address, port: relay.port}})
    },
  )

  it('uses the same socket of the pod for a datagram that overtakes the word of its source', async () => {
    const {proxy, request, writes, connections} = stage()
    const {relay, onConnected} = (await proxy.connect(request)) as Relay
    const {source, got, send} = await program()
    await send('early', relay)
    await until('the datagram', () => writes().length === 1)
    onConnected!(source)
    proxy.read(1, Buffer.from('answer'))
    await until('the answer', () => got.length === 1)
    expect([writes(), connections()]).toEqual([['1:early'], 1])
  })

  it('gets another socket in the pod after the first one failed', async () => {
    const {proxy, request, writes} = stage()
    const {relay, onConnected} = (await proxy.connect(request)) as Relay
    const {source, got, send} = await program()
    onConnected!(source)
    await send('a', relay)
    await until('the first', () => writes().length === 1)
    proxy.closed(1)
    await send('b', relay)
    await until('the second', () => writes().length === 2)
    proxy.read(2, Buffer.from('answer'))
    await until('the answer', () => got.length === 1)
    expect(writes()).toEqual(['1:a', '2:b'])
  })

  it.each([
    ['ENETUNREACH', {type: 'RemoteIO', value: {rawOsError: constants.errno.ENETUNREACH, kind: {type: 'Other'}}}],
    ['ETIMEDOUT', {type: 'RemoteIO', value: {kind: {type: 'TimedOut'}}}],
    ['ETIMEDOUT', {type: 'Remote', value: {type: 'ConnectTimedOut'}}],
  ] as const)('[OUT-28] fails with the errno of the pod, %s', async (name, value) => {
    const {proxy, request} = stage({type: 'Err', value} as unknown as ConnectReply)
    expect(await proxy.connect(request)).toEqual({errno: constants.errno[name]})
  })

  it('closes its socket in the pod when the program gave up, and with the session', async () => {
    const {proxy, request, closes} = stage()
    const first = (await proxy.connect(request)) as Relay
    first.onConnected!(undefined)
    await until('the close', () => closes().length === 1)
    const second = (await proxy.connect(request)) as Relay
    const {source} = await program()
    second.onConnected!(source)
    proxy.close()
    await until('the other close', () => closes().length === 2)
    expect(closes()).toEqual([1, 2])
  })
})

describe('unconnected datagram sockets', () => {
  it('have a socket in the pod each, behind one relay', async () => {
    const {proxy, request, writes} = stage()
    const {relay} = (await proxy.connect({...request, unconnected: true})) as Relay
    const [a, b] = [await program(), await program()]
    await a.send('a', relay)
    await until('the first', () => writes().length === 1)
    await b.send('b', relay)
    await until('both', () => writes().length === 2)
    proxy.read(2, Buffer.from('for b'))
    proxy.read(1, Buffer.from('for a'))
    await until('the answers', () => a.got.length + b.got.length === 2)
    expect([a.got[0]!.text, b.got[0]!.text]).toEqual(['for a', 'for b'])
  })
})

describe('what datagrams take', () => {
  it('ends with the relay that the trap has forgotten', async () => {
    const {proxy, request, writes, closes} = stage()
    const forgotten = new AbortController()
    const {relay} = (await proxy.connect({...request, unconnected: true, gone: forgotten.signal})) as Relay
    const {send} = await program()
    await send('a', relay)
    await until('the datagram', () => writes().length === 1)
    forgotten.abort()
    await until('the close', () => closes().length === 1)
  })

  it('ends with the connection of a socket that connects elsewhere', async () => {
    const {proxy, request, closes} = stage()
    const {source} = await program()
    const [first, second] = [(await proxy.connect(request)) as Relay, (await proxy.connect(request)) as Relay]
    first.onConnected!(source)
    second.onConnected!(source)
    await until('the close of the first', () => closes().length === 1)
    expect(closes()).toEqual([1])
  })

  it('ends with sockets that are gone, when there are many', async () => {
    const {proxy, request, closes, connections} = stage()
    const {relay} = (await proxy.connect({...request, unconnected: true})) as Relay
    const sockets = Array.from({length: 511}, () => dgram.createSocket('udp4'))
    for (const [i, socket] of sockets.entries()) {
      socket.send('x', relay.port, relay.address)
      await until('its flow', () => connections() === i + 1)
    }
    // Before the others are gone: with the port of one of them it would be no new flow.
    const {send} = await program()
    await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => socket.close(resolve))))
    await send('the one too many', relay)
    await until('the closes', () => closes().length > 400) // a port may be somebody else's by now
  })

  it('is nothing while the tunnel is full: datagrams are dropped', async () => {
    const {proxy, request, writes, full} = stage()
    const {relay, onConnected} = (await proxy.connect(request)) as Relay
    const {source, send} = await program()
    onConnected!(source)
    full.now = true
    for (const text of 'abc') await send(text, relay)
    await until('the first', () => writes().length === 1)
    proxy.read(1, Buffer.from('the others have been looked at'))
    full.now = false
    full.drained!()
    await send('d', relay)
    await until('the last', () => writes().includes('1:d'))
    expect(writes().length).toBeLessThanOrEqual(4)
    expect(writes()[0]).toBe('1:a')
  })

  it('is one warning for each address that the pod cannot reach', async () => {
    const {proxy, request, warnings} = stage({
      type: 'Err',
      value: {type: 'RemoteIO', value: {rawOsError: constants.errno.ENETUNREACH, kind: {type: 'Other'}}},
    } as unknown as ConnectReply)
    const {relay} = (await proxy.connect({...request, unconnected: true})) as Relay
    const other = (await proxy.connect({...request, unconnected: true})) as Relay
    const {send} = await program()
    for (const to of [relay, relay, other.relay]) await send('a', to)
    await until('the warnings', () => warnings.length === 2)
  })
})

/** The fixed part of a DNS message, then a text. */
const packet = (id: number, text: string) => {
  const header = Buffer.alloc(12)
  header.writeUInt16BE(id)
  return Buffer.concat([header, Buffer.from(text)])
}
const read = (data: string | Uint8Array) => {
  const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : Buffer.from(data)
  return {id: bytes.readUInt16BE(0), text: bytes.subarray(12).toString('latin1')}
}

describe.skipIf(process.getuid?.() !== 0)('the DNS relay (needs root for port 53)', () => {
  async function relay(refuse = new Set<string>()) {
    const address = pickLoopbackAddress()
    const asked: {nameserver: string; id: number; text: string; answer: (data: Uint8Array) => void}[] = []
    const dropped = new Map<string, () => void>()
    const started = await DnsRelay.start({
      address,
      nameservers: ['10.0.0.1', '10.0.0.2'],
      async openUdp(remote, receive, closed) {
        if (refuse.has(remote.address)) return {errno: 101}
        dropped.set(remote.address, closed)
        return {
          send: (data) => asked.push({nameserver: remote.address, ...read(data), answer: receive}),
          close: () => {},
        }
      },
      async spliceTcp(socket, remote) {
        socket.end(`spliced with ${remote.address}:${remote.port}`)
      },
    })
    let open = true
    const close = () => {
      if (open) started!.close()
      open = false
    }
    cleanup.add(close, (it) => it())
    return {close, to: {address, port: 53}, asked, dropped}
  }

  it('keeps the questions of two programs with the same id apart', async () => {
    const {to, asked} = await relay()
    const [a, b] = [await program(), await program()]
    await a.send(packet(7, 'a'), to)
    await b.send(packet(7, 'b'), to)
    await until('the questions', () => asked.length === 2)
    expect(asked[0]!.id).not.toBe(asked[1]!.id)
    for (const {id, text, answer} of [...asked].reverse()) answer(packet(id, `answer ${text}`))
    await until('the answers', () => a.got.length + b.got.length === 2)
    expect([read(a.got[0]!.text), read(b.got[0]!.text)]).toEqual([
      {id: 7, text: 'answer a'},
      {id: 7, text: 'answer b'},
    ])
    expect(a.got[0]!.from).toMatchObject(to)
  })

  it('asks the next nameserver when a question is repeated', async () => {
    const {to, asked} = await relay()
    const {send} = await program()
    for (const count of [1, 2, 3]) {
      await send(packet(9, 'x'), to)
      await until('the question', () => asked.length === count)
    }
    expect(asked.map(({nameserver}) => nameserver)).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.1'])
  })

  it('goes on with the second nameserver when the first cannot be reached', async () => {
    const {to, asked} = await relay(new Set(['10.0.0.1']))
    const {send} = await program()
    await send(packet(9, 'x'), to)
    await send(packet(9, 'x'), to)
    await until('the question', () => asked.length === 1)
    expect(asked[0]!.nameserver).toBe('10.0.0.2')
  })

  it('opens another socket in the pod after one failed', async () => {
    const {to, asked, dropped} = await relay()
    const {send} = await program()
    await send(packet(1, 'x'), to)
    await until('the question', () => asked.length === 1)
    dropped.get('10.0.0.1')!()
    await send(packet(2, 'y'), to)
    await until('the other question', () => asked.length === 2)
    expect(asked[0]!.answer).not.toBe(asked[1]!.answer)
  })

  it('passes over what is no DNS, answers that nobody waits for, and answers after its end', async () => {
    const {close, to, asked} = await relay()
    const {got, send} = await program()
    await send('short', to)
    await send(packet(3, 'x'), to)
    await until('the question', () => asked.length === 1)
    const {id, answer} = asked[0]!
    answer(Buffer.from('short'))
    answer(packet((id + 1) & 0xffff, 'foreign'))
    answer(packet(id, 'right'))
    answer(packet(id, 'again'))
    await send(packet(4, 'y'), to)
    await until('the next question', () => asked.length === 2)
    await until('the answer', () => got.length === 1)
    expect(read(got[0]!.text)).toEqual({id: 3, text: 'right'})
    close()
    expect(() => asked[1]!.answer(packet(asked[1]!.id, 'late'))).not.toThrow()
  })

  it('hands TCP to the first nameserver', async () => {
    const {to} = await relay()
    const got = collect(await dial(cleanup, to))
    await got.ended
    expect(got.text()).toBe('spliced with 10.0.0.1:53')
  })

  it('is left out where port 53 is taken', async () => {
    const address = pickLoopbackAddress()
    const server = cleanup.add(net.createServer(), (it) => it.close())
    server.listen(53, address)
    await once(server, 'listening')
    const ports = {address, nameservers: ['10.0.0.1'], openUdp: async () => ({errno: 1}), spliceTcp: async () => {}}
    expect(await DnsRelay.start(ports)).toBeUndefined()
  })
})
