import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {
  ClientMessage,
  DaemonMessage,
  encode,
  encodeChunks,
  MessageDecoder,
  type Codec,
} from '../../../src/protocol/index.ts'
import {valuesOf} from './arbitrary.ts'

const numRuns = process.env.MIRRORD_LONG ? 20_000 : 300

/** Everything the decoder has to give. */
function drain<T>(decoder: MessageDecoder<T>): T[] {
  const messages: T[] = []
  for (let message = decoder.next(); message !== undefined; message = decoder.next()) messages.push(message)
  return messages
}

/** Cuts bytes at the given positions (fractions of 1). */
function cut(bytes: Buffer, fractions: readonly number[]): Buffer[] {
  const at = fractions.map((fraction) => Math.floor(fraction * bytes.length)).sort((a, b) => a - b)
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length))
}

const fraction = fc.double({min: 0, max: 1, noNaN: true})

function survivesCutting<T>(codec: Codec<T>): void {
  fc.assert(
    fc.property(fc.array(valuesOf(codec), {maxLength: 6}), fc.array(fraction, {maxLength: 12}), (messages, cuts) => {
      const stream = Buffer.concat(messages.flatMap((message) => encodeChunks(codec, message)))
      const decoder = new MessageDecoder(codec)
      const received = cut(stream, cuts).flatMap((chunk) => {
        decoder.push(chunk)
        return drain(decoder)
      })
      expect(received).toEqual(messages)
      expect(decoder.leftover).toBe(0)
    }),
    {numRuns},
  )
}

