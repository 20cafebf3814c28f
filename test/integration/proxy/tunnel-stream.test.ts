import {createHash} from 'node:crypto'
import {once} from 'node:events'
import type net from 'node:net'
import {afterEach, describe, expect, it} from 'vitest'
import {FlowControl, type FlowLimits} from '../../../src/proxy/flow.ts'
import {TunnelStream} from '../../../src/proxy/tunnel-stream.ts'
import {Cleanup, collect, socketPair, until} from './sockets.ts'

const cleanup = new Cleanup()
afterEach(() => cleanup.run())

/** A stream whose agent is the test. */
async function stage(options: {limits?: FlowLimits} = {}) {
  const {program, ours} = await socketPair(cleanup)
  const frames: Buffer[] = []
  const events: string[] = []
  const state = {full: false, paused: false}
  const flow = new FlowControl(
    {
      pause: () => void (state.paused = true),
      resume: () => void (state.paused = false),
    },
    options.limits,
  )
  const stream = new TunnelStream(
    ours,
    {
      data(bytes) {
        frames.push(Buffer.from(bytes))
        if (bytes.length === 0) events.push('end')
        return !state.full
      },
      close: () => void events.push('close'),
      ended: () => void events.push('ended'),
    },
    flow,
  )
  return {program, ours, stream, flow, frames, events, state, sent: () => Buffer.concat(frames).toString('latin1')}
}

const gone = (socket: net.Socket) => until('the end of the socket', () => socket.closed)

