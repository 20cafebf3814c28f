import {setImmediate as turn} from 'node:timers/promises'
import {describe, expect, it} from 'vitest'
import {
  agentConnection,
  ClientSession,
  type AgentConnection,
  type ClientMessage,
  type ClientSessionOptions,
  type DaemonConnect,
  type DaemonMessage,
  type FileResponse,
  type SocketAddress,
} from '../../../src/protocol/index.ts'
import {channels, Inbox, loopback, type Loopback} from './loopback.ts'

/** A session against an agent that the test plays by hand. */
interface Stage extends AsyncDisposable {
  session: ClientSession
  agent: AgentConnection
  /** What the client has sent after the handshake. */
  received: Inbox<ClientMessage>
  ends: Loopback
}

async function stage(options: ClientSessionOptions = {}, agentVersion = '1.29.0'): Promise<Stage> {
  const ends = await loopback()
  const {client, server} = channels(ends)
  const agent = agentConnection(server)
  const received = new Inbox<ClientMessage>()
  agent.onMessage = received.put
  const opening = ClientSession.open(client, {logs: false, ...options})
  expect(await received.next()).toEqual({type: 'SwitchProtocolVersion', value: options.version ?? '1.29.0'})
  agent.send({type: 'SwitchProtocolVersionResponse', value: agentVersion})
  const session = await opening
  return {session, agent, received, ends, [Symbol.asyncDispose]: () => ends[Symbol.asyncDispose]()}
}

const tcp = (port: number): SocketAddress => ({type: 'Ip', value: {ip: '10.0.0.1', port}})
const connected = (connectionId: number): DaemonConnect => ({
  connectionId,
  remoteAddress: tcp(80),
  localAddress: tcp(40_000),
})

describe('the handshake', () => {
  it('agrees on the version of the agent and asks for logs', async () => {
    await using s = await stage({logs: true}, '1.19.4')
    expect(s.session.version).toBe('1.19.4')
    expect(await s.received.next()).toEqual({type: 'ReadyForLogs'})
    expect(s.session.supports('modeAgnosticHttp')).toBe(true)
    expect(s.session.supports('outgoingConnectV2')).toBe(false)
  })

  it('does not ask an agent for logs that does not know how', async () => {
    await using s = await stage({logs: true}, '1.3.0')
    void s.session.getEnv().catch(() => undefined)
    expect((await s.received.next()).type).toBe('GetEnvVarsRequest')
  })

  it('tolerates log messages and operator pings before the response', async () => {
    await using ends = await loopback()
    const {client, server} = channels(ends)
    const agent = agentConnection(server)
    const received = new Inbox<ClientMessage>()
    agent.onMessage = received.put
    const logs: string[] = []
    const opening = ClientSession.open(client, {logs: false, handlers: {log: ({message}) => logs.push(message)}})
    await received.next()
    agent.send({type: 'LogMessage', value: {message: 'hello', level: {type: 'Warn'}}})
    agent.send({type: 'OperatorPing', value: 7n})
    expect(await received.next()).toEqual({type: 'OperatorPong', value: 7n})
    agent.send({type: 'SwitchProtocolVersionResponse', value: '1.29.0'})
    await opening
    expect(logs).toEqual(['hello'])
  })

  it.each<[string, DaemonMessage, string]>([
    ['the agent refuses', {type: 'Close', value: 'dirty iptables'}, 'REFUSED'],
    ['the agent sends traffic first', {type: 'TcpOutgoing', value: {type: 'Close', value: 1}}, 'VIOLATION'],
    ['the agent sends an unasked reply', {type: 'Pong'}, 'VIOLATION'],
  ])('fails when %s', async (_case, message, code) => {
    await using ends = await loopback()
    const {client, server} = channels(ends)
    agentConnection(server).send(message)
    await expect(ClientSession.open(client)).rejects.toMatchObject({code})
  })

  it('fails when the agent does not answer in time, or leaves', async () => {
    await using silent = await loopback()
    const session = ClientSession.open(channels(silent).client, {handshakeTimeoutMs: 20})
    await expect(session).rejects.toMatchObject({code: 'HANDSHAKE_TIMEOUT'})
    await using leaving = await loopback()
    const abandoned = ClientSession.open(channels(leaving).client)
    leaving.server.end()
    await expect(abandoned).rejects.toMatchObject({code: 'END_OF_STREAM'})
  })
})

