import {afterEach, describe, expect, it} from 'vitest'
import {MirrordError} from '../../../src/errors/mirrord-error.ts'
import {openForward, PortUnreachable, type Cluster, type ForwardChannel} from '../../../src/kube/index.ts'
import {clusterFor, fakeApi, type FakeApi} from './fake-api.ts'
import {forwardsOn, type ServerForward} from './fake-forward.ts'

let api: FakeApi
let cluster: Cluster
const channels: ForwardChannel[] = []
afterEach(async () => {
  for (const channel of channels.splice(0)) channel.destroy()
  cluster.client.close()
  await api.close()
})

const at = {namespace: 'n', pod: 'p', port: 31000}
const open = async (
  connected: (forward: ServerForward) => ((data: Buffer) => void) | undefined,
  options: {refuse?: () => number | undefined} = {},
) => {
  api = await fakeApi(() => ({}))
  forwardsOn(api, connected, options)
  cluster = await clusterFor(api.url)
  const channel = await openForward(cluster, at)
  channels.push(channel)
  return channel
}
const text = (value: string) => new TextEncoder().encode(value)

describe('openForward', () => {
  it('offers both versions in one header and asks for the port of the pod', async () => {
    const seen = Promise.withResolvers<ServerForward>()
    await open((forward) => void seen.resolve(forward))
    expect((await seen.promise).offered).toBe('v5.channel.k8s.io,v4.channel.k8s.io')
    expect((await seen.promise).port).toBe(31000)
  })

  it('delivers data without channel number and port, from the first byte on', async () => {
    const channel = await open((forward) => void forward.send(text('early')))
    const got = Promise.withResolvers<string>()
    channel.onData = (chunk) => got.resolve(new TextDecoder().decode(chunk))
    expect(await got.promise).toBe('early')
  })

  it('takes data that shares a message with the port', async () => {
    const channel = await open(({socket}) => void socket.send(Buffer.from('\0ab-later')))
    const got: string[] = []
    const done = Promise.withResolvers<void>()
    channel.onData = (chunk) => {
      got.push(new TextDecoder().decode(chunk))
      done.resolve()
    }
    await done.promise
    // The fake has sent the prefix before; only the first message of a channel loses two bytes.
    expect(got).toEqual(['ab-later'])
  })

  it('sends the chunks of a write in one message, and large ones in several', async () => {
    const messages: Buffer[] = []
    const all = Promise.withResolvers<void>()
    const channel = await open(() => (data) => {
      messages.push(data)
      if (messages.reduce((sum, {length}) => sum + length, 0) === 7 + 2_500_000) all.resolve()
    })
    channel.write([text('abc'), new Uint8Array(0), text('defg')])
    const large = new Uint8Array(2_500_000).map((_, index) => index % 251)
    channel.write([large.subarray(0, 10), large.subarray(10)])
    await all.promise
    expect(messages[0]?.toString()).toBe('abcdefg')
    expect(messages.length).toBe(4)
    expect(Buffer.concat(messages.slice(1)).equals(Buffer.from(large))).toBe(true)
  })

  it('says stop when the peer does not read, and go when it does', async () => {
    const forward = Promise.withResolvers<ServerForward>()
    const channel = await open((opened) => void forward.resolve(opened))
    const {socket} = await forward.promise
    socket.pause()
    const drained = Promise.withResolvers<void>()
    channel.onDrain = () => drained.resolve()
    const chunk = new Uint8Array(256 * 1024)
    let written = 0
    while (channel.write([chunk])) {
      if (++written > 400) throw new Error('never said stop')
      await new Promise((resolve) => setImmediate(resolve))
    }
    socket.resume()
    await drained.promise
    expect(channel.write([text('x')])).toBe(true)
  })

  it('stops the peer while it is paused', async () => {
    const forward = Promise.withResolvers<ServerForward>()
    const channel = await open((opened) => void forward.resolve(opened))
    const {send, socket} = await forward.promise
    let received = 0
    const total = 64 * 1024 * 1024
    const all = Promise.withResolvers<void>()
    channel.onData = (chunk) => {
      if (received === 0) channel.pause()
      received += chunk.length
      if (received === total) all.resolve()
    }
    for (let sent = 0; sent < total; sent += 1024 * 1024) send(new Uint8Array(1024 * 1024))
    // Without back-pressure everything would arrive within these turns of the event loop.
    for (let turn = 0; turn < 2000; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(received).toBeLessThan(4 * 1024 * 1024)
    expect(socket.bufferedAmount).toBeGreaterThan(32 * 1024 * 1024)
    channel.resume()
    await all.promise
  })

  it('closes with PortUnreachable when nothing listens', async () => {
    const channel = await open(({fail}) => void fail('an error occurred forwarding 31000'))
    const reasons: (Error | undefined)[] = []
    channel.onClose = (error) => reasons.push(error)
    expect(await channel.closed).toBeInstanceOf(PortUnreachable)
    expect(channel.failure?.message).toContain('an error occurred forwarding')
    expect(reasons).toHaveLength(1)
  })

  it('closes cleanly when the server ends, and with a reason when the connection breaks', async () => {
    const clean = await open(({socket}) => void socket.close(1000))
    expect(await clean.closed).toBeUndefined()
    await api.close()
    const broken = await open(({socket}) => void socket.terminate())
    expect((await broken.closed)?.message).toContain('was cut')
  })

  it('sends what is queued before it closes, and calls onClose once', async () => {
    const got: Buffer[] = []
    const ended = Promise.withResolvers<void>()
    const channel = await open(({socket}) => {
      socket.on('close', () => ended.resolve())
      return (data) => void got.push(data)
    })
    let closes = 0
    channel.onClose = () => closes++
    channel.write([new Uint8Array(3_000_000)])
    channel.close()
    await ended.promise
    await channel.closed
    channel.destroy()
    expect(channel.write([text('late')])).toBe(true)
    expect([Buffer.concat(got).length, closes]).toEqual([3_000_000, 1])
  })

  it.each([
    [403, 'forbidden', 'get pods/portforward "p" in the namespace "n"'],
    [401, 'unauthorized', 'refused the credentials'],
    [404, 'targetNotFound', 'HTTP 404'],
  ])('maps a refusal with %i', async (status, exit, words) => {
    const error = await open(() => undefined, {refuse: () => status}).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(MirrordError)
    expect((error as MirrordError).report.exit).toBe(exit)
    expect((error as MirrordError).report.what).toContain(words)
  })

  it('ends with the caller’s signal', async () => {
    api = await fakeApi(() => ({}))
    api.server.on('upgrade', () => {})
    cluster = await clusterFor(api.url)
    const controller = new AbortController()
    const opening = openForward(cluster, at, controller.signal)
    setImmediate(() => controller.abort(new Error('stopped')))
    await expect(opening).rejects.toThrow('stopped')
  })
})
