import {describe, expect, it} from 'vitest'
import {
  ClientMessage,
  compareVersions,
  DaemonMessage,
  decode,
  encode,
  gates,
  ipToString,
  minVersion,
  parseIp,
  parseVersion,
  requiredGates,
  supports,
  type GateName,
  type HttpRequestFramed,
  type Int64,
} from '../../../src/protocol/index.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const decodeHex = (text: string) => decode(DaemonMessage, Buffer.from(text.replaceAll(' ', ''), 'hex'))
const refused = (code: string): Error => expect.objectContaining({code}) as Error

describe('integers', () => {
  const ftruncate = (length: Int64): ClientMessage => ({
    type: 'FileRequest',
    value: {type: 'Ftruncate', value: {fd: 0, length}},
  })
  const close = (connectionId: Int64): DaemonMessage => ({
    type: 'UdpOutgoing',
    value: {type: 'Close', value: connectionId},
  })

  it.each<[Int64, string]>([
    [250, 'fa'],
    [251, 'fbfb00'],
    [65_535, 'fbffff'],
    [65_536, 'fc00000100'],
    [2 ** 32, 'fd0000000001000000'],
    [Number.MAX_SAFE_INTEGER, 'fdffffffffffff1f00'],
    [2n ** 53n, 'fd0000000000002000'],
    [2n ** 64n - 1n, 'fdffffffffffffffff'],
  ])('unsigned %s has one encoding and one value', (value, bytes) => {
    expect(hex(encode(DaemonMessage, close(value)))).toBe(`0402${bytes}`)
    expect(decodeHex(`0402${bytes}`)).toEqual(close(value))
  })

  it.each<[Int64, string]>([
    [-125, 'f9'],
    [125, 'fa'],
    [-126, 'fbfb00'],
    [-(2 ** 31), 'fcffffffff'],
    [2 ** 31, 'fd0000000001000000'],
    [-(2n ** 63n), 'fdffffffffffffffff'],
    [2n ** 63n - 1n, 'fdfeffffffffffffff'],
  ])('signed %s has one encoding and one value', (value, bytes) => {
    expect(hex(encode(ClientMessage, ftruncate(value)))).toBe(`051a00${bytes}`)
    expect(decode(ClientMessage, Buffer.from(`051a00${bytes}`, 'hex'))).toEqual(ftruncate(value))
  })

  it('encode the same given as number or bigint', () => {
    expect(hex(encode(DaemonMessage, close(7n)))).toBe(hex(encode(DaemonMessage, close(7))))
  })

  it('are accepted in longer forms than needed, also as tags and lengths', () => {
    expect(decodeHex('04 02 fb 05 00')).toEqual(close(5))
    expect(decodeHex('fb 04 00 fc 02 00 00 00 fd 05 00 00 00 00 00 00 00')).toEqual(close(5))
    expect(decodeHex('0d fe 07 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00')).toEqual({
      type: 'OperatorPing',
      value: 7n,
    })
  })

  it.each([
    ['the reserved marker', '04 02 ff'],
    ['a marker wider than u64', '04 02 fe 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00'],
    ['a marker wider than u16', '01 03 00 fc 50 00 00 00'],
    ['a tag wider than u32', 'fd 04 00 00 00 00 00 00 00'],
  ])('with %s are refused', (_what, text) => {
    expect(() => decodeHex(text)).toThrow(refused('BAD_INTEGER'))
  })

  it.each([-1, 0.5, NaN, 2 ** 53, -1n, 2n ** 64n])('that are no u64 (%s) are not sent', (value) => {
    expect(() => encode(DaemonMessage, close(value))).toThrow(refused('UNENCODABLE'))
  })
})

describe('decoding refuses', () => {
  it.each([
    ['an unknown variant', '10', 'BAD_TAG'],
    ['an unknown nested variant', '0207', 'TRUNCATED'],
    ['an unknown nested variant', '0208', 'BAD_TAG'],
    ['a bool of 2', '0a 00 02 00', 'BAD_TAG'],
    ['an option tag of 2', '06 09 00 02', 'BAD_TAG'],
    ['a result tag of 2', '06 06 02', 'BAD_TAG'],
    ['an address family of 2', '0c 00 02', 'BAD_TAG'],
    ['invalid UTF-8', '00 02 c3 28', 'BAD_TEXT'],
    ['an encoded surrogate', '00 03 ed a0 80', 'BAD_TEXT'],
    ['a version that is none', '0b 03 31 2e 32', 'BAD_VALUE'],
    ['trailing bytes', '07 07', 'TRAILING_BYTES'],
    ['nothing', '', 'TRUNCATED'],
  ])('%s (%s)', (_what, text, code) => {
    expect(() => decodeHex(text)).toThrow(refused(code))
  })

  it('but ignores trailing bytes when told to, as WebSocket peers do', () => {
    expect(decode(DaemonMessage, Buffer.from('0707', 'hex'), {allowTrailing: true})).toEqual({type: 'Pong'})
  })

  it('keeps a byte order mark in texts', () => {
    expect(decodeHex('00 03 ef bb bf')).toEqual({type: 'Close', value: '\ufeff'})
  })
})

