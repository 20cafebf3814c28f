import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {
  ClientMessage,
  DaemonMessage,
  decode,
  encode,
  MessageDecoder,
  ProtocolError,
  type Codec,
} from '../../../src/protocol/index.ts'
import {valuesOf} from './arbitrary.ts'

const numRuns = process.env.MIRRORD_LONG ? 200_000 : 5000
const roles: [string, Codec<ClientMessage> | Codec<DaemonMessage>][] = [
  ['client', ClientMessage],
  ['agent', DaemonMessage],
]

/** Decodes whole and as a stream; anything but a value or a typed error fails the test. */
function attempt(codec: Codec<unknown>, bytes: Uint8Array): void {
  try {
    const value = decode(codec, bytes)
    // Whatever was accepted can be sent on (as an intermediary would) and means the same.
    expect(decode(codec, encode(codec, value))).toEqual(value)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
  }
  const decoder = new MessageDecoder(codec)
  try {
    for (const byte of bytes.slice(0, 200)) {
      decoder.push(Uint8Array.of(byte))
      while (decoder.next() !== undefined);
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
  }
}

describe.each(roles)('hostile bytes for the decoder of %s messages', {timeout: 180_000}, (_role, typed) => {
  const codec = typed as Codec<unknown>

  it('at random give a value or a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({maxLength: 300}), (bytes) => attempt(codec, bytes)),
      {numRuns},
    )
  })

  it('made of small numbers, which reach deeper, give a value or a typed error', () => {
    const small = fc.oneof({weight: 9, arbitrary: fc.nat(6)}, fc.nat(255))
    const bytes = fc.array(small, {maxLength: 100}).map((numbers) => Uint8Array.from(numbers))
    fc.assert(
      fc.property(bytes, (input) => attempt(codec, input)),
      {numRuns},
    )
  })

  it('with flipped bits, cuts and insertions give a value or a typed error', () => {
    const damage = fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('flip', 'cut', 'insert'))
    fc.assert(
      fc.property(valuesOf(codec), fc.array(damage, {minLength: 1, maxLength: 4}), (value, damages) => {
        let bytes = Buffer.from(encode(codec, value))
        for (const [where, what, how] of damages) {
          if (bytes.length === 0) break
          const at = where % bytes.length
          if (how === 'flip') bytes[at]! ^= 1 << (what % 8)
          else if (how === 'cut') bytes = bytes.subarray(0, at)
          else bytes = Buffer.concat([bytes.subarray(0, at), Buffer.of(what), bytes.subarray(at)])
        }
        attempt(codec, bytes)
      }),
      {numRuns: numRuns / 5},
    )
  })
})

describe('announced sizes', () => {
  // Each announces 2^62 or 2^32 - 1 of something and stops there.
  const bombs: [string, Codec<unknown>, string][] = [
    ['a payload', DaemonMessage, '020105fd0000000000000040'],
    ['a text', DaemonMessage, '00fd0000000000000040'],
    ['a map', DaemonMessage, '0800fcffffffff'],
    ['a list', DaemonMessage, '060d0001fcffffffff'],
    ['a set', ClientMessage, '06fcffffffff'],
    ['headers', DaemonMessage, '020503474554022f61fcffffffff'],
    ['a length beyond 2^53', DaemonMessage, '00fdffffffffffffffff'],
  ]

  it.each(bombs)('of %s cost nothing', (_what, codec, hex) => {
    const bytes = Buffer.from(hex, 'hex')
    const before = process.memoryUsage()
    const decoder = new MessageDecoder(codec)
    decoder.push(bytes)
    expect(() => decoder.next()).toThrow(expect.objectContaining({code: 'TOO_LARGE'}) as Error)
    const after = process.memoryUsage()
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(4 * 1024 * 1024)
  })

  it('within the limits allocate only as the bytes arrive', () => {
    const before = process.memoryUsage().arrayBuffers
    const decoders = Array.from({length: 50}, () => new MessageDecoder(DaemonMessage))
    // 60 MiB announced to each.
    for (const decoder of decoders) {
      decoder.push(Buffer.from('020105fc0000c003', 'hex'))
      expect(decoder.next()).toBeUndefined()
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024)
  })

  it('are limited in elements, over nested lists together', () => {
    const frames = Array.from({length: 100}, () => ({type: 'Trailers', value: [['a', '1']]}) as const)
    const value = {frames, isLast: true, connectionId: 0, requestId: 0}
    const message = {type: 'Tcp', value: {type: 'HttpRequestChunked', value: {type: 'Body', value}}} as const
    const bytes = encode(DaemonMessage, message)
    expect(decode(DaemonMessage, bytes, {maxElements: 300})).toEqual(message)
    expect(() => decode(DaemonMessage, bytes, {maxElements: 299})).toThrow(
      expect.objectContaining({code: 'TOO_LARGE'}) as Error,
    )
  })

  it('of nested filters end in a typed error instead of a stack overflow', () => {
    const bytes = Buffer.concat([Buffer.from('010350', 'hex'), Buffer.alloc(3_000_000, Buffer.from('020101', 'hex'))])
    expect(() => decode(ClientMessage, bytes)).toThrow(expect.objectContaining({code: 'TOO_DEEP'}) as Error)
  })
})
