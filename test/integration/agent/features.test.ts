import {createHash} from 'node:crypto'
import {afterAll, beforeAll, describe, expect, it} from 'vitest'
import type {DaemonMessage, FileRequest, SocketAddress} from '../../../src/protocol/index.ts'
import {buildAgent, isRoot, Lab, type Agent} from './lab.ts'
import {Peer} from './peer.ts'

describe.skipIf(!isRoot)('environment, names, files and outgoing connections (needs root)', () => {
  let lab: Lab
  let agent: Agent
  let peer: Peer

  beforeAll(async () => {
    await buildAgent()
    lab = await Lab.create()
    agent = await lab.agent()
    peer = await Peer.connect(agent.port)
  })
  afterAll(async () => {
    peer?.close()
    if (agent) expect(await agent.exited).toBe(0)
    await lab?.destroy()
  })

  const ip = (address: string, port: number): SocketAddress => ({type: 'Ip', value: {ip: address, port}})
  let uid = 0n
  const connect = async (kind: 'TcpOutgoing' | 'UdpOutgoing', remoteAddress: SocketAddress) => {
    const mine = ++uid
    peer.send({type: kind, value: {type: 'ConnectV2', value: {uid: mine, remoteAddress}}})
    return peer.take(
      (message) =>
        message.type === kind && message.value.type === 'ConnectV2' && message.value.value.uid === mine
          ? message.value.value.connect
          : undefined,
      'ConnectV2',
    )
  }
  const opened = async (kind: 'TcpOutgoing' | 'UdpOutgoing', address: SocketAddress) => {
    const result = await connect(kind, address)
    if (result.type === 'Err') throw new Error(JSON.stringify(result))
    return result.value
  }
  const write = (kind: 'TcpOutgoing' | 'UdpOutgoing', connectionId: number | bigint, bytes: Uint8Array) =>
    peer.send({type: kind, value: {type: 'Write', value: {connectionId, bytes}}})
  const read = (kind: 'TcpOutgoing' | 'UdpOutgoing', id: number | bigint) =>
    peer.take((message) => readOf(message, kind, id), `Read of ${id}`)

  it('negotiates the version', async () => {
    for (const [announced, expected] of [
      ['1.19.4', '1.19.4'],
      ['9.0.0', '1.29.0'],
    ] as const) {
      peer.send({type: 'SwitchProtocolVersion', value: announced})
      expect((await peer.next('SwitchProtocolVersionResponse')).value).toBe(expected)
    }
  })

  it('answers dead features with Close and ignores what needs no answer', async () => {
    peer.send({type: 'PauseTargetRequest', value: true})
    expect((await peer.next('Close')).value).toMatch(/Pause/)
    peer.send({type: 'Vpn', value: {type: 'OpenSocket'}})
    expect((await peer.next('Close')).value).toMatch(/VPN/)
    peer.send({type: 'OperatorPong', value: 1n})
    peer.send({type: 'ShareLink', value: {type: 'RegisterKey', value: 'k'}})
    peer.send({type: 'Ping'})
    await peer.next('Pong')
    expect(peer.received).toEqual([])
  })

  it("shows the target's environment", async () => {
    peer.send({type: 'GetEnvVarsRequest', value: {envVarsFilter: new Set(['SECRET_*']), envVarsSelect: new Set(['*'])}})
    const {value} = await peer.next('GetEnvVarsResponse')
    if (value.type !== 'Ok') throw new Error('refused')
    expect(value.value.get('DATABASE_URL')).toBe('postgres://db?a=b')
    for (const name of ['SECRET_TOKEN', 'HOME', 'PATH']) expect(value.value.has(name)).toBe(false)
  })

  describe('names', () => {
    const resolve = async (node: string, family: 'Ipv4Only' | 'Ipv6Only' | 'Both' | 'Any' = 'Both') => {
      const common = {servicePort: 0, socktype: {type: 'Any'}, flags: 0, protocol: 0} as const
      peer.send({type: 'GetAddrInfoRequestV2', value: {node, family: {type: family}, ...common}})
      return (await peer.next('GetAddrInfoResponse')).value
    }

    it("uses the target's search list, hosts file and literals", async () => {
      expect(await resolve('redis')).toMatchObject({value: [{ip: '10.201.255.7'}]})
      expect(await resolve('redis.default.svc.cluster.local.', 'Any')).toMatchObject({value: [{ip: '10.201.255.7'}]})
      expect(await resolve('example.test', 'Ipv4Only')).toMatchObject({value: [{ip: '10.201.255.8'}]})
      expect(await resolve('pinned')).toMatchObject({value: [{ip: '10.201.255.9'}]})
      expect(await resolve('::1')).toMatchObject({value: [{ip: '::1'}]})
    })

    it('tells no such name from no such record', async () => {
      const kind = (code: number) => ({
        type: 'Err',
        value: {type: 'DnsLookup', value: {kind: {type: 'NoRecordsFound', value: code}}},
      })
      expect(await resolve('missing.test')).toEqual(kind(3))
      expect(await resolve('redis', 'Ipv6Only')).toEqual(kind(0))
    })

    it('answers in the order of the requests', async () => {
      for (const node of ['redis', '1.2.3.4']) peer.send({type: 'GetAddrInfoRequest', value: {node}})
      expect((await peer.next('GetAddrInfoResponse')).value).toMatchObject({value: [{ip: '10.201.255.7'}]})
      expect((await peer.next('GetAddrInfoResponse')).value).toMatchObject({value: [{ip: '1.2.3.4'}]})
    })

    it('answers reverse lookups', async () => {
      peer.send({type: 'ReverseDnsLookup', value: {ipAddress: '10.201.255.9'}})
      expect((await peer.next('ReverseDnsLookup')).value).toEqual({
        type: 'Ok',
        value: {hostname: {type: 'Ok', value: 'pinned.test'}},
      })
      peer.send({type: 'ReverseDnsLookup', value: {ipAddress: '10.201.255.250'}})
      expect((await peer.next('ReverseDnsLookup')).value).toMatchObject({value: {hostname: {type: 'Err'}}})
    })
  })

  describe('outgoing', () => {
    it('connects from the pod and carries data, half close and large transfers', async () => {
      const {connectionId, localAddress, remoteAddress} = await opened('TcpOutgoing', ip('127.0.0.1', 7000))
      expect(remoteAddress).toEqual(ip('127.0.0.1', 7000))
      expect(localAddress).toMatchObject({type: 'Ip', value: {ip: '127.0.0.1'}})
      const sent = Buffer.alloc(8 * 1024 * 1024, 'abcdefg')
      const hash = createHash('sha256')
      for (let at = 0; at < sent.length; at += 65_536) {
        write('TcpOutgoing', connectionId, sent.subarray(at, at + 65_536))
        await peer.connection.drained()
      }
      for (let size = 0; size < sent.length;) {
        const bytes = await read('TcpOutgoing', connectionId)
        hash.update(bytes)
        size += bytes.length
      }
      expect(hash.digest('hex')).toBe(createHash('sha256').update(sent).digest('hex'))
      write('TcpOutgoing', connectionId, new Uint8Array())
      const closed = (m: DaemonMessage) =>
        m.type === 'TcpOutgoing' && m.value.type === 'Close' ? m.value.value : undefined
      expect(await peer.take(closed, 'Close')).toBe(connectionId)
    })

    it('reports the real errors', async () => {
      const error = (rawOsError: number, type: string) => ({
        type: 'Err',
        value: {type: 'RemoteIO', value: {rawOsError, kind: {type}}},
      })
      expect(await connect('TcpOutgoing', ip('127.0.0.1', 1))).toEqual(error(111, 'ConnectionRefused'))
      expect(await connect('TcpOutgoing', ip('::ffff:0:0', 1))).toMatchObject({type: 'Err'})
      expect(await connect('TcpOutgoing', {type: 'Unix', value: {type: 'Pathname', value: '/nowhere'}})).toEqual(
        error(2, 'NotFound'),
      )
      expect(await connect('TcpOutgoing', {type: 'Unix', value: {type: 'Unnamed'}})).toEqual({
        type: 'Err',
        value: {type: 'RemoteIO', value: {kind: {type: 'Other'}}},
      })
    })

    it('times out after five seconds', async () => {
      // Packets into a black hole: no answer at all.
      await lab.inside(['ip', 'route', 'add', '10.201.255.200/32', 'via', lab.outsideIp])
      await lab.inside(['/usr/sbin/iptables-nft', '-A', 'OUTPUT', '-d', '10.201.255.200', '-j', 'DROP'])
      const started = Date.now()
      const result = await connect('TcpOutgoing', ip('10.201.255.200', 80))
      expect(result).toMatchObject({type: 'Err', value: {value: {kind: {type: 'TimedOut'}}}})
      expect(Date.now() - started).toBeGreaterThan(4500)
    })

    it('answers requests of the first form one after the other', async () => {
      for (const port of [7000, 1])
        peer.send({type: 'TcpOutgoing', value: {type: 'Connect', value: {remoteAddress: ip('127.0.0.1', port)}}})
      const result = (m: DaemonMessage) =>
        m.type === 'TcpOutgoing' && m.value.type === 'Connect' ? m.value.value : undefined
      const first = await peer.take(result, 'Connect')
      expect(first.type).toBe('Ok')
      expect((await peer.take(result, 'Connect')).type).toBe('Err')
      if (first.type === 'Ok')
        peer.send({type: 'TcpOutgoing', value: {type: 'Close', value: {connectionId: first.value.connectionId}}})
    })

    it('connects unix sockets by path and by abstract name', async () => {
      for (const address of [
        {type: 'Pathname', value: `${lab.directory}/app.sock`},
        {type: 'Abstract', value: Buffer.from('mirrord-test-abstract')},
      ] as const) {
        const {connectionId, localAddress} = await opened('TcpOutgoing', {type: 'Unix', value: address})
        expect(localAddress).toEqual({type: 'Unix', value: {type: 'Unnamed'}})
        write('TcpOutgoing', connectionId, Buffer.from('ping'))
        expect(Buffer.from(await read('TcpOutgoing', connectionId)).toString()).toBe('ping')
        peer.send({type: 'TcpOutgoing', value: {type: 'Close', value: {connectionId}}})
      }
    })

    it('carries datagrams', async () => {
      const {connectionId} = await opened('UdpOutgoing', ip(lab.podIp, 9000))
      for (const text of ['one', 'two']) {
        write('UdpOutgoing', connectionId, Buffer.from(text))
        expect(Buffer.from(await read('UdpOutgoing', connectionId)).toString()).toBe(text)
      }
      peer.send({type: 'UdpOutgoing', value: {type: 'Close', value: {connectionId}}})
    })

    it('closes a datagram connection whose port is refused', async () => {
      const {connectionId} = await opened('UdpOutgoing', ip('127.0.0.1', 9))
      write('UdpOutgoing', connectionId, Buffer.from('x'))
      const closed = (m: DaemonMessage) =>
        m.type === 'UdpOutgoing' && m.value.type === 'Close' ? m.value.value : undefined
      expect(await peer.take(closed, 'Close')).toBe(connectionId)
    })
  })

  describe('files', () => {
    const file = async (request: FileRequest): Promise<FileReply> => {
      peer.send({type: 'FileRequest', value: request})
      const {value} = (await peer.next('File')).value
      if (value.type === 'Err') throw Object.assign(new Error(JSON.stringify(value.value)), {response: value.value})
      return value.value as never
    }
    const readOnly = {read: true, write: false, append: false, truncate: false, create: false, createNew: false}

    it("reads the target's files", async () => {
      const {fd} = await file({type: 'Open', value: {path: '/etc/hostname', openOptions: readOnly}})
      const {bytes} = await file({type: 'Read', value: {remoteFd: fd, bufferSize: 6}})
      expect(Buffer.from(bytes).toString()).toBe('target')
      expect(await file({type: 'Seek', value: {fd, seekFrom: {type: 'Current', value: 1}}})).toEqual({resultOffset: 7})
      expect(await file({type: 'Read', value: {remoteFd: fd, bufferSize: 2n ** 63n}})).toMatchObject({readAmount: 4})
      expect(await file({type: 'Read', value: {remoteFd: fd, bufferSize: 100}})).toMatchObject({readAmount: 0})
      expect(await file({type: 'ReadLimited', value: {remoteFd: fd, bufferSize: 3, startFrom: 7}})).toMatchObject({
        readAmount: 3,
      })
      const {metadata} = await file({type: 'Xstat', value: {fd, followSymlink: true}})
      expect(metadata).toMatchObject({size: 11, userId: 0})
      peer.send({type: 'FileRequest', value: {type: 'Close', value: {fd}}})
      await expect(file({type: 'Read', value: {remoteFd: fd, bufferSize: 1}})).rejects.toThrow(/NotFound/)
    })

    it('lists directories', async () => {
      const {fd} = await file({type: 'Open', value: {path: '/etc', openOptions: readOnly}})
      const {fd: stream} = await file({type: 'FdOpenDir', value: {remoteFd: fd}})
      const names: string[] = []
      for (;;) {
        const {dirEntries} = await file({type: 'ReadDirBatch', value: {remoteFd: stream, amount: 2}})
        if (dirEntries.length === 0) break
        names.push(...dirEntries.map((entry) => `${entry.name}:${entry.fileType}`))
      }
      expect(names.sort()).toEqual(['hostname:8', 'hosts:8', 'resolv.conf:8'])
      const {entries} = await file({type: 'GetDEnts64', value: {remoteFd: fd, bufferSize: 24 * 3}})
      expect(entries.slice(0, 2).map((entry) => entry.name)).toEqual(['.', '..'])
      const {fd: relative} = await file({
        type: 'OpenRelative',
        value: {relativeFd: fd, path: '../etc/hostname', openOptions: readOnly},
      })
      await expect(file({type: 'FdOpenDir', value: {remoteFd: relative}})).rejects.toThrow(/NotDirectory/)
      await expect(file({type: 'Read', value: {remoteFd: fd, bufferSize: 1}})).rejects.toThrow(/NotFile/)
      for (const open of [fd, relative]) peer.send({type: 'FileRequest', value: {type: 'Close', value: {fd: open}}})
      peer.send({type: 'FileRequest', value: {type: 'CloseDir', value: {remoteFd: stream}}})
    })

    it('reports errors as the system does', async () => {
      await expect(file({type: 'Open', value: {path: '/nowhere', openOptions: readOnly}})).rejects.toThrow(
        /"rawOsError":2/,
      )
      await expect(file({type: 'Open', value: {path: '/../etc', openOptions: readOnly}})).rejects.toThrow(/NotFound/)
      await expect(file({type: 'ReadLink', value: {path: 'etc'}})).rejects.toThrow(/StripPrefix/)
      await expect(file({type: 'Access', value: {pathname: '/etc/hostname', mode: 1}})).rejects.toThrow(
        /"rawOsError":13/,
      )
      await file({type: 'Access', value: {pathname: '/etc/hostname', mode: 4}})
    })
  })
})

/** What a successful reply may hold; each request has its own part of it. */
interface FileReply {
  fd: number
  bytes: Uint8Array
  metadata: object
  dirEntries: {name: string; fileType: number}[]
  entries: {name: string}[]
}

function readOf(
  message: DaemonMessage,
  kind: 'TcpOutgoing' | 'UdpOutgoing',
  id: number | bigint,
): Uint8Array | undefined {
  if (message.type !== kind || message.value.type !== 'Read' || message.value.value.type !== 'Ok') return undefined
  const {connectionId, bytes} = message.value.value.value
  return connectionId === id ? bytes : undefined
}
