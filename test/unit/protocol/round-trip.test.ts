import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {ClientMessage, DaemonMessage, decode, encode, encodeChunks, type Codec} from '../../../src/protocol/index.ts'
import {variantsOf} from './arbitrary.ts'

const numRuns = process.env.MIRRORD_LONG ? 5000 : 100

function roundTrips<T>(codec: Codec<T>): void {
  it.each(variantsOf(codec))('%s', (_name, values) => {
    fc.assert(
      fc.property(values, (message) => {
        const bytes = encode(codec, message)
        expect(decode(codec, bytes)).toEqual(message)
        expect(Buffer.concat(encodeChunks(codec, message)).equals(bytes)).toBe(true)
      }),
      {numRuns},
    )
  })
}

describe('every client message survives encoding and decoding', () => roundTrips(ClientMessage))
describe('every agent message survives encoding and decoding', () => roundTrips(DaemonMessage))

describe('payloads', () => {
  const bytes = new Uint8Array(100_000).fill(3)
  const message: DaemonMessage = {type: 'TcpSteal', value: {type: 'Data', value: {connectionId: 1, bytes}}}

  it('are passed through by reference when encoded as chunks', () => {
    const chunks = encodeChunks(DaemonMessage, message)
    expect(chunks.length).toBe(2)
    expect(chunks[1]).toBe(bytes)
  })

  it('are views into the input when decoded', () => {
    const input = encode(DaemonMessage, message)
    const decoded = decode(DaemonMessage, input)
    if (decoded.type !== 'TcpSteal' || decoded.value.type !== 'Data') throw new Error(decoded.type)
    expect(decoded.value.value.bytes.buffer).toBe(input.buffer)
  })
})
