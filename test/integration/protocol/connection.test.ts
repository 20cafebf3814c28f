import {once} from 'node:events'
import type {Socket} from 'node:net'
import {setImmediate as turn} from 'node:timers/promises'
import {describe, expect, it} from 'vitest'
import {
  agentConnection,
  clientConnection,
  encodeDaemonMessage,
  type ByteChannel,
  type ClientMessage,
  type ConnectionError,
  type DaemonMessage,
} from '../../../src/protocol/index.ts'
import {channels, Inbox, loopback} from './loopback.ts'

const data = (bytes: Uint8Array): DaemonMessage => ({
  type: 'TcpSteal',
  value: {type: 'Data', value: {connectionId: 1, bytes}},
})

/** Counts the writes that reach the channel. */
function counted(channel: ByteChannel): {writes: number} {
  const counter = {writes: 0}
  const write = channel.write.bind(channel)
  channel.write = (chunks) => {
    counter.writes++
    return write(chunks)
  }
  return counter
}

describe('a protocol connection over a socket', () => {
  it('delivers messages of both roles in order', async () => {
    await using ends = await loopback()
    const {client, server} = channels(ends)
    const toAgent = new Inbox<ClientMessage>()
    const toClient = new Inbox<DaemonMessage>()
    const agent = agentConnection(server)
    const layer = clientConnection(client)
    agent.onMessage = toAgent.put
    layer.onMessage = toClient.put
    layer.send({type: 'Ping'})
    layer.send({type: 'SwitchProtocolVersion', value: '1.29.0'})
    expect(await toAgent.next()).toEqual({type: 'Ping'})
    expect(await toAgent.next()).toEqual({type: 'SwitchProtocolVersion', value: '1.29.0'})
    agent.send({type: 'Pong'})
    agent.send(data(Buffer.alloc(100_000, 7)))
    expect(await toClient.next()).toEqual({type: 'Pong'})
    const received = await toClient.next()
    expect(received).toEqual(data(new Uint8Array(100_000).fill(7)))
  })

  it('joins the messages of one turn into one write', async () => {
    await using ends = await loopback()
    const {client, server} = channels(ends)
    const received = new Inbox<ClientMessage>()
    agentConnection(server).onMessage = received.put
    const counter = counted(client)
    const connection = clientConnection(client)
    for (let i = 0; i < 100; i++) connection.send({type: 'Ping'})
    for (let i = 0; i < 100; i++) await received.next()
    expect(counter.writes).toBe(1)
  })

  it('tells the sender to wait when the reader is slow, and then to go on', async () => {
    await using ends = await loopback()
    const {client, server} = channels(ends)
    const agent = agentConnection(server)
    const layer = clientConnection(client)
    layer.pause()
    const chunk = Buffer.alloc(64 * 1024)
    let sent = 0
    let largestQueue = 0
    let received = 0
    layer.onMessage = () => void received++
    // A sender that obeys, against a reader that never reads: it stops after what the kernel buffers hold.
    const total = 4000
    const sending = (async () => {
      while (sent < total) {
        sent++
        if (!agent.send(data(chunk))) {
          largestQueue = Math.max(largestQueue, agent.queuedBytes + ends.server.writableLength)
          await agent.drained()
        }
      }
    })()
    let before = -1
    while (before !== sent) {
      before = sent
      for (let i = 0; i < 50; i++) await turn()
    }
    expect(sent).toBeLessThan(total)
    expect(received).toBe(0)
    layer.resume()
    await sending
    const done = once(ends.client, 'close')
    agent.close()
    await done
    expect(received).toBe(total)
    expect(largestQueue).toBeLessThan(2 * 1024 * 1024)
  })

  it('stops delivering within a chunk when the handler pauses, and continues in order on resume', async () => {
    await using ends = await loopback()
    const {client, server} = channels(ends)
    const layer = clientConnection(client)
    const agent = agentConnection(server)
    const received: unknown[] = []
    const inbox = new Inbox<void>()
    layer.onMessage = (message) => {
      received.push(message.value)
      layer.pause()
      inbox.put()
    }
    for (let i = 0; i < 5; i++) agent.send({type: 'Close', value: String(i)})
    for (let i = 0; i < 5; i++) {
      await inbox.next()
      await turn()
      expect(received.length).toBe(i + 1)
      layer.resume()
    }
    expect(received).toEqual(['0', '1', '2', '3', '4'])
  })

  it('gives a paused owner the last messages and only then the end', async () => {
    await using ends = await loopback()
    const {client} = channels(ends)
    const layer = clientConnection(client)
    const events: string[] = []
    const first = new Inbox<void>()
    layer.onMessage = (message) => {
      events.push(message.type)
      if (events.length === 1) layer.pause()
      first.put()
    }
    layer.onClose = (reason) => events.push(reason.code)
    ends.server.end(
      Buffer.concat([encodeDaemonMessage({type: 'Pong'}), encodeDaemonMessage({type: 'Close', value: 'x'})]),
    )
    await first.next()
    expect(events).toEqual(['Pong'])
    layer.resume()
    await layer.closed
    expect(events).toEqual(['Pong', 'Close', 'END_OF_STREAM'])
  })
})

