import {once} from 'node:events'
import http from 'node:http'
import type net from 'node:net'
import {afterEach, describe, expect, it} from 'vitest'
import {pickLoopbackAddress, SourcePorts, type Endpoint} from '../../../src/proxy/addresses.ts'
import {FlowControl} from '../../../src/proxy/flow.ts'
import {IncomingProxy} from '../../../src/proxy/incoming.ts'
import {uncounted, unobserved} from '../../../src/proxy/observer.ts'
import {
  decodeClientMessage,
  encodeClientMessage,
  type ClientMessage,
  type HeaderLine,
} from '../../../src/protocol/index.ts'
import {Cleanup, until} from './sockets.ts'

// Requests as upstream's agent delivers them: parsed, one by one, also for an unfiltered subscription.

const cleanup = new Cleanup()
afterEach(() => cleanup.run())

type Steal = Extract<ClientMessage, {type: 'TcpSteal'}>['value']

async function stage(handler: http.RequestListener) {
  const server = http.createServer(handler)
  server.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst')
    socket.pipe(socket)
  })
  cleanup.add(server, (it) => {
    it.closeAllConnections()
    it.close()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const {port} = server.address() as net.AddressInfo
  const sent: Steal[] = []
  const peers: Endpoint[] = []
  const told: string[] = []
  const proxy = new IncomingProxy({
    address: pickLoopbackAddress(),
    sources: new SourcePorts(),
    send(message) {
      // Through the wire format, so that what is sent can be sent.
      sent.push((decodeClientMessage(encodeClientMessage(message)) as Extract<ClientMessage, {type: 'TcpSteal'}>).value)
      return true
    },
    flow: new FlowControl({pause: () => {}, resume: () => {}}),
    subscribe: async () => {},
    unsubscribe: () => {},
    registerPeer: async (_source, peer) => void peers.push(peer),
    forgetPeer: () => {},
    warn: () => {},
    observer: {
      ...unobserved,
      incoming(port) {
        told.push(`connection of ${port}`)
        return uncounted
      },
      request: ({method, path, port, stolen, status}) =>
        void told.push(`${method} ${path} of ${port}${stolen ? '' : ' passed'}: ${status ?? 'none'}`),
    },
  })
  await proxy.listen({id: 1, port: 80, actual: {address: '127.0.0.1', port}})
  const start = (
    head: Partial<{
      method: string
      uri: string
      version: 'HTTP/1.1' | 'HTTP/2.0'
      headers: HeaderLine[]
      body: string
      isLast: boolean
    }>,
  ) =>
    proxy.receive({
      type: 'HttpRequestChunked',
      value: {
        type: 'StartV2',
        value: {
          connectionId: 7,
          requestId: 0,
          request: {
            method: head.method ?? 'GET',
            uri: head.uri ?? '/',
            version: head.version ?? 'HTTP/1.1',
            headers: head.headers ?? [['host', 'echo']],
            body: {
              frames: head.body ? [{type: 'Data', value: Buffer.from(head.body)}] : [],
              isLast: head.isLast ?? true,
            },
          },
          metadata: {
            type: 'V1',
            value: {source: {ip: '10.244.0.7', port: 51_000}, destination: {ip: '10.244.0.3', port: 80}},
          },
          transport: {type: 'Tcp'},
        },
      },
    })
  const chunks = () => sent.flatMap((message) => (message.type === 'HttpResponseChunked' ? [message.value] : []))
  const responded = () =>
    until('the last frame of the response', () => chunks().some(({type, value}) => type === 'Body' && value.isLast))
  const text = () =>
    chunks()
      .flatMap((chunk) => (chunk.type === 'Body' ? chunk.value.frames : []))
      .map((frame) => (frame.type === 'Data' ? Buffer.from(frame.value).toString() : ''))
      .join('')
  const head = () => {
    const first = chunks().find(({type}) => type === 'Start')
    return first?.type === 'Start' ? first.value.internalResponse : undefined
  }
  return {proxy, sent, peers, told, start, chunks, responded, text, head, server}
}

const legacy = (sent: Steal[]) =>
  sent.flatMap((message) => (message.type === 'HttpResponse' ? [message.value.internalResponse] : []))

it('a parsed request reaches the program with its target, headers and body, from the real peer', async () => {
  let seen = ''
  const agent = await stage((request, response) => {
    seen = `${request.method} ${request.url} ${request.headers['x-a'] as string} ${request.headers.host}`
    response.setHeader('set-cookie', ['a=1', 'b=2'])
    request.pipe(response)
  })
  agent.start({
    method: 'POST',
    uri: '/a?b=c',
    headers: [
      ['host', 'echo'],
      ['x-a', '1'],
      ['content-length', '10'],
    ],
    body: 'hello',
    isLast: false,
  })
  agent.proxy.receive({
    type: 'HttpRequestChunked',
    value: {
      type: 'Body',
      value: {connectionId: 7, requestId: 0, frames: [{type: 'Data', value: Buffer.from('world')}], isLast: true},
    },
  })
  await agent.responded()
  expect(seen).toBe('POST /a?b=c 1 echo')
  expect(agent.text()).toBe('helloworld')
  expect(agent.head()).toMatchObject({status: 200, version: 'HTTP/1.1'})
  expect(agent.head()?.headers.filter(([name]) => name === 'set-cookie')).toEqual([
    ['set-cookie', 'a=1'],
    ['set-cookie', 'b=2'],
  ])
  expect(agent.peers).toEqual([{address: '10.244.0.7', port: 51_000}])
})

it('trailers of the response are passed on', async () => {
  const agent = await stage((_request, response) => {
    response.setHeader('trailer', 'x-sum')
    response.write('body')
    response.addTrailers({'x-sum': '42'})
    response.end()
  })
  agent.start({})
  await agent.responded()
  const trailers = agent
    .chunks()
    .flatMap((chunk) => (chunk.type === 'Body' ? chunk.value.frames : []))
    .filter(({type}) => type === 'Trailers')
  expect(trailers).toEqual([{type: 'Trailers', value: [['x-sum', '42']]}])
})

it('an upgrade turns into a raw connection: the first bytes and an echo come back, and its end is told', async () => {
  const agent = await stage(() => {})
  agent.start({
    headers: [
      ['host', 'echo'],
      ['connection', 'Upgrade'],
      ['upgrade', 'echo'],
    ],
  })
  const data = () =>
    agent.sent
      .flatMap((message) =>
        message.type === 'Data' && message.value.bytes.length > 0 ? [Buffer.from(message.value.bytes).toString()] : [],
      )
      .join('')
  await until('the bytes behind the 101', () => data() === 'first')
  expect(agent.sent.find(({type}) => type === 'HttpResponseFramed')).toMatchObject({
    value: {internalResponse: {status: 101}},
  })
  agent.proxy.receive({type: 'Data', value: {connectionId: 7, bytes: Buffer.from(' echoed')}})
  await until('the echo', () => data() === 'first echoed')
  agent.proxy.receive({type: 'Data', value: {connectionId: 7, bytes: new Uint8Array(0)}})
  await until('the end of the echo', () =>
    agent.sent.some((message) => message.type === 'Data' && message.value.bytes.length === 0),
  )
})

it('a program that refuses the connection is a 502 that says which side failed', async () => {
  const agent = await stage(() => {})
  agent.server.close()
  await once(agent.server, 'close')
  agent.start({})
  await until('the answer', () => legacy(agent.sent).length === 1)
  expect(legacy(agent.sent)[0]).toMatchObject({status: 502})
  expect(Buffer.from(legacy(agent.sent)[0]!.body).toString()).toContain(
    'the local program does not take the connection',
  )
})

it('a program that dies in the middle of its response ends it with an error, not with a complete body', async () => {
  const agent = await stage((request, response) => {
    response.setHeader('content-length', 100)
    response.write('part')
    setImmediate(() => request.socket.destroy())
  })
  agent.start({})
  await until('the error', () => agent.chunks().some(({type}) => type === 'Error'))
  expect(agent.chunks().some((chunk) => chunk.type === 'Body' && chunk.value.isLast)).toBe(false)
})

it('an HTTP/2 request is answered with 502 and the reason', async () => {
  const agent = await stage(() => {})
  agent.start({version: 'HTTP/2.0', uri: 'http://echo/a', headers: []})
  expect(legacy(agent.sent)[0]).toMatchObject({status: 502, version: 'HTTP/2.0'})
})

it('the original client goes away: the local request is cancelled', async () => {
  let closed = false
  const agent = await stage((request) => void request.socket.on('close', () => (closed = true)))
  agent.start({})
  await until('the request', () => agent.peers.length === 1)
  await until(
    'its connection',
    () => new Promise<boolean>((resolve) => agent.server.getConnections((_, count) => resolve(count === 1))),
  )
  agent.proxy.receive({type: 'Close', value: {connectionId: 7}})
  await until('the cancelled request', () => closed)
})

describe('the report is told', () => {
  const asked = 'GET /a?b=1 of 80'
  /** The exchange is over for the agent. */
  const close = (agent: Awaited<ReturnType<typeof stage>>) =>
    agent.proxy.receive({type: 'Close', value: {connectionId: 7}})

  it('of a request with its answer, once', async () => {
    const agent = await stage((_, response) => response.writeHead(201).end('made'))
    agent.start({method: 'POST', uri: 'http://echo/a?b=1', version: 'HTTP/1.1'})
    await agent.responded()
    close(agent)
    await agent.proxy.end()
    expect(agent.told).toEqual(['connection of 80', 'POST http://echo/a?b=1 of 80: 201'])
  })

  it('of an upgrade when it is made', async () => {
    const agent = await stage(() => {})
    agent.start({
      uri: '/a?b=1',
      headers: [
        ['connection', 'upgrade'],
        ['upgrade', 'echo'],
      ],
    })
    await until('the request', () => agent.told.length === 2)
    close(agent)
    await agent.proxy.end()
    expect(agent.told).toEqual(['connection of 80', `${asked}: 101`])
  })

  it('of a request that the program breaks off, with the status that it had given', async () => {
    const agent = await stage((request, response) => {
      response.writeHead(200, {'content-length': 100}).write('part')
      setImmediate(() => request.socket.destroy())
    })
    agent.start({uri: '/a?b=1'})
    await until('the error', () => agent.chunks().some(({type}) => type === 'Error'))
    expect(agent.told).toEqual(['connection of 80', `${asked}: 200`])
  })

  it('of a request whose program dies, not of the 502 that we answer for it', async () => {
    const agent = await stage((request) => request.socket.destroy())
    agent.start({uri: '/a?b=1'})
    await until('our answer', () => legacy(agent.sent).length === 1)
    close(agent)
    expect(legacy(agent.sent)[0]).toMatchObject({status: 502})
    expect(agent.told).toEqual(['connection of 80', `${asked}: none`])
  })

  it('of a request whose program nothing reaches', async () => {
    const agent = await stage(() => {})
    agent.server.close()
    agent.start({uri: '/a?b=1'})
    await until('our answer', () => legacy(agent.sent).length === 1)
    expect(agent.told).toEqual([`${asked}: none`])
  })

  it('of a request whose caller goes away', async () => {
    const agent = await stage(() => {})
    agent.start({uri: '/a?b=1'})
    await until('the connection', () => agent.told.length === 1)
    close(agent)
    expect(agent.told).toEqual(['connection of 80', `${asked}: none`])
  })

  it.each([
    ['that waits for its answer when the program ends', undefined, 'none'],
    ['that the program answers as the last thing that it does', 200, '200'],
  ] as const)('of a request %s', async (_, status, expected) => {
    const {promise, resolve} = Promise.withResolvers<http.ServerResponse>()
    const agent = await stage((_, response) => resolve(response))
    agent.start({uri: '/a?b=1'})
    const response = await promise
    const {socket} = response
    if (status) response.writeHead(status, {connection: 'close'}).end()
    else socket!.end()
    if (!socket!.writableFinished) await once(socket!, 'finish')
    await agent.proxy.end()
    expect(agent.told).toEqual(['connection of 80', `${asked}: ${expected}`])
    close(agent)
    expect(agent.told).toHaveLength(2)
  })
})
