import {afterAll, afterEach, beforeAll, describe, expect, it} from 'vitest'
import {delay} from '../../../src/util/time.ts'
import {buildAgent, eventually, isRoot, Lab, line, soon, type Agent} from './lab.ts'
import {ask, dial, exchange, Peer} from './peer.ts'

describe.skipIf(!isRoot)('stealing (needs root)', () => {
  let lab: Lab
  const agents: Agent[] = []
  const start = async (env: Record<string, string> = {}, args: readonly string[] = []) => {
    const agent = await lab.agent(env, args)
    agents.push(agent)
    return agent
  }

  beforeAll(async () => {
    await buildAgent()
    lab = await Lab.create()
  })
  afterEach(async () => {
    for (const agent of agents.splice(0)) {
      agent.child.kill('SIGTERM')
      await agent.exited
    }
    expect(await lab.rules()).toEqual([])
  })
  afterAll(() => lab?.destroy())

  for (const [backend, nftables] of [
    ['nft', 'true'],
    ['legacy', 'false'],
  ] as const) {
    describe(backend, () => {
      const env = {MIRRORD_AGENT_NFTABLES: nftables}

      it('delivers traffic to the owner, from outside and inside, IPv4 and IPv6, then gives it back', async () => {
        const agent = await start(env)
        const peer = await Peer.connect(agent.port)
        await peer.steal(8082)
        const outside = await dial(lab.podIp, 8082)
        outside.write('hello')
        const connection = await peer.stolen()
        expect(connection).toMatchObject({
          connectionId: 0,
          remoteAddress: lab.outsideIp,
          destinationPort: 8082,
          localAddress: lab.podIp,
          sourcePort: outside.localPort,
        })
        expect(await peer.stolenData(0)).toBe('hello')
        peer.answer(0, 'from the local program')
        expect(await exchange(outside, 'again')).toBe('from the local program')
        outside.destroy()

        peer.serve()
        expect(await ask(lab.podIp6, 8082, 'six')).toBe('local:six')
        const rules = await lab.rules()
        expect(rules.filter((rule) => rule.includes('REDIRECT'))).toHaveLength(4)
        expect(rules.every((rule) => rule.includes(backend))).toBe(true)

        peer.send({type: 'TcpSteal', value: {type: 'PortUnsubscribe', value: 8082}})
        await eventually(async () => (await lab.rules()).length === 0, 'rules removed after unsubscribe')
        expect(await ask(lab.podIp, 8082, 'back')).toBe('deployed:back')
        peer.close()
        expect(await agent.exited).toBe(0)
      })

      it('steals calls inside the pod, to loopback and to its own address, and shows what was dialled', async () => {
        const agent = await start(env)
        const peer = await Peer.connect(agent.port)
        await peer.steal(8080)
        for (const host of ['127.0.0.1', lab.podIp]) {
          const call = `const s=require('node:net').connect(8080,'${host}');s.end('in');s.on('data',(d)=>process.stdout.write(d))`
          const answer = lab.inside([process.execPath, '-e', call])
          const {connectionId, localAddress} = await peer.stolen()
          expect(localAddress).toBe(host)
          expect(await peer.stolenData(connectionId)).toBe('in')
          peer.answer(connectionId, 'ok')
          peer.answer(connectionId, '')
          expect(await answer).toBe('ok')
        }
        peer.close()
      })

      it('removes the rules when the client is lost', async () => {
        const agent = await start(env)
        const first = await Peer.connect(agent.port)
        const second = await Peer.connect(agent.port)
        await first.steal(8080)
        const open = await dial(lab.podIp, 8080)
        const reset = new Promise((resolve) => open.on('close', resolve))
        open.write('x')
        await first.stolen()
        first.socket.resetAndDestroy()
        await reset
        await eventually(async () => (await lab.rules()).length === 0, 'rules removed after client loss')
        expect(await ask(lab.podIp, 8080, 'back')).toBe('deployed:back')
        second.close()
        expect(await agent.exited).toBe(0)
      })

      it('[CLN-03] leaves no call without an end while the port is taken and given back', async () => {
        const agent = await start(env)
        const peer = await Peer.connect(agent.port)
        peer.serve()
        const callers = await lab.callers(8082)
        // Back at once, back before the redirect has gone, back after that.
        for (const wait of [0, 0, 50, 200, 1500, 0, 20, 1500, 700, 0]) {
          await peer.steal(8082)
          await callers.more()
          peer.send({type: 'TcpSteal', value: {type: 'PortUnsubscribe', value: 8082}})
          peer.send({type: 'Ping'})
          await peer.next('Pong')
          await delay(wait)
        }
        await eventually(async () => (await lab.rules()).length === 0, 'rules removed after the last unsubscribe')
        const ends = await callers.stop()
        expect(ends.hung).toEqual([])
        expect(ends.answers).toEqual(['deployed', 'local'])
        peer.close()
      }, 60_000)

      it('leaves no call without an end when the agent ends', async () => {
        for (const end of ['SIGTERM', 'client', 'client lost', 'worker killed'] as const) {
          const agent = await start(env)
          const peer = await Peer.connect(agent.port)
          peer.serve()
          await peer.steal(8082)
          const silent = await Promise.all([lab.podIp, lab.podIp6].map((host) => dial(host, 8082)))
          const resets = silent.map((socket) => {
            socket.resume().on('end', () => socket.destroy())
            return new Promise((resolve) => socket.on('close', resolve))
          })
          const callers = await lab.callers(8082)
          await callers.more()
          if (end === 'SIGTERM') agent.child.kill('SIGTERM')
          else if (end === 'client') peer.close()
          else if (end === 'client lost') peer.socket.resetAndDestroy()
          else process.kill(lab.workerOf(agent), 'SIGKILL')
          expect(await soon(agent.exited, `the agent's end after ${end}`)).toBe(end === 'worker killed' ? 1 : 0)
          await soon(Promise.all(resets), `the end of the silent connections after ${end}`)
          await callers.more()
          const ends = await soon(callers.stop(), `the callers' end after ${end}`)
          expect(ends.hung).toEqual([])
          expect(ends.answers).toEqual(['deployed', 'local'])
        }
      }, 60_000)

      it('removes the rules on SIGTERM', async () => {
        const agent = await start(env)
        await (await Peer.connect(agent.port)).steal(8080)
        agent.child.kill('SIGTERM')
        expect(await agent.exited).toBe(0)
        expect(await lab.rules()).toEqual([])
      })

      it('removes the rules when the worker is killed', async () => {
        const agent = await start(env)
        await (await Peer.connect(agent.port)).steal(8080)
        process.kill(lab.workerOf(agent), 'SIGKILL')
        expect(await agent.exited).toBe(1)
        expect(await lab.rules()).toEqual([])
        expect(await ask(lab.podIp, 8080, 'back')).toBe('deployed:back')
      })

      it('removes the rules when the guard is killed', async () => {
        const agent = await start(env)
        await (await Peer.connect(agent.port)).steal(8080)
        agent.child.kill('SIGKILL')
        await eventually(async () => (await lab.rules()).length === 0, 'rules removed by the worker')
      })
    })
  }

  it('passes new connections on while stolen ones live after unsubscribe', async () => {
    const agent = await start()
    const peer = await Peer.connect(agent.port)
    await peer.steal(8080)
    await peer.steal(8081)
    peer.serve()
    const old = await dial(lab.podIp, 8080)
    const other = await dial(lab.podIp, 8081)
    expect(await exchange(old, 'a')).toBe('local:a')
    expect(await exchange(other, 'a')).toBe('local:a')
    for (const port of [8080, 8081]) peer.send({type: 'TcpSteal', value: {type: 'PortUnsubscribe', value: port}})
    // Answered in order, so the unsubscriptions are in effect.
    peer.send({type: 'Ping'})
    await peer.next('Pong')
    expect(await ask(lab.podIp, 8080, 'b')).toBe('deployed:b')
    expect(await ask(lab.podIp, 8081, 'only on the pod address')).toBe('deployed:only on the pod address')
    expect(await exchange(old, 'c')).toBe('local:c')
    expect((await lab.rules()).length).toBeGreaterThan(0)
    old.destroy()
    other.destroy()
    await eventually(async () => (await lab.rules()).length === 0, 'rules removed with the last connection')
    peer.close()
  })

  it('ends established connections when a port is stolen', async () => {
    const agent = await start()
    const pooled = await dial(lab.podIp, 8080)
    expect(await exchange(pooled, 'x')).toBe('deployed:x')
    const closed = new Promise((resolve) => pooled.on('close', resolve))
    pooled.on('end', () => pooled.destroy())
    const peer = await Peer.connect(agent.port)
    await peer.steal(8080)
    await closed
    peer.close()
  })

  it('leaves a request its answer when its port is stolen, then ends the connection', async () => {
    const agent = await start()
    const pooled = await dial(lab.podIp, 8080)
    const closed = new Promise((resolve) => pooled.on('close', resolve))
    pooled.on('end', () => pooled.destroy())
    const answer = exchange(pooled, 'slow')
    const peer = await Peer.connect(agent.port)
    await peer.steal(8080)
    peer.serve()
    expect(await ask(lab.podIp, 8080, 'new')).toBe('local:new')
    expect(await answer).toBe('deployed:slow')
    await closed
    peer.close()
  })

  it('gives a port to the later of two clients', async () => {
    const agent = await start()
    const first = await Peer.connect(agent.port)
    const second = await Peer.connect(agent.port)
    await first.steal(8080)
    await second.steal(8080)
    second.serve()
    expect(await ask(lab.podIp, 8080, 'x')).toBe('local:x')
    first.close()
    expect(await ask(lab.podIp, 8080, 'y')).toBe('local:y')
    second.close()
  })

  it('[CLN-10] keeps the ports of one client when another one leaves', async () => {
    const agent = await start()
    const first = await Peer.connect(agent.port)
    const second = await Peer.connect(agent.port)
    await first.steal(8080)
    first.serve()
    await second.steal(9090)
    second.close()
    await second.connection.closed
    expect(await ask(lab.podIp, 8080, 'x')).toBe('local:x')
    first.close()
  })

  it('half closes both ways', async () => {
    const agent = await start()
    const peer = await Peer.connect(agent.port)
    await peer.steal(8080)
    const caller = await dial(lab.podIp, 8080)
    caller.end('request')
    const {connectionId} = await peer.stolen()
    expect(await peer.stolenData(connectionId)).toBe('request')
    expect(await peer.stolenData(connectionId)).toBe('')
    peer.answer(connectionId, 'late answer')
    peer.answer(connectionId, '')
    const chunks: Buffer[] = []
    for await (const chunk of caller) chunks.push(chunk as Buffer)
    expect(Buffer.concat(chunks).toString()).toBe('late answer')
    await peer.take(
      (message) => (message.type === 'TcpSteal' && message.value.type === 'Close' ? true : undefined),
      'Close',
    )
    peer.close()
  })

  it('serves 100 connections at once', async () => {
    const agent = await start()
    const peer = await Peer.connect(agent.port)
    await peer.steal(8080)
    peer.serve()
    const answers = await Promise.all(Array.from({length: 100}, (_, index) => ask(lab.podIp, 8080, `n${index}`)))
    expect(answers).toEqual(Array.from({length: 100}, (_, index) => `local:n${index}`))
    peer.close()
  })

  it('keeps memory bounded and answers pings while a caller reads nothing', async () => {
    const agent = await start()
    const peer = await Peer.connect(agent.port)
    await peer.steal(8080)
    const slow = await dial(lab.podIp, 8080)
    slow.pause()
    slow.write('x')
    const {connectionId} = await peer.stolen()
    const worker = lab.workerOf(agent)
    const before = await residentMemory(worker)
    const block = Buffer.alloc(64 * 1024)
    const megabytes = 128
    let failed = false
    const watch = peer
      .take((m) => (m.type === 'TcpSteal' && m.value.type === 'Close' ? true : undefined), 'Close', 30_000)
      .then(() => {
        failed = true
      })
    // 2 MiB are below the caller's share of the budget: the stream stays open for everybody.
    for (let sent = 0; sent < 32; sent++)
      peer.send({type: 'TcpSteal', value: {type: 'Data', value: {connectionId, bytes: block}}})
    peer.send({type: 'Ping'})
    await peer.next('Pong')
    let peak = 0
    for (let sent = 0; sent < megabytes * 16 && !failed; sent++) {
      peer.send({type: 'TcpSteal', value: {type: 'Data', value: {connectionId, bytes: block}}})
      await Promise.race([peer.connection.drained(), watch.catch(() => {})])
      peak = Math.max(peak, await residentMemory(worker))
    }
    expect(peak - before).toBeLessThan(64 * 1024 * 1024)
    // The connection that held everybody up is given up; the others go on.
    await watch
    peer.send({type: 'Ping'})
    await peer.next('Pong')
    slow.destroy()
    peer.close()
  }, 60_000)

  it('stops reading callers while the client does not read', async () => {
    const agent = await start()
    const peer = await Peer.connect(agent.port)
    await peer.steal(8080)
    const worker = lab.workerOf(agent)
    const before = await residentMemory(worker)
    peer.connection.pause()
    const sender = await dial(lab.podIp, 8080)
    const block = Buffer.alloc(1024 * 1024)
    let taken = 0
    while (taken < 256 && sender.write(block)) taken++
    // The kernel's buffers and a bounded queue fill up; then nothing moves any more.
    let last = -1
    await eventually(async () => {
      const now = sender.bytesWritten - sender.writableLength
      const still = now === last
      last = now
      await new Promise((resolve) => setTimeout(resolve, 100))
      return still
    }, 'the sender is stopped')
    expect((await residentMemory(worker)) - before).toBeLessThan(32 * 1024 * 1024)
    peer.connection.resume()
    sender.destroy()
    peer.close()
  })

  it('refuses what it cannot do', async () => {
    const agent = await start()
    const peer = await Peer.connect(agent.port)
    const filter = {type: 'Header', value: 'x: y'} as const
    peer.send({
      type: 'TcpSteal',
      value: {type: 'PortSubscribe', value: {type: 'FilteredHttpEx', value: {port: 8080, filter}}},
    })
    expect((await peer.next('LogMessage')).value.message).toMatch(/filters are not supported/)
    expect((await peer.next('TcpSteal')).value).toEqual({
      type: 'SubscribeResult',
      value: {type: 'Err', value: {type: 'NotImplemented'}},
    })
    peer.send({type: 'Tcp', value: {type: 'PortSubscribe', value: 8080}})
    expect((await peer.next('Tcp')).value).toEqual({
      type: 'SubscribeResult',
      value: {type: 'Err', value: {type: 'NotImplemented'}},
    })
    expect(await lab.rules()).toEqual([])
    peer.close()
  })

  it('reports the rules of another agent and leaves them alone', async () => {
    const first = await start()
    const owner = await Peer.connect(first.port)
    await owner.steal(8080)
    owner.serve()
    const rules = await lab.rules()
    const second = await start()
    const socket = await dial('127.0.0.1', second.port)
    socket.destroy()
    expect(await second.exited).toBe(1)
    expect(second.log()).toMatch(/Detected dirty iptables/)
    expect(await lab.rules()).toEqual(rules)
    expect(await ask(lab.podIp, 8080, 'x')).toBe('local:x')

    const third = await start()
    await expect(Peer.connect(third.port)).rejects.toThrow(/Detected dirty iptables/)
    expect(await third.exited).toBe(1)
    expect(await lab.rules()).toEqual(rules)
    owner.close()
  })

  it('does not break another agent that was faster', async () => {
    const [first, second] = [await start(), await start()]
    const [fast, late] = [await Peer.connect(first.port), await Peer.connect(second.port)]
    await fast.steal(8080)
    fast.serve()
    late.send({type: 'TcpSteal', value: {type: 'PortSubscribe', value: {type: 'All', value: 8080}}})
    expect((await late.next('Close')).value).toMatch(/another mirrord agent/)
    late.close()
    expect(await second.exited).toBe(0)
    expect(await ask(lab.podIp, 8080, 'x')).toBe('local:x')
    fast.close()
  })

  it('cleans leftovers on request', async () => {
    const first = await start()
    await (await Peer.connect(first.port)).steal(8080)
    // A stopped worker cannot notice the end of its guard.
    const worker = lab.workerOf(first)
    process.kill(worker, 'SIGSTOP')
    first.child.kill('SIGKILL')
    await first.exited
    process.kill(worker, 'SIGKILL')
    const second = await start({}, ['--clean-iptables-on-start'])
    expect(await lab.rules()).toEqual([])
    expect(second.log()).not.toMatch(/dirty/)
    ;(await Peer.connect(second.port)).close()
    expect(await second.exited).toBe(0)
  })

  // As after a connection that hung: the one that was cut off comes to its end later.
  it.each([
    ['its client leaves', (_agent: Agent, peer: Peer) => peer.close()],
    ['it is asked to end', (agent: Agent) => void agent.child.kill('SIGTERM')],
    ['its worker is killed', (agent: Agent) => void process.kill(lab.workerOf(agent), 'SIGKILL')],
  ])('leaves the rules of an agent that has taken its place when %s', async (_, end) => {
    const before = await start()
    const former = await Peer.connect(before.port)
    await former.steal(8080)
    const after = await start({}, ['--clean-iptables-on-start'])
    const peer = await Peer.connect(after.port)
    await peer.steal(8080)
    peer.serve()
    const rules = await lab.rules()
    end(before, former)
    await before.exited
    expect(await lab.rules()).toEqual(rules)
    expect(await ask(lab.podIp, 8080, 'x')).toBe('local:x')
    peer.close()
    expect(await after.exited).toBe(0)
    expect(await lab.rules()).toEqual([])
  })

  it('ends when the target ends', async () => {
    const own = await Lab.create()
    try {
      const agent = await own.agent()
      const peer = await Peer.connect(agent.port)
      await peer.steal(8080)
      process.kill(own.targetPid, 'SIGKILL')
      await peer.connection.closed
      expect(await agent.exited).toBe(0)
      expect(await own.rules()).toEqual([])
    } finally {
      await own.destroy()
    }
  })

  it('gives up without a first client', async () => {
    const agent = await start({}, ['-t', '1'])
    expect(await agent.exited).toBe(1)
    await line(agent.child, /no client connected/).catch(() => {})
    expect(agent.log()).toMatch(/no client connected within 1 s/)
  })

  it('stays for the idle time without clients', async () => {
    const agent = await start({MIRRORD_AGENT_IDLE_TTL: '1'})
    ;(await Peer.connect(agent.port)).close()
    const again = await Peer.connect(agent.port)
    again.close()
    expect(await agent.exited).toBe(0)
  })
})

/** Resident bytes of a process. */
async function residentMemory(pid: number): Promise<number> {
  const {readFile} = await import('node:fs/promises')
  return Number(/^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))![1]) * 1024
}
