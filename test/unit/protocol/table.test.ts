import {describe, expect, it} from 'vitest'
import {
  ClientMessage,
  DaemonMessage,
  decode,
  encode,
  type Codec,
  type HttpFilter,
  type OpenOptions,
  type SocketAddr,
  type SocketAddress,
} from '../../../src/protocol/index.ts'

/** The readable vectors of spec protocol.md 7: bytes and value. */
type Row<T> = [hex: string, value: T]

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const addr = (ip: string, port: number): SocketAddr => ({ip, port})
const ip = (address: string, port: number): SocketAddress => ({type: 'Ip', value: addr(address, port)})
const readOnly: OpenOptions = {
  read: true,
  write: false,
  append: false,
  truncate: false,
  create: false,
  createNew: false,
}
const steal = (value: Extract<ClientMessage, {type: 'TcpSteal'}>['value']): ClientMessage => ({type: 'TcpSteal', value})
const filtered = (filter: HttpFilter): ClientMessage =>
  steal({type: 'PortSubscribe', value: {type: 'FilteredHttpEx', value: {port: 80, filter}}})
const file = (value: Extract<ClientMessage, {type: 'FileRequest'}>['value']): ClientMessage => ({
  type: 'FileRequest',
  value,
})
const exchange = {connectionId: 5, requestId: 0}
const host = [['host', 'x']] as const