describe('requests', () => {
  it('get their replies in the order of sending, each kind by itself', async () => {
    await using s = await stage()
    const env = [s.session.getEnv({select: ['*']}), s.session.getEnv({filter: ['A']})]
    const dns = [s.session.resolve('a'), s.session.resolve('b', {family: 'Ipv4Only', socktype: 'Stream'})]
    expect(await s.received.next()).toEqual({
      type: 'GetEnvVarsRequest',
      value: {envVarsFilter: new Set(), envVarsSelect: new Set(['*'])},
    })
    await s.received.next()
    expect(await s.received.next()).toMatchObject({type: 'GetAddrInfoRequestV2', value: {node: 'a'}})
    for (const name of ['a', 'b']) {
      s.agent.send({type: 'GetAddrInfoResponse', value: {type: 'Ok', value: [{name, ip: '10.0.0.1'}]}})
    }
    s.agent.send({type: 'GetEnvVarsResponse', value: {type: 'Ok', value: new Map([['A', '1']])}})
    s.agent.send({type: 'GetEnvVarsResponse', value: {type: 'Err', value: {type: 'NotImplemented'}}})
    expect(await Promise.all(env)).toEqual([
      {type: 'Ok', value: new Map([['A', '1']])},
      {type: 'Err', value: {type: 'NotImplemented'}},
    ])
    expect(await Promise.all(dns)).toEqual(['a', 'b'].map((name) => ({type: 'Ok', value: [{name, ip: '10.0.0.1'}]})))
  })

  it('carry the type of the file response that belongs to them', async () => {
    await using s = await stage()
    const openOptions = {read: true, write: false, append: false, truncate: false, create: false, createNew: false}
    const open = s.session.fileRequest({type: 'Open', value: {path: '/a', openOptions}})
    const read = s.session.fileRequest({type: 'ReadLimited', value: {remoteFd: 0, bufferSize: 10, startFrom: 0}})
    const stat = s.session.fileRequest({type: 'Xstat', value: {path: '/b', followSymlink: true}})
    const replies: FileResponse[] = [
      {type: 'Open', value: {type: 'Ok', value: {fd: 3}}},
      {type: 'ReadLimited', value: {type: 'Ok', value: {bytes: new Uint8Array([1]), readAmount: 1}}},
      {
        type: 'Xstat',
        value: {type: 'Err', value: {type: 'RemoteIO', value: {rawOsError: 2, kind: {type: 'NotFound'}}}},
      },
    ]
    for (const value of replies) s.agent.send({type: 'File', value})
    const opened = await open
    expect(opened.type === 'Ok' && opened.value.fd).toBe(3)
    const bytes = await read
    expect(bytes.type === 'Ok' && bytes.value.bytes).toEqual(new Uint8Array([1]))
    expect((await stat).type).toBe('Err')
  })

  it('match connects by uid, in any order and kind', async () => {
    await using s = await stage()
    const first = s.session.connectTcp(tcp(1))
    const second = s.session.connectTcp(tcp(2))
    const udp = s.session.connectUdp(tcp(3))
    const uids: bigint[] = []
    for (let i = 0; i < 3; i++) {
      const message = await s.received.next()
      if (message.type !== 'TcpOutgoing' && message.type !== 'UdpOutgoing') throw new Error(message.type)
      if (message.value.type !== 'ConnectV2') throw new Error(message.value.type)
      uids.push(message.value.value.uid)
    }
    const reply = (type: 'TcpOutgoing' | 'UdpOutgoing', uid: bigint, id: number) =>
      s.agent.send({type, value: {type: 'ConnectV2', value: {uid, connect: {type: 'Ok', value: connected(id)}}}})
    reply('UdpOutgoing', uids[2]!, 30)
    reply('TcpOutgoing', uids[1]!, 20)
    reply('TcpOutgoing', uids[0]!, 10)
    const ids = (await Promise.all([first, second, udp])).map(
      (result) => result.type === 'Ok' && result.value.connectionId,
    )
    expect(ids).toEqual([10, 20, 30])
  })

  it('let the owner register a connection before its first bytes are delivered', async () => {
    const known = new Set<unknown>()
    const orphans: unknown[] = []
    const reads = new Inbox<string>()
    await using s = await stage(
      {
        handlers: {
          outgoingRead: (kind, id, bytes) => {
            if (!known.has(id)) orphans.push(id)
            reads.put(`${kind} ${id} ${Buffer.from(bytes).toString()}`)
          },
          outgoingClosed: (kind, id) => reads.put(`${kind} ${id} closed`),
        },
      },
      '1.21.0',
    )
    void s.session.connectTcp(tcp(1), ({connectionId}) => known.add(connectionId))
    expect(await s.received.next()).toEqual({
      type: 'TcpOutgoing',
      value: {type: 'Connect', value: {remoteAddress: tcp(1)}},
    })
    s.agent.send({type: 'TcpOutgoing', value: {type: 'Connect', value: {type: 'Ok', value: connected(5)}}})
    const bytes = Buffer.from('hi')
    s.agent.send({type: 'TcpOutgoing', value: {type: 'Read', value: {type: 'Ok', value: {connectionId: 5, bytes}}}})
    s.agent.send({type: 'TcpOutgoing', value: {type: 'Close', value: 5}})
    expect([await reads.next(), await reads.next()]).toEqual(['TcpOutgoing 5 hi', 'TcpOutgoing 5 closed'])
    expect(orphans).toEqual([])
  })

  it('subscribe per mode, and hand over the traffic that follows', async () => {
    const traffic = new Inbox<string>()
    await using s = await stage({
      handlers: {
        steal: (message) => traffic.put(`steal ${message.type}`),
        mirror: (message) => traffic.put(`mirror ${message.type}`),
      },
    })
    const steal = s.session.subscribeSteal(80, {type: 'Header', value: 'x: y'})
    const mirror = s.session.subscribeMirror(81)
    expect(await s.received.next()).toEqual({
      type: 'TcpSteal',
      value: {
        type: 'PortSubscribe',
        value: {type: 'FilteredHttpEx', value: {port: 80, filter: {type: 'Header', value: 'x: y'}}},
      },
    })
    s.agent.send({type: 'Tcp', value: {type: 'SubscribeResult', value: {type: 'Ok', value: 81}}})
    s.agent.send({type: 'Tcp', value: {type: 'Close', value: {connectionId: 0}}})
    s.agent.send({type: 'TcpSteal', value: {type: 'SubscribeResult', value: {type: 'Ok', value: 80}}})
    s.agent.send({type: 'TcpSteal', value: {type: 'Data', value: {connectionId: 0, bytes: new Uint8Array(2)}}})
    expect(await Promise.all([steal, mirror])).toEqual([
      {type: 'Ok', value: 80},
      {type: 'Ok', value: 81},
    ])
    expect([await traffic.next(), await traffic.next()]).toEqual(['mirror Close', 'steal Data'])
    await s.received.next()
    s.session.unsubscribe('steal', 80)
    expect(await s.received.next()).toEqual({type: 'TcpSteal', value: {type: 'PortUnsubscribe', value: 80}})
  })

  it('are refused here when the version of the agent lacks them', async () => {
    await using s = await stage({}, '1.14.0')
    const {session} = s
    await expect(session.fileRequest({type: 'Rename', value: {oldPath: '/a', newPath: '/b'}})).rejects.toMatchObject({
      name: 'UnsupportedRequestError',
      gate: 'rename',
      version: '1.14.0',
    })
    await expect(session.subscribeMirror(80, {type: 'Path', value: '/'})).rejects.toMatchObject({
      gate: 'mirrorHttpFilter',
    })
    const filter = {type: 'Composite', value: {all: true, filters: [{type: 'HeaderJq', value: '.'}]}} as const
    await expect(session.subscribeSteal(80, filter)).rejects.toMatchObject({gate: 'httpHeaderJqFilter'})
    await expect(session.connectSeqpacket({type: 'Unix', value: {type: 'Unnamed'}})).rejects.toMatchObject({
      gate: 'seqpacket',
    })
    void session.resolve('a').catch(() => undefined)
    expect(await s.received.next()).toEqual({type: 'GetAddrInfoRequest', value: {node: 'a'}})
  })

  it('reject when the session ends before the reply', async () => {
    const ended = new Inbox<string>()
    await using s = await stage({handlers: {end: (reason) => ended.put(reason.code)}})
    const waiting = [
      s.session.getEnv(),
      s.session.resolve('a'),
      s.session.fileRequest({type: 'Unlink', value: {pathname: '/a'}}),
      s.session.connectTcp(tcp(1)),
      s.session.subscribeSteal(80),
      s.session.subscribeMirror(80),
    ]
    s.agent.send({type: 'Close', value: 'the target is gone'})
    for (const outcome of await Promise.allSettled(waiting)) {
      expect(outcome).toMatchObject({status: 'rejected', reason: {code: 'REFUSED', message: 'the target is gone'}})
    }
    expect(await ended.next()).toBe('REFUSED')
    await expect(s.session.getEnv()).rejects.toMatchObject({code: 'REFUSED'})
    await turn()
    expect(ended.size).toBe(0)
  })
})

