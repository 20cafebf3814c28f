import {readFileSync} from 'node:fs'
import {describe, expect, it} from 'vitest'
import {
  decodeClientMessage,
  decodeDaemonMessage,
  encodeClientMessage,
  encodeDaemonMessage,
  ProtocolError,
} from '../../../src/protocol/index.ts'

/** Produced by the reference implementation's own types: [role, hex, debug text]. */
type Vector = [role: 'client' | 'daemon', hex: string, text: string]
const fixture = new URL('../../fixtures/protocol/vectors.json', import.meta.url)
const vectors = JSON.parse(readFileSync(fixture, 'utf8')) as {valid: Vector[]; invalid: Vector[]}

function reencode(role: Vector[0], bytes: Uint8Array): Uint8Array {
  if (role === 'client') return encodeClientMessage(decodeClientMessage(bytes))
  return encodeDaemonMessage(decodeDaemonMessage(bytes))
}

describe('messages of the reference implementation', () => {
  it('decode and encode back to the same bytes', () => {
    expect(vectors.valid.length).toBeGreaterThan(2000)
    const differing = vectors.valid.filter(([role, hex]) => {
      return Buffer.from(reencode(role, Buffer.from(hex, 'hex'))).toString('hex') !== hex
    })
    expect(differing).toEqual([])
  })

  it('are refused with a typed error when the reference refuses them', () => {
    expect(vectors.invalid.length).toBeGreaterThan(100)
    for (const [role, hex] of vectors.invalid) {
      expect(() => reencode(role, Buffer.from(hex, 'hex')), hex).toThrow(ProtocolError)
    }
  })

  it('are reported as truncated wherever they are cut', () => {
    for (const [role, hex] of vectors.valid.slice(0, 300)) {
      const bytes = Buffer.from(hex, 'hex')
      for (let length = 0; length < bytes.length; length++) {
        const cut = bytes.subarray(0, length)
        expect(() => reencode(role, cut), `${hex} cut to ${length}`).toThrow(
          expect.objectContaining({code: 'TRUNCATED'}) as Error,
        )
      }
    }
  })
})
