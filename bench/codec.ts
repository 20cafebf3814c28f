/**
 * Cost of the hot messages of the protocol: `node bench/codec.ts`. Each row: the median of several rounds, after a warm-up.
 * Payloads are counted in MB/s although neither direction copies them; "coalesced" is the copying form.
 */
import {
  ClientMessage,
  DaemonMessage,
  decode,
  encode,
  encodeChunks,
  MessageDecoder,
  type Codec,
} from '../src/protocol/index.ts'

const rounds = 9
const roundMs = 60

interface Row {
  name: string
  nsPerOp: number
  megabytesPerSecond: number
}

/** Runs `operation` for several rounds and reports the median; `bytes` is the size that one operation handles. */
function measure(name: string, bytes: number, operation: () => void): Row {
  const once = (): number => {
    let count = 0
    const start = performance.now()
    let elapsed = 0
    while (elapsed < roundMs) {
      for (let i = 0; i < 100; i++) operation()
      count += 100
      elapsed = performance.now() - start
    }
    return (elapsed * 1e6) / count
  }
  once()
  const samples = Array.from({length: rounds}, once).sort((a, b) => a - b)
  const nsPerOp = samples[Math.floor(rounds / 2)]!
  return {name, nsPerOp, megabytesPerSecond: (bytes * 1000) / nsPerOp}
}

function rowsOf<T>(name: string, codec: Codec<T>, message: T): Row[] {
  const bytes = Buffer.from(encode(codec, message))
  const repeat = Math.max(1, Math.floor(65_536 / bytes.length))
  const chunk = Buffer.concat(Array.from({length: repeat}, () => bytes))
  const decoder = new MessageDecoder(codec)
  const perMessage = measure(`${name}: stream decode`, chunk.length, () => {
    decoder.push(chunk)
    while (decoder.next() !== undefined);
  })
  return [
    measure(`${name}: encode chunks`, bytes.length, () => void encodeChunks(codec, message)),
    measure(`${name}: encode coalesced`, bytes.length, () => void encode(codec, message)),
    measure(`${name}: decode one`, bytes.length, () => void decode(codec, bytes)),
    {...perMessage, nsPerOp: perMessage.nsPerOp / repeat},
  ]
}

const kib16 = new Uint8Array(16 * 1024).fill(7)
const http: DaemonMessage = {
  type: 'TcpSteal',
  value: {
    type: 'HttpRequestChunked',
    value: {
      type: 'StartV2',
      value: {
        connectionId: 1000,
        requestId: 0,
        request: {
          method: 'GET',
          uri: '/api/v1/items?limit=10',
          headers: [
            ['host', 'shop.example'],
            ['user-agent', 'curl/8.5.0'],
            ['accept', '*/*'],
            ['accept-encoding', 'gzip, deflate'],
            ['x-request-id', '6f9619ff-8b86-d011-b42d-00c04fc964ff'],
            ['cookie', 'session=abcdef; theme=dark'],
          ],
          version: 'HTTP/1.1',
          body: {frames: [], isLast: true},
        },
        metadata: {
          type: 'V1',
          value: {source: {ip: '10.0.0.2', port: 51_000}, destination: {ip: '10.0.0.1', port: 80}},
        },
        transport: {type: 'Tcp'},
      },
    },
  },
}

const rows = [
  ...rowsOf<ClientMessage>('TcpSteal Data 16 KiB', ClientMessage, {
    type: 'TcpSteal',
    value: {type: 'Data', value: {connectionId: 1000, bytes: kib16}},
  }),
  ...rowsOf<DaemonMessage>('TcpOutgoing Read 16 KiB', DaemonMessage, {
    type: 'TcpOutgoing',
    value: {type: 'Read', value: {type: 'Ok', value: {connectionId: 1000, bytes: kib16}}},
  }),
  ...rowsOf<DaemonMessage>('TcpOutgoing Read 100 B', DaemonMessage, {
    type: 'TcpOutgoing',
    value: {type: 'Read', value: {type: 'Ok', value: {connectionId: 1000, bytes: kib16.subarray(0, 100)}}},
  }),
  ...rowsOf<ClientMessage>('TcpOutgoing Close', ClientMessage, {
    type: 'TcpOutgoing',
    value: {type: 'Close', value: {connectionId: 1000}},
  }),
  ...rowsOf<ClientMessage>('Ping', ClientMessage, {type: 'Ping'}),
  ...rowsOf<DaemonMessage>('HTTP request, 6 headers', DaemonMessage, http),
]

for (const {name, nsPerOp, megabytesPerSecond} of rows) {
  console.log(
    `${name.padEnd(44)} ${nsPerOp.toFixed(0).padStart(7)} ns ${megabytesPerSecond.toFixed(0).padStart(9)} MB/s`,
  )
}