describe('a message that the conversation does not allow ends the session', () => {
  const err = {type: 'Err', value: {type: 'NotImplemented'}} as const
  it.each<[string, DaemonMessage]>([
    ['an unasked Pong', {type: 'Pong'}],
    ['a second version response', {type: 'SwitchProtocolVersionResponse', value: '1.29.0'}],
    ['an unasked environment', {type: 'GetEnvVarsResponse', value: err}],
    ['an unasked lookup', {type: 'GetAddrInfoResponse', value: err}],
    ['an unasked file response', {type: 'File', value: {type: 'Access', value: {type: 'Ok'}}}],
    ['an unasked subscription result', {type: 'Tcp', value: {type: 'SubscribeResult', value: err}}],
    ['an unasked connect', {type: 'UdpOutgoing', value: {type: 'Connect', value: err}}],
    ['an unknown uid', {type: 'TcpOutgoing', value: {type: 'ConnectV2', value: {uid: 1n, connect: err}}}],
    ['a failed read', {type: 'SeqpacketOutgoing', value: {type: 'Read', value: err}}],
    ['a reverse lookup', {type: 'ReverseDnsLookup', value: err}],
    ['a VPN packet', {type: 'Vpn', value: {type: 'Packet', value: new Uint8Array()}}],
  ])('%s', async (_case, message) => {
    await using s = await stage()
    s.agent.send(message)
    expect((await s.session.connection.closed).code).toBe('VIOLATION')
  })

  it('a file response of the wrong kind, and a result for another port', async () => {
    await using files = await stage()
    const unlink = files.session.fileRequest({type: 'Unlink', value: {pathname: '/a'}})
    files.agent.send({type: 'File', value: {type: 'RemoveDir', value: {type: 'Ok'}}})
    await expect(unlink).rejects.toMatchObject({code: 'VIOLATION'})
    await using ports = await stage()
    const subscribe = ports.session.subscribeSteal(80)
    ports.agent.send({type: 'TcpSteal', value: {type: 'SubscribeResult', value: {type: 'Ok', value: 81}}})
    await expect(subscribe).rejects.toMatchObject({code: 'VIOLATION'})
  })
})

