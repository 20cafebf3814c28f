import {afterAll, afterEach, beforeAll, describe, expect, it} from 'vitest'
import {buildAgent, eventually, isRoot, Lab, type Agent} from './lab.ts'
import {ask, dial, Peer} from './peer.ts'

describe.skipIf(!isRoot)('modes of the agent (needs root)', () => {
  let lab: Lab
  let agent: Agent | undefined

  beforeAll(async () => {
    await buildAgent()
    lab = await Lab.create()
  })
  afterEach(async () => {
    agent?.child.kill('SIGTERM')
    await agent?.exited
    agent = undefined
    expect(await lab.rules()).toEqual([])
  })
  afterAll(() => lab?.destroy())

  it('ephemeral: lives in the pod and serves its first process', async () => {
    agent = await lab.ephemeralAgent({CONFIGURED: 'yes'})
    const peer = await Peer.connect(agent.port, '1.29.0', lab.podIp)
    peer.send({type: 'GetEnvVarsRequest', value: {envVarsFilter: new Set(), envVarsSelect: new Set(['CONFIGURED'])}})
    expect((await peer.next('GetEnvVarsResponse')).value).toEqual({type: 'Ok', value: new Map([['CONFIGURED', 'yes']])})
    await peer.steal(8080)
    peer.serve()
    expect(await ask(lab.podIp, 8080, 'x')).toBe('local:x')
    expect((await lab.rules()).some((rule) => /-A PREROUTING -j MRDIN_$/.test(rule))).toBe(true)
    peer.close()
    expect(await agent.exited).toBe(0)
  })

  it('targetless: has no incoming traffic, everything else works', async () => {
    agent = await lab.targetlessAgent()
    const peer = await Peer.connect(agent.port)
    peer.send({type: 'TcpSteal', value: {type: 'PortSubscribe', value: {type: 'All', value: 80}}})
    expect((await peer.next('Close')).value).toMatch(/stealing is not available/)
    peer.send({type: 'Tcp', value: {type: 'PortSubscribe', value: 80}})
    expect((await peer.next('Close')).value).toMatch(/mirroring is not available/)
    peer.send({type: 'GetAddrInfoRequest', value: {node: '127.0.0.1'}})
    expect((await peer.next('GetAddrInfoResponse')).value.type).toBe('Ok')
    agent.child.kill('SIGTERM')
    expect(await agent.exited).toBe(0)
  })

  it('does not take a given-up connection attempt for a client that left', async () => {
    agent = await lab.targetlessAgent()
    for (let attempt = 0; attempt < 3; attempt++) {
      const socket = await dial('127.0.0.1', agent.port)
      const closed = new Promise((resolve) => socket.on('close', resolve))
      socket.end()
      await closed
    }
    const peer = await Peer.connect(agent.port)
    peer.close()
    expect(await agent.exited).toBe(0)
  })

  it('ends a client that sends nonsense, and only that one', async () => {
    agent = await lab.targetlessAgent()
    const peer = await Peer.connect(agent.port)
    const broken = await dial('127.0.0.1', agent.port)
    const closed = new Promise((resolve) => broken.on('close', resolve))
    broken.on('end', () => broken.destroy())
    broken.write(Buffer.alloc(64, 0xff))
    await closed
    peer.send({type: 'SwitchProtocolVersion', value: '1.29.0'})
    await peer.next('SwitchProtocolVersionResponse')
    peer.close()
  })

  it('refuses an unknown container and a malformed id', async () => {
    const {status, output} = await lab.failingAgent(['-l', '1', 'targeted', '-c', 'f'.repeat(64)])
    expect(status).toBe(1)
    expect(output).toMatch(/no process of container f+ was found/)
    expect((await lab.failingAgent(['targeted', '-c', ''])).output).toMatch(/not a full container id/)
    expect((await lab.failingAgent(['nonsense'])).status).toBe(2)
  })

  it('fails when its port is taken, without leaving a worker', async () => {
    agent = await lab.targetlessAgent()
    const {status, output} = await lab.failingAgent(['-l', String(agent.port), 'targetless'])
    expect(status).toBe(1)
    expect(output).toMatch(/EADDRINUSE/)
    const peer = await Peer.connect(agent.port)
    peer.close()
    await eventually(() => agent!.child.exitCode === 0, 'the first agent ended as usual')
  })
})