describe('the stream decoder', {timeout: 180_000}, () => {
  it('gives the same messages wherever the stream is cut', () => {
    survivesCutting(ClientMessage)
    survivesCutting(DaemonMessage)
  })

  it('gives the same messages byte by byte, and when everything is pushed before the first read', () => {
    fc.assert(
      fc.property(fc.array(valuesOf(DaemonMessage), {maxLength: 3}), (messages) => {
        const stream = Buffer.concat(messages.flatMap((message) => encodeChunks(DaemonMessage, message)))
        const bytewise = new MessageDecoder(DaemonMessage)
        const late = new MessageDecoder(DaemonMessage)
        const received: DaemonMessage[] = []
        for (let i = 0; i < stream.length; i++) {
          bytewise.push(stream.subarray(i, i + 1))
          late.push(stream.subarray(i, i + 1))
          received.push(...drain(bytewise))
        }
        expect(received).toEqual(messages)
        expect(drain(late)).toEqual(messages)
      }),
      {numRuns: numRuns / 10},
    )
  })

  it('delivers large stream data in parts when it may, and nothing else', () => {
    const withBytes = (message: DaemonMessage, bytes: Uint8Array): DaemonMessage => {
      if (message.type !== 'TcpOutgoing' || message.value.type !== 'Read' || message.value.value.type !== 'Ok')
        throw new Error(`${message.type} was divided`)
      const {connectionId} = message.value.value.value
      return {type: 'TcpOutgoing', value: {type: 'Read', value: {type: 'Ok', value: {connectionId, bytes}}}}
    }
    const read = (type: 'TcpOutgoing' | 'UdpOutgoing', bytes: Uint8Array): DaemonMessage => ({
      type,
      value: {type: 'Read', value: {type: 'Ok', value: {connectionId: 7, bytes}}},
    })
    const data = new Uint8Array(50_000).map((_, index) => index % 253)
    const messages = [read('TcpOutgoing', data), read('UdpOutgoing', data), read('TcpOutgoing', data.subarray(0, 5000))]
    const stream = Buffer.concat(messages.flatMap((message) => encodeChunks(DaemonMessage, message)))
    for (const size of [1, 1000, 16_384, stream.length]) {
      const decoder = new MessageDecoder(DaemonMessage, {}, withBytes)
      const received: {type: string; bytes: Buffer}[] = []
      for (let at = 0; at < stream.length; at += size) {
        const chunk = stream.subarray(at, at + size)
        decoder.push(chunk)
        for (const message of drain(decoder)) {
          if (message.type !== 'TcpOutgoing' && message.type !== 'UdpOutgoing') throw new Error(message.type)
          if (message.value.type !== 'Read' || message.value.value.type !== 'Ok') throw new Error(message.value.type)
          const {bytes} = message.value.value.value
          expect(bytes.length).toBeGreaterThan(0)
          if (size > 4096 && message.type === 'TcpOutgoing') expect(bytes.buffer).toBe(chunk.buffer)
          received.push({type: message.type, bytes: Buffer.from(bytes)})
        }
        if (size === 16_384 && at === 0) expect([decoder.unfinished, decoder.leftover]).toEqual([true, 0])
      }
      const of = (type: string) => received.filter((part) => part.type === type).map(({bytes}) => bytes)
      expect(of('UdpOutgoing')).toEqual([Buffer.from(data)])
      expect(Buffer.concat(of('TcpOutgoing'))).toEqual(Buffer.concat([data, data.subarray(0, 5000)]))
      expect([decoder.unfinished, decoder.leftover]).toEqual([false, 0])
    }
  })

  it('does not copy a payload that lies within one chunk', () => {
    const message: DaemonMessage = {type: 'Vpn', value: {type: 'Packet', value: new Uint8Array(10_000).fill(1)}}
    const chunk = Buffer.from(encode(DaemonMessage, message))
    const decoder = new MessageDecoder(DaemonMessage)
    decoder.push(chunk)
    const decoded = decoder.next()
    if (decoded?.type !== 'Vpn' || decoded.value.type !== 'Packet') throw new Error('unexpected message')
    expect(decoded.value.value.buffer).toBe(chunk.buffer)
  })

  it('reports the bytes of an unfinished message', () => {
    const decoder = new MessageDecoder(DaemonMessage)
    decoder.push(Buffer.from('07070b0631', 'hex'))
    expect(drain(decoder).length).toBe(2)
    expect(decoder.leftover).toBe(3)
    decoder.push(Buffer.from('2e', 'hex'))
    expect(drain(decoder)).toEqual([])
    expect(decoder.leftover).toBe(4)
  })

  it('gives the messages before a malformed one, and then always the same error', () => {
    const decoder = new MessageDecoder(DaemonMessage)
    decoder.push(Buffer.from('07ff07', 'hex'))
    expect(decoder.next()).toEqual({type: 'Pong'})
    const failure = expect.objectContaining({code: 'BAD_INTEGER'}) as Error
    expect(() => decoder.next()).toThrow(failure)
    decoder.push(Buffer.from('07', 'hex'))
    expect(() => decoder.next()).toThrow(failure)
  })

  it('works in linear time on a large list that arrives in small chunks', () => {
    const count = 100_000
    const entry = {inode: 1, position: 0, name: 'name', fileType: 8}
    const dirEntries = Array.from({length: count}, () => entry)
    const message: DaemonMessage = {
      type: 'File',
      value: {type: 'ReadDirBatch', value: {type: 'Ok', value: {fd: 1, dirEntries}}},
    }
    const stream = Buffer.from(encode(DaemonMessage, message))
    // Re-decoding from the start on each of the 8,000 chunks would decode 400 million entries: minutes.
    const decoder = new MessageDecoder(DaemonMessage)
    const received: DaemonMessage[] = []
    for (let at = 0; at < stream.length; at += 100) {
      decoder.push(stream.subarray(at, at + 100))
      received.push(...drain(decoder))
    }
    expect(received).toEqual([message])
  }, 10_000)

  it('waits for a large payload without trying in between', () => {
    let attempts = 0
    const counting: Codec<DaemonMessage> = {
      ...DaemonMessage,
      read: (reader) => {
        attempts++
        return DaemonMessage.read(reader)
      },
    }
    const decoder = new MessageDecoder(counting)
    const payload = new Uint8Array(8 * 1024 * 1024).fill(5)
    const stream = Buffer.from(encode(DaemonMessage, {type: 'Vpn', value: {type: 'Packet', value: payload}}))
    let received: DaemonMessage[] = []
    for (let at = 0; at < stream.length; at += 65_536) {
      decoder.push(stream.subarray(at, at + 65_536))
      received = drain(decoder)
    }
    expect(received.length).toBe(1)
    expect(attempts).toBe(2)
  })
})