describe('liveness', () => {
  it('pings, and goes on as long as pongs come', async () => {
    await using s = await stage({pingIntervalMs: 5})
    for (let i = 0; i < 5; i++) {
      expect(await s.received.next()).toEqual({type: 'Ping'})
      s.agent.send({type: 'Pong'})
    }
    s.session.close()
    expect((await s.session.connection.closed).code).toBe('CLOSED')
  })

  it('ends the session when the agent has gone silent', async () => {
    await using s = await stage({pingIntervalMs: 10})
    const waiting = s.session.getEnv()
    await expect(waiting).rejects.toMatchObject({code: 'PING_TIMEOUT'})
  })

  it('does not blame the agent while this side does not read', async () => {
    await using s = await stage({pingIntervalMs: 5})
    s.session.connection.pause()
    for (let i = 0; i < 4; i++) {
      expect((await s.received.next()).type).toBe('Ping')
      s.agent.send({type: 'Pong'})
    }
    s.session.connection.resume()
    expect((await s.received.next()).type).toBe('Ping')
  })

  it('counts any message as a sign of life', async () => {
    await using s = await stage({pingIntervalMs: 20})
    for (let i = 0; i < 3; i++) {
      await s.received.next()
      s.agent.send({type: 'LogMessage', value: {message: 'busy', level: {type: 'Info'}}})
    }
    expect((await s.received.next()).type).toBe('Ping')
  })
})