const clientRows: Row<ClientMessage>[] = [
  ['00', {type: 'Close'}],
  ['07', {type: 'Ping'}],
  ['0a 06 31 2e 32 39 2e 30', {type: 'SwitchProtocolVersion', value: '1.29.0'}],
  ['0b', {type: 'ReadyForLogs'}],
  ['06 00 01 01 2a', {type: 'GetEnvVarsRequest', value: {envVarsFilter: new Set(), envVarsSelect: new Set(['*'])}}],
  ['01 00 50', {type: 'Tcp', value: {type: 'PortSubscribe', value: 80}}],
  ['01 00 fb 90 1f', {type: 'Tcp', value: {type: 'PortSubscribe', value: 8080}}],
  ['01 01 03', {type: 'Tcp', value: {type: 'ConnectionUnsubscribe', value: 3}}],
  [
    '01 03 50 01 04 2f 61 70 69',
    {type: 'Tcp', value: {type: 'PortSubscribeFilteredHttp', value: {port: 80, filter: {type: 'Path', value: '/api'}}}},
  ],
  ['02 00 00 50', steal({type: 'PortSubscribe', value: {type: 'All', value: 80}})],
  [
    '02 00 02 50 02 01 02 00 06 78 2d 61 3a 20 62 03 00',
    filtered({
      type: 'Composite',
      value: {
        all: true,
        filters: [
          {type: 'Header', value: 'x-a: b'},
          {type: 'Method', value: {type: 'Get'}},
        ],
      },
    }),
  ],
  [
    '02 00 02 50 04 00 04 24 2e 69 64 03 5e 37 24',
    filtered({type: 'Body', value: {type: 'Json', value: {query: '$.id', matches: '^7$'}}}),
  ],
  ['02 03 05 02 68 69', steal({type: 'Data', value: {connectionId: 5, bytes: text('hi')}})],
  ['02 03 05 00', steal({type: 'Data', value: {connectionId: 5, bytes: text('')}})],
  [
    '02 05 50 05 00 c8 08 48 54 54 50 2f 31 2e 31 02 0c 63 6f 6e 74 65 6e 74 2d 74 79 70 65 01 0a 74 65 78 74 2f 70 6c' +
      ' 61 69 6e 0a 73 65 74 2d 63 6f 6f 6b 69 65 02 03 61 3d 31 03 62 3d 32 01 00 02 6f 6b',
    steal({
      type: 'HttpResponseFramed',
      value: {
        port: 80,
        ...exchange,
        internalResponse: {
          status: 200,
          version: 'HTTP/1.1',
          headers: [
            ['content-type', 'text/plain'],
            ['set-cookie', 'a=1'],
            ['set-cookie', 'b=2'],
          ],
          body: [{type: 'Data', value: text('ok')}],
        },
      },
    }),
  ],
  [
    '02 04 50 05 00 fb f6 01 08 48 54 54 50 2f 32 2e 30 00 01 78',
    steal({
      type: 'HttpResponse',
      value: {
        port: 80,
        ...exchange,
        internalResponse: {status: 502, version: 'HTTP/2.0', headers: [], body: text('x')},
      },
    }),
  ],
  [
    '02 06 00 50 05 00 fb 94 01 08 48 54 54 50 2f 31 2e 31 00 00',
    steal({
      type: 'HttpResponseChunked',
      value: {
        type: 'Start',
        value: {port: 80, ...exchange, internalResponse: {status: 404, version: 'HTTP/1.1', headers: [], body: []}},
      },
    }),
  ],
  [
    '02 06 01 02 00 02 61 62 01 01 0b 67 72 70 63 2d 73 74 61 74 75 73 01 01 30 01 05 00',
    steal({
      type: 'HttpResponseChunked',
      value: {
        type: 'Body',
        value: {
          frames: [
            {type: 'Data', value: text('ab')},
            {type: 'Trailers', value: [['grpc-status', '0']]},
          ],
          isLast: true,
          ...exchange,
        },
      },
    }),
  ],
  ['02 06 02 05 00', steal({type: 'HttpResponseChunked', value: {type: 'Error', value: exchange}})],
  [
    '03 03 fe ff ee dd cc bb aa 99 88 77 66 55 44 33 22 11 00 00 00 0a 00 00 01 50',
    {
      type: 'TcpOutgoing',
      value: {
        type: 'ConnectV2',
        value: {uid: 0x00112233_44556677_8899aabb_ccddeeffn, remoteAddress: ip('10.0.0.1', 80)},
      },
    },
  ],
  [
    '03 03 01 01 00 02 2f 61',
    {
      type: 'TcpOutgoing',
      value: {
        type: 'ConnectV2',
        value: {uid: 1n, remoteAddress: {type: 'Unix', value: {type: 'Pathname', value: '/a'}}},
      },
    },
  ],
  [
    '03 00 00 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 fb 90 1f',
    {type: 'TcpOutgoing', value: {type: 'Connect', value: {remoteAddress: ip('::1', 8080)}}},
  ],
  ['03 01 00 01 61', {type: 'TcpOutgoing', value: {type: 'Write', value: {connectionId: 0, bytes: text('a')}}}],
  ['04 02 00', {type: 'UdpOutgoing', value: {type: 'Close', value: {connectionId: 0}}}],
  ['10 01 00', {type: 'SeqpacketOutgoing', value: {type: 'Close', value: {connectionId: 0}}}],
  ['08 03 61 2e 62', {type: 'GetAddrInfoRequest', value: {node: 'a.b'}}],
  [
    '0d 03 61 2e 62 00 02 02 00 00',
    {
      type: 'GetAddrInfoRequestV2',
      value: {node: 'a.b', servicePort: 0, family: {type: 'Both'}, socktype: {type: 'Any'}, flags: 0, protocol: 0},
    },
  ],
  ['0e 07', {type: 'OperatorPong', value: 7n}],
  [
    '05 00 0a 2f 65 74 63 2f 68 6f 73 74 73 01 00 00 00 00 00',
    file({type: 'Open', value: {path: '/etc/hosts', openOptions: readOnly}}),
  ],
  ['05 02 00 fc 00 00 10 00', file({type: 'Read', value: {remoteFd: 0, bufferSize: 1_048_576}})],
  ['05 04 00 01 01', file({type: 'Seek', value: {fd: 0, seekFrom: {type: 'End', value: -1}}})],
  ['05 09 01 02 2f 61 00 01', file({type: 'Xstat', value: {path: '/a', followSymlink: true}})],
  ['05 10 01 80', file({type: 'ReadDirBatch', value: {remoteFd: 1, amount: 128}})],
  ['05 1b 01 00', file({type: 'Futimens', value: {fd: 1}})],
  ['05 1d 01 fb a4 01', file({type: 'Fchmod', value: {fd: 1, mode: 0o644}})],
  ['11 00 01 6b', {type: 'ShareLink', value: {type: 'RegisterKey', value: 'k'}}],
]

