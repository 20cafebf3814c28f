import {once} from 'node:events'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import net from 'node:net'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from 'vitest'
import {Client} from '../../../src/agent/client.ts'
import {RootedFiles} from '../../../src/agent/files/rooted.ts'
import {ownNumber, plainNumber} from '../../../src/proxy/agent-numbers.ts'
import {AgentSwitch, type Owned} from '../../../src/proxy/agent-switch.ts'
import {
  agentConnection,
  ClientSession,
  ConnectionError,
  type DaemonConnect,
  type IncomingTraffic,
  type Int64,
} from '../../../src/protocol/index.ts'
import {channels, loopback, type Loopback} from '../protocol/loopback.ts'
import {Cleanup, until} from './sockets.ts'

const cleanup = new Cleanup()

describe('numbers of several agents', () => {
  it.each<[number, Int64]>([
    [0, 0],
    [0, 77],
    [3, 0],
    [131_071, 2 ** 36 - 1],
    [0, 2 ** 40],
    [2, 2n ** 64n - 1n],
  ])('of agent %i, %s comes back', (index, plain) => {
    expect(plainNumber(ownNumber(index, plain))).toEqual({index, plain})
  })

  it('are those of the first agent itself, and meet nowhere', () => {
    expect(ownNumber(0, 5)).toBe(5)
    const all = [0, 1, 2].flatMap((index) => [0, 1, 2 ** 36 - 1, 2 ** 36, 2n ** 63n].map((id) => ownNumber(index, id)))
    expect(new Set(all).size).toBe(all.length)
  })
})