describe('HTTP heads', () => {
  const good: HttpRequestFramed = {
    internalRequest: {method: 'GET', uri: '/', headers: [], version: 'HTTP/1.1', body: []},
    connectionId: 0,
    requestId: 0,
    port: 80,
  }
  const message = (head: Partial<HttpRequestFramed['internalRequest']>): DaemonMessage => ({
    type: 'Tcp',
    value: {type: 'HttpRequestFramed', value: {...good, internalRequest: {...good.internalRequest, ...head}}},
  })
  const sendable = (head: Partial<HttpRequestFramed['internalRequest']>) => encode(DaemonMessage, message(head))

  it.each([
    '/',
    '*',
    '/a?b=c',
    'http://host/a',
    'http://host',
    'HTTPS://u:p%20@[::1]:80/?q',
    'host:80',
    'a',
    '/a"{}|~',
    '/ü',
  ])('may have the target %s', (uri) => expect(() => sendable({uri})).not.toThrow())

  it.each([
    '',
    '/a b',
    '/a\nb',
    'http://',
    'http:///a',
    'a/b',
    'host:1:2',
    'a%20b',
    'u@',
    '[::1',
    '/<',
    `/${'a'.repeat(65_534)}`,
  ])('must not have the target %j', (uri) => expect(() => sendable({uri})).toThrow(refused('UNENCODABLE')))

  it('are checked for method, header names and header values', () => {
    for (const head of [
      {method: ''},
      {method: 'G T'},
      {headers: [['a b', '']] as const},
      {headers: [['', '']] as const},
      {headers: [['a', 'x\ny']] as const},
      {headers: [['a', '\x7f']] as const},
      {headers: [['a', '\u0100']] as const},
    ]) {
      expect(() => sendable(head)).toThrow(refused('UNENCODABLE'))
    }
  })

  it('keep the lines of a name in order, under its lower-case form', () => {
    const headers = [
      ['Set-Cookie', 'a'],
      ['X', '\t\xff'],
      ['set-cookie', 'b'],
    ] as const
    expect(decode(DaemonMessage, sendable({headers}))).toEqual(
      message({
        headers: [
          ['set-cookie', 'a'],
          ['set-cookie', 'b'],
          ['x', '\t\xff'],
        ],
      }),
    )
  })
})

describe('IP addresses', () => {
  it.each(['0.0.0.0', '10.0.0.1', '255.255.255.255', '::', '::1', 'fe80::1', '1:2:3:4:5:6:7:8', '1::8', '1:0:0:2::3'])(
    '%s is the same after parsing',
    (text) => expect(ipToString(parseIp(text)!)).toBe(text),
  )

  it.each([
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
    ['FE80::1%eth0', 'fe80::1'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ])('%s is normalised', (text, normal) => {
    const bytes = parseIp(text)
    expect(bytes && ipToString(bytes)).toBe(normal)
  })

  it.each([
    '',
    'a',
    '1.2.3',
    '1.2.3.256',
    '1.2.3.04',
    '1.2.3.4.5',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    '1.2.3.4::',
    '::1.2.3.4:5',
    '1:2:3:4:5:6:7:8::',
  ])('%j is none', (text) => expect(parseIp(text)).toBeUndefined())
})

describe('versions', () => {
  it.each(['1.2', '1.2.3.4', '01.2.3', '1.2.3-', '1.2.3-01', 'v1.2.3', '1.2.99999999999999999999', ''])(
    '%j is none',
    (text) => {
      expect(parseVersion(text)).toBeUndefined()
    },
  )

  it('are ordered by semver', () => {
    const ordered = [
      '1.0.0-alpha',
      '1.0.0-alpha.1',
      '1.0.0-alpha.beta',
      '1.0.0-2',
      '1.0.0-11',
      '1.0.0',
      '1.0.1',
      '1.2.0',
      '1.10.0',
      '2.0.0',
    ]
    // Numeric identifiers rank below alphanumeric ones.
    const sorted = ordered.map((text) => ({text, version: parseVersion(text)!}))
    sorted.sort((a, b) => compareVersions(a.version, b.version))
    expect(sorted.map(({text}) => text)).toEqual([
      '1.0.0-2',
      '1.0.0-11',
      '1.0.0-alpha',
      '1.0.0-alpha.1',
      '1.0.0-alpha.beta',
      ...ordered.slice(5),
    ])
    expect(minVersion('1.29.0', '1.9.0')).toBe('1.9.0')
    expect(() => minVersion('1.29.0', 'x')).toThrow(RangeError)
  })

  it('open a gate from its version on, and not for pre-releases', () => {
    for (const [name, version] of Object.entries(gates) as [GateName, string][])
      expect(supports(version, name)).toBe(true)
    expect(supports('1.21.9', 'outgoingConnectV2')).toBe(false)
    expect(supports('1.30.0-rc.1', 'httpFramed')).toBe(false)
    expect(supports('nonsense', 'httpFramed')).toBe(false)
  })

  it('are required by messages', () => {
    const trace: ClientMessage = {
      type: 'TcpSteal',
      value: {
        type: 'PortSubscribe',
        value: {
          type: 'FilteredHttpEx',
          value: {
            port: 80,
            filter: {type: 'Composite', value: {all: true, filters: [{type: 'Method', value: {type: 'Trace'}}]}},
          },
        },
      },
    }
    expect(requiredGates(trace)).toEqual(['httpCompositeFilter', 'httpMethodFilter'])
    expect(requiredGates({type: 'Ping'})).toEqual([])
    expect(requiredGates({type: 'FileRequest', value: {type: 'UnlinkAt', value: {pathname: '/', flags: 0}}})).toEqual([
      'removeDir',
    ])
  })
})
