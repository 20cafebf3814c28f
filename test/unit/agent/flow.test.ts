import {describe, expect, it, vi} from 'vitest'
import {WriteBudget} from '../../../src/agent/flow/budget.ts'
import {OrderedReplies} from '../../../src/agent/flow/ordered.ts'
import {Tunnel} from '../../../src/agent/flow/tunnel.ts'
import type {DaemonMessage} from '../../../src/protocol/index.ts'

const pong: DaemonMessage = {type: 'Pong'}

function stream() {
  return {
    sent: [] as DaemonMessage[],
    free: true,
    activeStreams: 0,
    pause: vi.fn(),
    resume: vi.fn(),
    send(message: DaemonMessage) {
      this.sent.push(message)
      return this.free
    },
  }
}

describe('Tunnel', () => {
  it('stops all sources when the stream is full and starts them when it has drained', () => {
    const below = stream()
    const tunnel = new Tunnel(below)
    const source = {pause: vi.fn(), resume: vi.fn()}
    tunnel.addSource(source)
    below.free = false
    tunnel.send(pong)
    tunnel.send(pong)
    expect(source.pause).toHaveBeenCalledTimes(1)
    const late = {pause: vi.fn(), resume: vi.fn()}
    tunnel.addSource(late)
    expect(late.pause).toHaveBeenCalled()
    below.free = true
    tunnel.drained()
    expect(source.resume).toHaveBeenCalledTimes(1)
    expect(below.activeStreams).toBe(2)
  })

  it('drops only what may be lost, and only when full', () => {
    const below = stream()
    const tunnel = new Tunnel(below)
    tunnel.sendOrDrop(pong, 1 << 30)
    below.free = false
    tunnel.send(pong)
    tunnel.sendOrDrop(pong, 200_000)
    tunnel.sendOrDrop(pong, 200_000)
    tunnel.send(pong)
    expect(below.sent).toHaveLength(4)
  })

  it('sends logs only when they are wanted', () => {
    const below = stream()
    const tunnel = new Tunnel(below)
    tunnel.log('Warn', 'early')
    tunnel.enableLogs()
    tunnel.log('Warn', 'late')
    expect(below.sent).toMatchObject([{value: {message: 'late'}}])
  })

  it('reads again only when nobody holds it', () => {
    const below = stream()
    const tunnel = new Tunnel(below)
    const [a, b] = [{}, {}]
    tunnel.hold(a)
    tunnel.hold(b)
    tunnel.release(a)
    tunnel.release(a)
    expect(below.resume).not.toHaveBeenCalled()
    tunnel.release(b)
    expect(below.pause).toHaveBeenCalledTimes(1)
    expect(below.resume).toHaveBeenCalledTimes(1)
  })

  it('lets nobody wait after its end', async () => {
    const below = stream()
    const tunnel = new Tunnel(below)
    below.free = false
    tunnel.send(pong)
    const waiting = tunnel.writable()
    tunnel.close()
    await waiting
    tunnel.send(pong)
    expect(below.sent).toHaveLength(1)
  })
})

describe('WriteBudget', () => {
  const setUp = () => {
    const below = stream()
    const budget = new WriteBudget(new Tunnel(below), {peer: 100, total: 250, stall: 1000})
    return {below, budget}
  }

  it('holds the stream for one overfull peer until it is half empty', () => {
    const {below, budget} = setUp()
    const peer = budget.peer(() => {})
    peer.charge(100)
    expect(below.pause).not.toHaveBeenCalled()
    peer.charge(60)
    expect(below.pause).toHaveBeenCalledTimes(1)
    peer.discharge(60)
    expect(below.resume).not.toHaveBeenCalled()
    peer.discharge(60)
    expect(below.resume).toHaveBeenCalledTimes(1)
  })

  it('holds the stream when all peers together have too much, and frees what a closed one had', () => {
    const {below, budget} = setUp()
    const peers = [90, 90, 90].map((bytes) => {
      const peer = budget.peer(() => {})
      peer.charge(bytes)
      return peer
    })
    expect(below.pause).toHaveBeenCalledTimes(1)
    peers[0]!.close()
    peers[1]!.close()
    expect(below.resume).toHaveBeenCalledTimes(1)
  })

  it('gives up a peer that holds the stream without progress', () => {
    vi.useFakeTimers()
    try {
      const {below, budget} = setUp()
      const fail = vi.fn()
      const peer = budget.peer(fail)
      peer.charge(300)
      vi.advanceTimersByTime(900)
      peer.discharge(10)
      vi.advanceTimersByTime(900)
      expect(fail).not.toHaveBeenCalled()
      vi.advanceTimersByTime(200)
      expect(fail).toHaveBeenCalledTimes(1)
      peer.close()
      expect(below.resume).toHaveBeenCalledTimes(1)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('OrderedReplies', () => {
  it('keeps the order of the requests and reports errors in their place', async () => {
    const replies = new OrderedReplies()
    const seen: unknown[] = []
    const slow = Promise.withResolvers<string>()
    replies.add(slow.promise, (_, value) => seen.push(value))
    replies.add(Promise.reject(new Error('no')), (error) => seen.push((error as Error).message))
    const last = new Promise<void>((resolve) =>
      replies.add(Promise.resolve('fast'), (_, value) => {
        seen.push(value)
        resolve()
      }),
    )
    slow.resolve('slow')
    await last
    expect(seen).toEqual(['slow', 'no', 'fast'])
  })
})
