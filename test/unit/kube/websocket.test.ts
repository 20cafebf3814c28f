import {createHash} from 'node:crypto'
import {once} from 'node:events'
import http from 'node:http'
import type {AddressInfo, Socket} from 'node:net'
import {afterEach, describe, expect, it} from 'vitest'
import {HandshakeTimeout, openWebSocket, Refused, type ClientWebSocket} from '../../../src/kube/websocket.ts'

const undo: (() => unknown)[] = []
afterEach(() => undo.splice(0).forEach((step) => step()))

/** A server whose WebSocket frames are made by hand. */
async function serve(answer: (key: string, socket: Socket) => void): Promise<string> {
  const server = http.createServer((_request, response) => response.writeHead(418).end('{}'))
  server.on('upgrade', (request, socket: Socket) => {
    undo.push(() => socket.destroy())
    socket.on('error', () => {})
    socket.setNoDelay(true)
    answer(request.headers['sec-websocket-key'] ?? '', socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  undo.push(() => server.close())
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`
}
const accept = (key: string) => createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
const switching = (key: string, more = 'sec-websocket-protocol: a\r\n') =>
  `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept(key)}\r\n${more}\r\n`
const open = (url: string, openTimeoutMs = 5000) =>
  openWebSocket(url, {protocols: ['b', 'a'], request: {}, openTimeoutMs, closeTimeoutMs: 200})

function frame(first: number, payload: Uint8Array): Buffer {
  const {length} = payload
  const size = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const head = Buffer.alloc(size)
  head[0] = first
  head[1] = size === 2 ? length : size === 4 ? 126 : 127
  if (size === 4) head.writeUInt16BE(length, 2)
  else if (size === 10) head.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([head, payload])
}
/** The payload of a client's short frame, unmasked. */
const payloadOf = (bytes: Buffer) => bytes.subarray(6).map((byte, index) => byte ^ bytes[2 + (index & 3)]!)
const goodbye = frame(0x88, Buffer.from([3, 232]))

interface Opened {
  peer: Socket
  socket: ClientWebSocket
  messages: Buffer[]
  closed: Promise<{code: number; error: Error | undefined}>
}

async function connected(): Promise<Opened> {
  const arrived = Promise.withResolvers<Socket>()
  const url = await serve((key, socket) => {
    socket.write(switching(key))
    arrived.resolve(socket)
  })
  const socket = await open(url)
  undo.push(() => socket.terminate())
  const messages: Buffer[] = []
  let parts: Buffer[] = []
  socket.onPart = (bytes, end) => {
    parts.push(bytes)
    if (!end) return
    messages.push(Buffer.concat(parts))
    parts = []
  }
  const closed = Promise.withResolvers<{code: number; error: Error | undefined}>()
  socket.onClose = (code, error) => closed.resolve({code, error})
  socket.resume()
  return {peer: await arrived.promise, socket, messages, closed: closed.promise}
}

describe('ClientWebSocket', () => {
  const fragments = Buffer.concat([
    frame(0x02, Buffer.from('frag')),
    frame(0x89, Buffer.from('ping')),
    frame(0x00, Buffer.alloc(0)),
    frame(0x80, Buffer.from('ment')),
  ])

  it('puts fragments together, and answers a ping between them, wherever the stream is cut', async () => {
    const body = Buffer.alloc(200, 7)
    const stream = Buffer.concat([frame(0x82, body), frame(0x82, Buffer.alloc(0)), fragments, goodbye])
    for (const size of [1, 2, 3, 7]) {
      const {peer, messages, closed} = await connected()
      const sent: Buffer[] = []
      peer.on('data', (chunk) => sent.push(chunk))
      for (let at = 0; at < stream.length; at += size) {
        peer.write(stream.subarray(at, at + size))
        await new Promise((resolve) => setImmediate(resolve))
      }
      expect((await closed).code).toBe(1000)
      expect(messages).toEqual([body, Buffer.alloc(0), Buffer.from('fragment')])
      const pong = Buffer.concat(sent).subarray(0, 10)
      expect([pong[0], pong[1], Buffer.from(payloadOf(pong)).toString()]).toEqual([0x8a, 0x84, 'ping'])
    }
  })

  it('takes frames of every length', async () => {
    const bodies = [1, 125, 126, 65_535, 65_536, 1_000_000].map((size) => Buffer.alloc(size, size % 251))
    const {peer, messages, closed} = await connected()
    peer.write(Buffer.concat([...bodies.map((body) => frame(0x82, body)), goodbye]))
    expect((await closed).code).toBe(1000)
    expect(messages.map(({length}) => length)).toEqual(bodies.map(({length}) => length))
    expect(Buffer.concat(messages).equals(Buffer.concat(bodies))).toBe(true)
  })

  it('masks what it sends in plain text', async () => {
    const {peer, socket} = await connected()
    const received = once(peer, 'data') as Promise<[Buffer]>
    const sent = new Promise<void>((resolve) => socket.send(5, [Buffer.from('ab'), Buffer.from('c')], 3, resolve))
    const [bytes] = await received
    await sent
    expect([bytes[0], bytes[1]]).toEqual([0x82, 0x84])
    expect(Buffer.from(payloadOf(bytes))).toEqual(Buffer.from('\x05abc'))
    expect(bytes.subarray(2, 6)).not.toEqual(Buffer.alloc(4))
  })

  it.each([
    ['a masked frame', Buffer.from([0x82, 0x81, 0, 0, 0, 0, 1])],
    ['an extension', frame(0xc2, Buffer.from('x'))],
    ['an unknown kind', frame(0x83, Buffer.from('x'))],
    ['a continuation of nothing', frame(0x80, Buffer.from('x'))],
    ['a message within a message', Buffer.concat([frame(0x02, Buffer.from('x')), frame(0x82, Buffer.from('x'))])],
    ['a long control frame', frame(0x89, Buffer.alloc(126))],
  ])('ends with %s', async (_name, bytes) => {
    const {peer, closed} = await connected()
    peer.write(bytes)
    const {code, error} = await closed
    expect([code, error?.message]).toEqual([1006, expect.stringContaining('broke the WebSocket protocol')])
  })

  it('says goodbye, and does not wait for ever for the answer', async () => {
    const {peer, socket, closed} = await connected()
    const received = once(peer, 'data') as Promise<[Buffer]>
    socket.close()
    expect(socket.open).toBe(false)
    expect(Buffer.from(payloadOf((await received)[0]))).toEqual(Buffer.from([3, 232]))
    expect((await closed).code).toBe(1006)
  })

  it.each([
    ['another key', () => switching('x')],
    ['a protocol that was not offered', (key: string) => switching(key, 'sec-websocket-protocol: c\r\n')],
    ['no protocol', (key: string) => switching(key, '')],
    [
      'an extension that was not offered',
      (key: string) => switching(key, 'sec-websocket-protocol: a\r\nsec-websocket-extensions: permessage-deflate\r\n'),
    ],
  ])('refuses %s', async (_name, answer) => {
    const url = await serve((key, socket) => socket.write(answer(key)))
    await expect(open(url)).rejects.toThrow('handshake is wrong')
  })

  it('gives another answer of the server to the caller', async () => {
    const url = await serve((_key, socket) => socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n'))
    const error = await open(url).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(Refused)
    expect((error as Refused).response.statusCode).toBe(403)
  })

  it('gives up when the server does not answer', async () => {
    const url = await serve(() => {})
    await expect(open(url, 50)).rejects.toThrow(HandshakeTimeout)
  })
})