describe('the end of a connection', () => {
  async function endOf(act: (ends: {agentSocket: Socket}) => void): Promise<[string, number]> {
    await using ends = await loopback()
    const {client} = channels(ends)
    const layer = clientConnection(client)
    let count = 0
    layer.onClose = () => void count++
    act({agentSocket: ends.server})
    const reason = await layer.closed
    await turn()
    return [reason.code, count]
  }

  it('is reported once, with its reason', async () => {
    expect(await endOf(({agentSocket}) => agentSocket.end())).toEqual(['END_OF_STREAM', 1])
    expect(await endOf(({agentSocket}) => agentSocket.end(Buffer.from('0b06312e', 'hex')))).toEqual(['TRUNCATED', 1])
    expect(await endOf(({agentSocket}) => agentSocket.write(Buffer.from('ff', 'hex')))).toEqual(['MALFORMED', 1])
    expect(await endOf(({agentSocket}) => agentSocket.resetAndDestroy())).toEqual(['TRANSPORT', 1])
  })

  it('refuses a message beyond the configured size before it is there', async () => {
    await using ends = await loopback()
    const {client} = channels(ends)
    const layer = clientConnection(client, {maxMessageSize: 1000})
    // TcpSteal Data of connection 5: only the announced length, 1001 bytes.
    ends.server.write(Buffer.from('020105fbe903', 'hex'))
    const reason = await layer.closed
    expect(reason).toMatchObject({code: 'MALFORMED', cause: {code: 'TOO_LARGE'}})
  })

  it('still sends what was queued when this side closes', async () => {
    await using ends = await loopback()
    const {client, server} = channels(ends)
    const layer = clientConnection(client)
    const received: DaemonMessage[] = []
    layer.onMessage = (message) => received.push(message)
    const agent = agentConnection(server)
    agent.send(data(Buffer.alloc(1_000_000)))
    agent.send({type: 'Close', value: 'bye'})
    agent.close()
    expect(agent.send({type: 'Pong'})).toBe(false)
    const [clientEnd, agentEnd] = await Promise.all([layer.closed, agent.closed])
    expect([clientEnd.code, agentEnd.code]).toEqual(['END_OF_STREAM', 'CLOSED'])
    expect(received.at(-1)).toEqual({type: 'Close', value: 'bye'})
  })

  it('releases a sender that waits for the drain', async () => {
    await using ends = await loopback()
    const {server} = channels(ends)
    const agent = agentConnection(server)
    while (agent.send(data(Buffer.alloc(1_000_000))));
    const drained = agent.drained()
    let reason: ConnectionError | undefined
    agent.onClose = (end) => (reason = end)
    ends.client.resetAndDestroy()
    await drained
    await agent.closed
    expect(reason?.code).toBe('TRANSPORT')
  })

  it('does not send a message that cannot be encoded, and goes on', async () => {
    await using ends = await loopback()
    const {client, server} = channels(ends)
    const received = new Inbox<ClientMessage>()
    agentConnection(server).onMessage = received.put
    const layer = clientConnection(client)
    layer.send({type: 'Ping'})
    expect(() => layer.send({type: 'Tcp', value: {type: 'PortSubscribe', value: 70_000}})).toThrow(
      expect.objectContaining({code: 'UNENCODABLE'}) as Error,
    )
    layer.send({type: 'ReadyForLogs'})
    expect(await received.next()).toEqual({type: 'Ping'})
    expect(await received.next()).toEqual({type: 'ReadyForLogs'})
  })
})
