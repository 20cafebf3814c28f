import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {
  addressBytes,
  addressText,
  connectFlags,
  Decoder,
  encode,
  fileOperations,
  frameLimit,
  helloFlags,
  messages,
  outcomes,
  stages,
  WireError,
  wireVersion,
} from '../../../src/trap/wire.ts'
import type {Message} from '../../../src/trap/wire.ts'

const native = (name: string) => readFileSync(join(import.meta.dirname, '../../../native/trap', name), 'utf8')
const decode = (bytes: Buffer) => [...new Decoder().push(bytes)]

const address = fc.record({
  address: fc.oneof(
    fc.ipV4(),
    fc.uint8Array({minLength: 16, maxLength: 16}).map((bytes) => addressText(6, bytes)),
  ),
  port: fc.integer({min: 0, max: 65_535}),
})
const text = fc.string({unit: 'grapheme'}).filter((value) => !value.includes('\0'))
const scalars = {
  u8: fc.integer({min: 0, max: 255}),
  u32: fc.integer({min: 0, max: 0xff_ff_ff_ff}),
  u64: fc.maxSafeNat(),
  i64: fc.maxSafeInteger(),
  bytes: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  string: text,
  address: fc.option(address, {nil: undefined}),
}
type Type = keyof typeof scalars | readonly [keyof typeof scalars | Record<string, keyof typeof scalars>]
const field = (type: Type): fc.Arbitrary<unknown> => {
  if (typeof type === 'string') return scalars[type]
  const [element] = type
  if (typeof element === 'string') return fc.array<unknown>(scalars[element])
  return fc.array(fc.record(Object.fromEntries(Object.entries(element).map(([key, part]) => [key, scalars[part]]))))
}
const message = fc.oneof(
  ...Object.entries(messages).map(([name, {fields}]) =>
    fc.record({
      name: fc.constant(name),
      ...Object.fromEntries(Object.entries(fields).map(([key, type]) => [key, field(type as Type)])),
    }),
  ),
) as unknown as fc.Arbitrary<Message>

/** A v4-mapped IPv6 address is an IPv4 address to the trap. */
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (key, part: unknown) =>
    key === 'address' && typeof part === 'string'
      ? addressText(...(Object.values(addressBytes(part)) as [4 | 6, Uint8Array]))
      : part,
  )

describe('the wire format', () => {
  it('gives back every message, over any chunk boundaries', () => {
    fc.assert(
      fc.property(
        fc.array(message, {maxLength: 5}),
        fc.infiniteStream(fc.integer({min: 1, max: 50})),
        (list, sizes) => {
          const bytes = Buffer.concat(list.map(({name, ...fields}) => encode(name, fields as never)))
          const decoder = new Decoder()
          const got: Message[] = []
          for (let at = 0; at < bytes.length;) {
            const size = sizes.next().value as number
            got.push(...decoder.push(bytes.subarray(at, at + size)))
            at += size
          }
          expect(plain(got)).toEqual(plain(list))
        },
      ),
    )
  })

  it('gives back every message, wherever it outgrows its buffer', () => {
    const relay = {address: '10.0.0.1', port: 80}
    for (let length = 0; length < 600; length++) {
      const data = Buffer.alloc(length, 'x')
      for (const [name, {fields}] of Object.entries(messages)) {
        const value = (type: Type): unknown =>
          typeof type === 'string'
            ? {u8: 1, u32: 2, u64: 3, i64: 4, bytes: data, string: data.toString(), address: relay}[type]
            : [0, 1].map(() =>
                typeof type[0] === 'string'
                  ? value(type[0])
                  : Object.fromEntries(Object.entries(type[0]).map(([key, part]) => [key, value(part)])),
              )
        const parts = Object.fromEntries(Object.entries(fields).map(([key, type]) => [key, value(type as Type)]))
        expect(decode(encode(name as never, parts as never))).toEqual([{name, ...parts}])
      }
    }
  })

  it('refuses random bytes with its own error, or waits for more', () => {
    fc.assert(
      fc.property(fc.uint8Array({maxLength: 200}), (bytes) => {
        try {
          decode(Buffer.from(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(WireError)
        }
      }),
    )
  })

  it('refuses truncated, oversized and unknown messages', () => {
    const frame = (...body: number[]) => {
      const head = Buffer.alloc(4)
      head.writeUInt32LE(body.length)
      return Buffer.concat([head, Buffer.from(body)])
    }
    const length = Buffer.alloc(4)
    length.writeUInt32LE(frameLimit + 1)
    expect(() => decode(length)).toThrow('impossible length')
    expect(() => decode(Buffer.alloc(4))).toThrow('impossible length')
    expect(() => decode(frame(200))).toThrow('unknown message')
    expect(() => decode(frame(messages.started.id, 1))).toThrow('too early')
    expect(() => decode(frame(messages.treeEmpty.id, 1))).toThrow('left over')
    expect(() => decode(frame(messages.warning.id, 255, 255, 255, 255))).toThrow('too early')
    expect(() => encode('warning', {text: 'a\0b'})).toThrow(WireError)
    expect(() => encode('peerGone', {source: {address: 'localhost', port: 1}})).toThrow(WireError)
  })

  it('writes addresses as RFC 5952 does', () => {
    const again = (value: string) => {
      const {family, bytes} = addressBytes(value)
      return addressText(family, bytes)
    }
    expect(again('2001:DB8:0:0:1:0:0:1')).toBe('2001:db8::1:0:0:1')
    expect(again('::')).toBe('::')
    expect(again('fe80::1%eth0')).toBe('fe80::1')
    expect(again('::ffff:10.1.2.3')).toBe('10.1.2.3')
    expect(again('64:ff9b::10.1.2.3')).toBe('64:ff9b::a01:203')
    expect(again('0.0.0.0')).toBe('0.0.0.0')
  })

  it('has the numbers of the C side', () => {
    const header = native('messages.h') + native('trap.h')
    const upper = (name: string) => name.replace(/[A-Z]/g, '_$&').toUpperCase()
    const values = new Map(
      [...header.matchAll(/\b([A-Z][A-Z_0-9]+) = (\d+)/g)].map(([, name, value]) => [name, Number(value)]),
    )
    const numbers = (prefix: string) => [...values].filter(([name]) => name?.startsWith(prefix)).length
    for (const [name, {id}] of Object.entries(messages)) expect(values.get(`MSG_${upper(name)}`), name).toBe(id)
    expect(numbers('MSG_')).toBe(Object.keys(messages).length)
    for (const [name, bit] of Object.entries(helloFlags)) expect(values.get(`FLAG_${upper(name)}`)).toBe(bit)
    for (const [name, bit] of Object.entries(connectFlags))
      expect(values.get(`CONNECT_${upper(name).replace('NON_BLOCKING', 'NONBLOCKING')}`)).toBe(bit)
    for (const [name, value] of Object.entries(fileOperations)) expect(values.get(`FILE_${upper(name)}`)).toBe(value)
    for (const [name, value] of Object.entries(outcomes)) expect(values.get(`OUTCOME_${upper(name)}`)).toBe(value)
    const order =
      /enum stage \{([^}]*)\}/
        .exec(header)?.[1]
        ?.split(',')
        .map((name) => name.trim()) ?? []
    for (const [name, value] of Object.entries(stages)) expect(order[value]).toBe(`STAGE_${upper(name)}`)
    expect(header).toContain(`#define WIRE_VERSION ${wireVersion}\n`)
    expect(header).toContain('#define FRAME_LIMIT (16u << 20)')
  })
})