describe('a stream between a socket and the agent', () => {
  it('carries both directions', async () => {
    const {program, stream, sent} = await stage()
    const got = collect(program)
    program.write('question')
    await until('the question', () => sent() === 'question')
    stream.receive(Buffer.from('answer'))
    await until('the answer', () => got.text() === 'answer')
  })

  it('[OUT-30] lets the program finish first: the answer still comes', async () => {
    const {program, ours, stream, events} = await stage()
    const got = collect(program)
    program.end('question')
    await until('the end of the program', () => events.includes('end'))
    stream.receive(Buffer.from('answer'))
    stream.receive(new Uint8Array(0))
    expect(await got.ended).toBe('end')
    expect(got.text()).toBe('answer')
    await until('the end', () => events.includes('ended'))
    expect(ours.destroyed).toBe(true)
    expect(events).toEqual(['end', 'ended'])
  })

  it('lets the agent finish first: the program still sends', async () => {
    const {program, ours, stream, events, sent} = await stage()
    const got = collect(program)
    stream.receive(Buffer.from('hello'))
    stream.receive(new Uint8Array(0))
    expect(await got.ended).toBe('end')
    program.end('late')
    await gone(ours)
    await until('the end', () => events.includes('ended'))
    expect([sent(), got.text()]).toEqual(['late', 'hello'])
    expect(events).toEqual(['end', 'ended'])
  })

  it('delivers what came before the agent closed, then ends', async () => {
    const {program, ours, stream, events} = await stage()
    const got = collect(program)
    const bytes = Buffer.alloc(3_000_000, 'x')
    for (let at = 0; at < bytes.length; at += 100_000) stream.receive(bytes.subarray(at, at + 100_000))
    stream.close()
    expect(await got.ended).toBe('end')
    expect(got.bytes()).toBe(bytes.length)
    await gone(ours)
    await until('the end', () => events.includes('ended'))
    expect(events.filter((event) => event === 'close')).toEqual([])
    expect(events.at(-1)).toBe('ended')
  })

  it('tells the agent when the program resets', async () => {
    const {program, ours, events} = await stage()
    program.resetAndDestroy()
    await gone(ours)
    await until('the close', () => events.includes('ended'))
    expect(events).toEqual(['close', 'ended'])
  })

  it('resets the program when it is told to, once', async () => {
    const {program, stream, events} = await stage()
    const got = collect(program)
    stream.reset()
    stream.reset()
    expect(await got.ended).toBe('reset')
    await until('the close', () => events.includes('ended'))
    expect(events).toEqual(['close', 'ended'])
    stream.receive(Buffer.from('late'))
    stream.close()
    expect(events).toEqual(['close', 'ended'])
  })

  it('ends at once when the socket was gone before', async () => {
    const {ours} = await socketPair(cleanup)
    ours.destroy()
    await once(ours, 'close')
    const events: string[] = []
    new TunnelStream(
      ours,
      {data: () => true, close: () => void events.push('close'), ended: () => void events.push('ended')},
      new FlowControl({pause: () => {}, resume: () => {}}),
    )
    await until('the end', () => events.length === 2)
    expect(events).toEqual(['close', 'ended'])
  })

  it('reads no more from the program while the tunnel is full', async () => {
    const {program, flow, state, frames, sent} = await stage()
    state.full = true
    program.write('a')
    await until('the first bytes', () => frames.length === 1)
    program.write('b'.repeat(30_000_000))
    // More than the kernel buffers: the rest waits at the program.
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(program.writableLength).toBeGreaterThan(0)
    expect(frames.length).toBe(1)
    state.full = false
    flow.drained()
    await until('the rest', () => sent().length === 30_000_001)
  })

  it('pauses the tunnel for a slow reader, which loses nothing', async () => {
    const {program, stream, state} = await stage({limits: {slowBytes: 1_000_000}})
    const total = 30_000_000
    const hash = createHash('sha256')
    const expected = createHash('sha256')
    let received = 0
    let sent = 0
    let queued = 0
    program.pause()
    const send = () => {
      while (sent < total && !state.paused) {
        const chunk = Buffer.alloc(50_000, sent / 50_000)
        expected.update(chunk)
        stream.receive(chunk)
        sent += chunk.length
        queued = Math.max(queued, sent - received)
      }
    }
    send()
    expect(state.paused).toBe(true)
    expect(sent).toBeLessThan(10_000_000)
    program.on('data', (chunk: Buffer) => {
      hash.update(chunk)
      received += chunk.length
      program.pause()
      setImmediate(() => {
        send()
        program.resume()
      })
    })
    program.resume()
    await until('all of it', () => received === total)
    expect(queued).toBeLessThan(15_000_000)
    expect(hash.digest('hex')).toBe(expected.digest('hex'))
    expect(state.paused).toBe(false)
  })

  it('resets a reader that takes nothing while all others wait, and lets them go on', async () => {
    const {program, ours, stream, state, events} = await stage({limits: {slowBytes: 1_000_000, stallMs: 50}})
    program.pause()
    while (!state.paused) stream.receive(Buffer.alloc(100_000))
    await gone(ours)
    await until('the others', () => !state.paused)
    expect(events).toEqual(['close', 'ended'])
  })

  it('carries 100 MiB each way at once, in order', async () => {
    const {program, stream, state, events} = await stage()
    const size = 100 * 1024 * 1024
    const pattern = Buffer.from(Array.from({length: 65_536}, (_, index) => (index * 7 + (index >> 8)) & 0xff))
    const want = createHash('sha256')
    for (let at = 0; at < size; at += pattern.length) want.update(pattern)
    const down = createHash('sha256')
    program.on('data', (chunk: Buffer) => down.update(chunk))
    const ended = once(program, 'end')
    const upload = async () => {
      for (let at = 0; at < size; at += pattern.length) if (!program.write(pattern)) await once(program, 'drain')
      program.end()
    }
    const download = async () => {
      for (let at = 0; at < size; at += pattern.length) {
        stream.receive(pattern)
        if (at % (1024 * 1024) === 0) await new Promise((resolve) => setImmediate(resolve))
        while (state.paused) await new Promise((resolve) => setImmediate(resolve))
      }
      stream.receive(new Uint8Array(0))
    }
    await Promise.all([upload(), download(), ended])
    await until('the end of the upload', () => events.includes('end'))
    expect(down.digest('hex')).toBe(want.digest('hex'))
  }, 60_000)
})