describe('the agents of a session', () => {
  let base: string
  const pairs: Loopback[] = []

  beforeEach(() => {
    base = mkdtempSync(path.join(tmpdir(), 'mrd-switch-'))
  })
  afterEach(() => {
    cleanup.run()
    for (const pair of pairs.splice(0)) {
      pair.client.destroy()
      pair.server.destroy()
    }
    rmSync(base, {recursive: true, force: true})
  })

  /** Our agent, over a real connection, on a target whose /name holds the agent's. */
  async function agent(name: string) {
    const root = mkdtempSync(path.join(base, 'root-'))
    writeFileSync(path.join(root, 'name'), name)
    const pair = await loopback()
    pairs.push(pair)
    const ends = channels(pair)
    const context = {
      environment: new Map<string, string>(),
      files: cleanup.add(new RootedFiles(root), (it) => void it.close()),
      redirecting: undefined,
      dns: {timeout: undefined, attempts: undefined},
    }
    new Client(agentConnection(ends.server), context, () => {})
    const session = await ClientSession.open(ends.client, {logs: false})
    return {session, cut: () => pair.server.destroy()}
  }

  /** A server that echoes, with the number of connections that it has had. */
  async function echo() {
    const seen = {connections: 0}
    const server = net.createServer((socket) => {
      seen.connections++
      cleanup.socket(socket).pipe(socket)
    })
    cleanup.add(server, (it) => it.close())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const {port} = server.address() as net.AddressInfo
    return {seen, address: {type: 'Ip' as const, value: {ip: '127.0.0.1', port}}}
  }

  /** A switch whose agents' words are kept by the switch's own connection ids. */
  function open(first: ClientSession) {
    const got = new Map<Int64, string>()
    const stolen: IncomingTraffic[] = []
    const lost: Owned[] = []
    const agents: AgentSwitch = new AgentSwitch(first, {
      steal: (message) => void stolen.push(message),
      outgoingRead: (_, id, bytes) => void got.set(id, (got.get(id) ?? '') + Buffer.from(bytes).toString()),
      outgoingClosed: () => {},
      drained: () => {},
      lost: (owned) => void lost.push(owned),
    })
    first.handlers.end = () => agents.detach(first)
    const connect = async (to: Awaited<ReturnType<typeof echo>>['address']): Promise<Int64> => {
      let accepted: DaemonConnect | undefined
      const reply = await agents.connectTcp(to, (connection) => (accepted = connection))
      if (reply.type === 'Err') throw new Error(reply.value.type)
      expect(accepted!.connectionId).toBe(reply.value.connectionId)
      return reply.value.connectionId
    }
    const write = (connectionId: Int64, text: string) =>
      agents.send({type: 'TcpOutgoing', value: {type: 'Write', value: {connectionId, bytes: Buffer.from(text)}}})
    return {agents, got, stolen, lost, connect, write}
  }
  const read = async (agents: AgentSwitch, fd: Int64) => {
    const reply = await agents.fileRequest({type: 'Read', value: {remoteFd: fd, bufferSize: 100}})
    return reply.type === 'Ok' ? Buffer.from(reply.value.bytes).toString() : reply.value.type
  }
  const openName = async (agents: AgentSwitch) => {
    const openOptions = {read: true, write: false, append: false, truncate: false, create: false, createNew: false}
    const reply = await agents.fileRequest({type: 'Open', value: {path: '/name', openOptions}})
    if (reply.type === 'Err') throw new Error(reply.value.type)
    return reply.value.fd
  }

  it('[LIF-24] keep what they began while the next one gets what is new', async () => {
    const {address} = await echo()
    const [one, two] = [await agent('one'), await agent('two')]
    const {agents, got, connect, write, lost} = open(one.session)
    const a = await connect(address)
    const fdOne = await openName(agents)
    agents.attach(two.session)
    const b = await connect(address)
    const fdTwo = await openName(agents)
    // Each numbers for itself: what they call the same is told apart here.
    expect(a).not.toBe(b)
    expect(fdOne).not.toBe(fdTwo)
    write(a, 'to one')
    write(b, 'to two')
    await until('both echoes', () => got.get(a) === 'to one' && got.get(b) === 'to two')
    expect(await read(agents, fdTwo)).toBe('two')
    expect(await read(agents, fdOne)).toBe('one')
    one.cut()
    await until('the loss of the first', () => lost.length > 0)
    expect([lost[0]!(a), lost[0]!(b)]).toEqual([true, false])
    expect(write(a, 'nobody')).toBe(true)
    write(b, '!')
    await until('the second goes on', () => got.get(b) === 'to two!')
    await expect(read(agents, fdOne)).rejects.toThrow('The agent that had the file open is gone.')
    expect(agents.closeFile({type: 'Close', value: {fd: fdOne}})).toBe(true)
  })

  it('[LIF-24] let what is new wait after a loss, and ask again what had no answer', async () => {
    const {address, seen} = await echo()
    const [one, two] = [await agent('one'), await agent('two')]
    const {agents, connect} = open(one.session)
    const asked = connect(address)
    const stat = agents.fileRequest({type: 'Xstat', value: {path: '/name', fd: undefined, followSymlink: true}})
    one.session.destroy()
    expect(agents.current).toBeUndefined()
    const later = connect(address)
    agents.attach(two.session)
    expect(await asked).not.toBe(await later)
    expect((await stat).type).toBe('Ok')
    await until('both connections', () => seen.connections >= 2)
  })

  it('reject what waits when there will be no other agent', async () => {
    const {address} = await echo()
    const one = await agent('one')
    const {agents, connect} = open(one.session)
    one.session.destroy()
    const waiting = connect(address)
    const reason = new ConnectionError('PING_TIMEOUT', 'gone for good')
    agents.end(reason)
    await expect(waiting).rejects.toBe(reason)
    await expect(connect(address)).rejects.toBe(reason)
    await expect(openName(agents)).rejects.toBe(reason)
  })

  it('do not repeat what changes something', async () => {
    const [one, two] = [await agent('one'), await agent('two')]
    const {agents} = open(one.session)
    const unlink = agents.fileRequest({type: 'Unlink', value: {pathname: '/name'}})
    one.session.destroy()
    agents.attach(two.session)
    await expect(unlink).rejects.toThrow(ConnectionError)
    expect(await read(agents, await openName(agents))).toBe('two')
  })

  it('all stop reading when the program does not take its data, later ones too', async () => {
    const [one, two] = [await agent('one'), await agent('two')]
    const {agents} = open(one.session)
    agents.pause()
    agents.attach(two.session)
    expect([one.session.connection.paused, two.session.connection.paused]).toEqual([true, true])
    agents.resume()
    expect([one.session.connection.paused, two.session.connection.paused]).toEqual([false, false])
  })

  it.each<[string, (connectionId: number) => IncomingTraffic]>([
    ['Data', (connectionId) => ({type: 'Data', value: {connectionId, bytes: Buffer.from('x')}})],
    ['Close', (connectionId) => ({type: 'Close', value: {connectionId}})],
    [
      'a connection',
      (connectionId) => ({
        type: 'NewConnectionV2',
        value: {
          connection: {
            connectionId,
            remoteAddress: '10.0.0.1',
            sourcePort: 1,
            destinationPort: 80,
            localAddress: '10.0.0.2',
          },
          transport: {type: 'Tcp', value: undefined},
        },
      }),
    ],
    [
      'a body',
      (connectionId) => ({
        type: 'HttpRequestChunked',
        value: {type: 'Body', value: {frames: [], isLast: true, connectionId, requestId: 0}},
      }),
    ],
  ])('tell stolen traffic apart: %s', async (_, message) => {
    const [one, two] = [await agent('one'), await agent('two')]
    const {agents, stolen} = open(one.session)
    agents.attach(two.session)
    one.session.handlers.steal!(message(4))
    two.session.handlers.steal!(message(4))
    const ids = stolen.map((given) => JSON.stringify(given).match(/"connectionId":(\d+)/)![1])
    expect(ids).toEqual(['4', String(ownNumber(1, 4))])
  })
})
