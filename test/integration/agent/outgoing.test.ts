import {cpSync, mkdtempSync, rmSync, symlinkSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from 'vitest'
import type {SocketAddress} from '../../../src/protocol/index.ts'
import {which} from '../trap/harness.ts'
import {buildAgent, isRoot, Lab, line, standaloneAgent, type Agent} from './lab.ts'
import {Peer} from './peer.ts'

const path = (value: string): SocketAddress => ({type: 'Unix', value: {type: 'Pathname', value}})
const abstract = (value: Uint8Array): SocketAddress => ({type: 'Unix', value: {type: 'Abstract', value}})
const ip = (address: string, port: number): SocketAddress => ({type: 'Ip', value: {ip: address, port}})
const failure = (rawOsError: number) => ({type: 'Err', value: {type: 'RemoteIO', value: {rawOsError}}})

describe.skipIf(!isRoot || !which('python3'))('unix sockets and datagrams of the pod (needs root and python3)', () => {
  let lab: Lab
  let agent: Agent
  let peer: Peer
  const name = new Uint8Array(Buffer.from(`seq\0\xff${process.pid}`, 'latin1'))
  const seqpacket = 'SeqpacketOutgoing'
  const bytes = (id: number | bigint) => peer.read(seqpacket, id)

  beforeAll(async () => {
    await buildAgent()
    lab = await Lab.create()
    const script = join(import.meta.dirname, 'seqpacket.py')
    // Only the target's root has it under this name.
    const server = lab.start('python3', [script, join(lab.directory, 'target/etc/seq.sock')], {})
    const inPod = [`--net=/run/netns/${lab.name}`, '--', 'python3', script, `@${Buffer.from(name).toString('hex')}`]
    const hidden = lab.start('nsenter', inPod, {})
    await Promise.all([line(server, /listening/), line(hidden, /listening/)])
    symlinkSync('/etc/seq.sock', join(lab.directory, 'target/etc/link.sock'))
    agent = await lab.agent()
    peer = await Peer.connect(agent.port)
  })
  afterAll(async () => {
    peer?.close()
    if (agent) expect(await agent.exited).toBe(0)
    await lab?.destroy()
  })

  it.each([
    ['a path', path('/etc/seq.sock')],
    ["a link below the target's root", path('/etc/link.sock')],
    ['an abstract name of any bytes', abstract(name)],
  ])('[OUT-16] carries seqpacket messages to %s, boundaries kept', async (_, address) => {
    const {connectionId, localAddress, remoteAddress} = await peer.connected(seqpacket, address)
    expect(localAddress).toEqual({type: 'Unix', value: {type: 'Unnamed'}})
    expect(remoteAddress).toEqual(address)
    const messages = ['a', 'bc', 'x'.repeat(65_535), 'y'.repeat(200_000)]
    for (const message of messages) peer.write(seqpacket, connectionId, message)
    for (const message of messages) expect((await bytes(connectionId)).equals(Buffer.from(message))).toBe(true)
    peer.write(seqpacket, connectionId, 'big')
    expect((await bytes(connectionId)).length).toBe(150_000)
    peer.write(seqpacket, connectionId, 'burst')
    for (let number = 0; number < 500; number++)
      expect((await bytes(connectionId)).toString()).toBe(String(number).repeat(100))
    peer.write(seqpacket, connectionId, '')
    expect((await bytes(connectionId)).toString()).toBe('you ended')
    await peer.closed(seqpacket, connectionId)
  })

  it('ends a seqpacket connection from either side', async () => {
    const first = await peer.connected(seqpacket, path('/etc/seq.sock'))
    peer.write(seqpacket, first.connectionId, 'bye')
    expect((await bytes(first.connectionId)).length).toBe(0)
    peer.write(seqpacket, first.connectionId, 'into the void')
    await peer.closed(seqpacket, first.connectionId)
    const second = await peer.connected(seqpacket, path('/etc/seq.sock'))
    peer.send({type: seqpacket, value: {type: 'Close', value: {connectionId: second.connectionId}}})
    const third = await peer.connected(seqpacket, path('/etc/seq.sock'))
    peer.write(seqpacket, third.connectionId, 'still here')
    expect((await bytes(third.connectionId)).toString()).toBe('still here')
    expect(third.connectionId).toBe(Number(second.connectionId) + 1)
  })

  it('leaves out an empty seqpacket message, and says so', async () => {
    const {connectionId} = await peer.connected(seqpacket, path('/etc/seq.sock'))
    peer.write(seqpacket, connectionId, 'nothing')
    expect((await bytes(connectionId)).toString()).toBe('something')
    const warned = await peer.take(
      (message) =>
        message.type === 'LogMessage' && /empty seqpacket message/.test(message.value.message)
          ? message.value.level.type
          : undefined,
      'the warning',
    )
    expect(warned).toBe('Warn')
  })

  it('reports why a seqpacket socket cannot be connected', async () => {
    expect(await peer.outgoing(seqpacket, path('/etc/missing.sock'))).toMatchObject(failure(2))
    expect(await peer.outgoing(seqpacket, path('/etc/hostname'))).toMatchObject(failure(111))
    // A stream socket: EPROTOTYPE.
    expect(await peer.outgoing(seqpacket, path(join(lab.directory, 'app.sock')))).toMatchObject(failure(91))
    expect(await peer.outgoing(seqpacket, abstract(Buffer.from('nobody')))).toMatchObject(failure(111))
    const other = {type: 'Err', value: {type: 'RemoteIO', value: {kind: {type: 'Other'}}}}
    expect(await peer.outgoing(seqpacket, ip('127.0.0.1', 7000))).toMatchObject(other)
    expect(await peer.outgoing(seqpacket, {type: 'Unix', value: {type: 'Unnamed'}})).toMatchObject(other)
  })

  it.each([
    ['IPv4', () => ip(lab.podIp, 9000)],
    ['an IPv4-mapped address', () => ip(`::ffff:${lab.podIp}`, 9000)],
    ['IPv6', () => ip(lab.podIp6, 9006)],
  ])('[OUT-05] carries datagrams of every size, %s', async (_, address) => {
    const {connectionId} = await peer.connected('UdpOutgoing', address())
    const sizes = [1, 0, 1400, 65_507, 0, 2]
    for (const size of sizes) {
      peer.write('UdpOutgoing', connectionId, Buffer.alloc(size, 'd'))
      expect((await peer.read('UdpOutgoing', connectionId)).length).toBe(size)
    }
    peer.send({type: 'UdpOutgoing', value: {type: 'Close', value: {connectionId}}})
  })

  it('connects TCP to an IPv4-mapped address', async () => {
    const {connectionId} = await peer.connected('TcpOutgoing', ip('::ffff:127.0.0.1', 7000))
    peer.write('TcpOutgoing', connectionId, 'mapped')
    expect((await peer.read('TcpOutgoing', connectionId)).toString()).toBe('mapped')
    peer.send({type: 'TcpOutgoing', value: {type: 'Close', value: {connectionId}}})
  })
})

it('refuses seqpacket sockets and says why where the helper is missing', async () => {
  await buildAgent()
  const bare = mkdtempSync(join(tmpdir(), 'mrd-bare-'))
  cpSync(join(import.meta.dirname, '../../../lib/agent/agent.js'), join(bare, 'agent.mjs'))
  const agent = await standaloneAgent([], join(bare, 'agent.mjs'))
  const peer = await Peer.connect(agent.port)
  const answer = await peer.outgoing('SeqpacketOutgoing', path('/x'))
  expect(answer).toEqual({type: 'Err', value: {type: 'NotImplemented'}})
  expect((await peer.next('LogMessage')).value.message).toMatch(/mirrord-trap/)
  await expect(peer.file({type: 'StatFsV2', value: {path: '/'}})).rejects.toThrow(/NotImplemented/)
  peer.close()
  expect(await agent.exited).toBe(0)
  rmSync(bare, {recursive: true})
})