const connection = {
  connectionId: 0,
  remoteAddress: '10.0.0.2',
  destinationPort: 80,
  sourcePort: 51_000,
  localAddress: '10.0.0.1',
}

const daemonRows: Row<DaemonMessage>[] = [
  ['00 03 62 79 65', {type: 'Close', value: 'bye'}],
  ['07', {type: 'Pong'}],
  ['0b 06 31 2e 32 39 2e 30', {type: 'SwitchProtocolVersionResponse', value: '1.29.0'}],
  ['05 01 77 00', {type: 'LogMessage', value: {message: 'w', level: {type: 'Warn'}}}],
  ['08 00 01 01 41 01 31', {type: 'GetEnvVarsResponse', value: {type: 'Ok', value: new Map([['A', '1']])}}],
  [
    '09 00 01 03 61 2e 62 00 0a 00 00 01',
    {type: 'GetAddrInfoResponse', value: {type: 'Ok', value: [{name: 'a.b', ip: '10.0.0.1'}]}},
  ],
  [
    '09 01 05 02 03',
    {
      type: 'GetAddrInfoResponse',
      value: {type: 'Err', value: {type: 'DnsLookup', value: {kind: {type: 'NoRecordsFound', value: 3}}}},
    },
  ],
  ['01 03 00 50', {type: 'Tcp', value: {type: 'SubscribeResult', value: {type: 'Ok', value: 80}}}],
  [
    '01 07 00 00 0a 00 00 02 50 fb 38 c7 00 0a 00 00 01 00',
    {type: 'Tcp', value: {type: 'NewConnectionV2', value: {connection, transport: {type: 'Tcp'}}}},
  ],
  [
    '02 07 00 00 0a 00 00 02 fb bb 01 fb 38 c7 00 0a 00 00 01 01 01 02 68 32 01 01 78',
    {
      type: 'TcpSteal',
      value: {
        type: 'NewConnectionV2',
        value: {
          connection: {...connection, destinationPort: 443},
          transport: {type: 'Tls', value: {alpnProtocol: text('h2'), serverName: 'x'}},
        },
      },
    },
  ],
  ['02 02 05', {type: 'TcpSteal', value: {type: 'Close', value: {connectionId: 5}}}],
  [
    '02 06 03 05 00 03 47 45 54 02 2f 61 01 04 68 6f 73 74 01 01 78 08 48 54 54 50 2f 31 2e 31 00 01 00 00 0a 00 00 02' +
      ' fb 38 c7 00 0a 00 00 01 50 00',
    {
      type: 'TcpSteal',
      value: {
        type: 'HttpRequestChunked',
        value: {
          type: 'StartV2',
          value: {
            ...exchange,
            request: {
              method: 'GET',
              uri: '/a',
              headers: host,
              version: 'HTTP/1.1',
              body: {frames: [], isLast: true},
            },
            metadata: {type: 'V1', value: {source: addr('10.0.0.2', 51_000), destination: addr('10.0.0.1', 80)}},
            transport: {type: 'Tcp'},
          },
        },
      },
    },
  ],
  [
    '02 05 04 50 4f 53 54 02 2f 61 01 04 68 6f 73 74 01 01 78 08 48 54 54 50 2f 31 2e 31 01 00 01 71 05 00 50',
    {
      type: 'TcpSteal',
      value: {
        type: 'HttpRequestFramed',
        value: {
          internalRequest: {
            method: 'POST',
            uri: '/a',
            headers: host,
            version: 'HTTP/1.1',
            body: [{type: 'Data', value: text('q')}],
          },
          ...exchange,
          port: 80,
        },
      },
    },
  ],
  [
    '02 06 04 05 00 01 65',
    {
      type: 'TcpSteal',
      value: {type: 'HttpRequestChunked', value: {type: 'ErrorV2', value: {...exchange, errorMessage: 'e'}}},
    },
  ],
  [
    '03 03 01 00 00 00 00 0a 00 00 01 50 00 00 0a 00 00 09 fb 40 9c',
    {
      type: 'TcpOutgoing',
      value: {
        type: 'ConnectV2',
        value: {
          uid: 1n,
          connect: {
            type: 'Ok',
            value: {connectionId: 0, remoteAddress: ip('10.0.0.1', 80), localAddress: ip('10.0.0.9', 40_000)},
          },
        },
      },
    },
  ],
  [
    '03 03 01 01 04 01 de 02',
    {
      type: 'TcpOutgoing',
      value: {
        type: 'ConnectV2',
        value: {
          uid: 1n,
          connect: {
            type: 'Err',
            value: {type: 'RemoteIO', value: {rawOsError: 111, kind: {type: 'ConnectionRefused'}}},
          },
        },
      },
    },
  ],
  [
    '03 01 00 00 01 7a',
    {type: 'TcpOutgoing', value: {type: 'Read', value: {type: 'Ok', value: {connectionId: 0, bytes: text('z')}}}},
  ],
  ['03 02 00', {type: 'TcpOutgoing', value: {type: 'Close', value: 0}}],
  ['06 00 00 00', {type: 'File', value: {type: 'Open', value: {type: 'Ok', value: {fd: 0}}}}],
  [
    '06 00 01 04 01 04 00',
    {
      type: 'File',
      value: {
        type: 'Open',
        value: {type: 'Err', value: {type: 'RemoteIO', value: {rawOsError: 2, kind: {type: 'NotFound'}}}},
      },
    },
  ],
  [
    '06 01 00 02 68 69 02',
    {type: 'File', value: {type: 'Read', value: {type: 'Ok', value: {bytes: text('hi'), readAmount: 2}}}},
  ],
  ['06 0e 00', {type: 'File', value: {type: 'MakeDir', value: {type: 'Ok'}}}],
  ['06 06 00', {type: 'File', value: {type: 'Access', value: {type: 'Ok'}}}],
  [
    '06 0d 00 01 01 09 00 01 66 08',
    {
      type: 'File',
      value: {
        type: 'ReadDirBatch',
        value: {type: 'Ok', value: {fd: 1, dirEntries: [{inode: 9, position: 0, name: 'f', fileType: 8}]}},
      },
    },
  ],
  ['0d 07', {type: 'OperatorPing', value: 7n}],
  ['0e 00 00 01 68', {type: 'ReverseDnsLookup', value: {type: 'Ok', value: {hostname: {type: 'Ok', value: 'h'}}}}],
  [
    '02 03 01 0c 00 00 50 01 01 70 01 72',
    {
      type: 'TcpSteal',
      value: {
        type: 'SubscribeResult',
        value: {
          type: 'Err',
          value: {
            type: 'ForbiddenWithReason',
            value: {
              blockedAction: {type: 'Steal', value: {type: 'All', value: 80}},
              policyName: 'p',
              reason: 'r',
            },
          },
        },
      },
    },
  ],
  [
    '08 01 0d 01 01 01 6d',
    {
      type: 'GetEnvVarsResponse',
      value: {type: 'Err', value: {type: 'SystemFailure', value: {canRetry: true, code: 1, message: 'm'}}},
    },
  ],
  [
    '0a 00 01 00',
    {type: 'PauseTarget', value: {type: 'PauseResponse', value: {changed: true, containerPaused: false}}},
  ],
]

function holds<T>(codec: Codec<T>, rows: Row<T>[]): void {
  it.each(rows)('%s', (hex, value) => {
    const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex')
    expect(decode(codec, bytes)).toEqual(value)
    expect(Buffer.from(encode(codec, value))).toEqual(bytes)
  })
}

describe('client messages of the specification', () => holds(ClientMessage, clientRows))
describe('agent messages of the specification', () => holds(DaemonMessage, daemonRows))
