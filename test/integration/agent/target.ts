// The deployed application of the tests, with what it talks to: runs inside the target's namespaces.
import {createSocket} from 'node:dgram'
import {createServer, type Server} from 'node:net'

const address = process.argv[2]!
const socketPath = process.argv[3]!

function listen(
  port: number | string,
  host: string | undefined,
  serve: Parameters<typeof createServer>[1],
): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({allowHalfOpen: true}, serve)
    server.on('error', reject)
    if (typeof port === 'string') server.listen(port, () => resolve(server))
    else server.listen(port, host, () => resolve(server))
  })
}

/** Answers one line with `deployed:<line>`, the line "slow" after a second, and keeps the connection. */
const application: Parameters<typeof createServer>[1] = (socket) => {
  const answer = (text: string) => void (socket.destroyed || socket.write(`deployed:${text}`))
  socket.on('data', (data) => {
    const text = data.toString()
    if (text.startsWith('slow')) setTimeout(answer, 1000, text)
    else answer(text)
  })
  socket.on('end', () => socket.end())
  socket.on('error', () => {})
}

const records: Readonly<Record<string, string>> = {
  'redis.default.svc.cluster.local': '10.201.255.7',
  'example.test': '10.201.255.8',
}
/** The end of the question's name, and the name. */
function readName(query: Buffer): {name: string; end: number} {
  const labels: string[] = []
  let at = 12
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return {name: labels.join('.'), end: at + 1}
}

const dns = createSocket('udp4')
dns.on('message', (query, peer) => {
  const {name, end} = readName(query)
  const known = records[name.toLowerCase()]
  const address4 = known !== undefined && query.readUInt16BE(end) === 1 ? known : undefined
  const header = Buffer.from(query.subarray(0, 12))
  // A response with recursion; response code 3 is NXDOMAIN.
  header.writeUInt16BE(known === undefined ? 0x8183 : 0x8180, 2)
  header.writeUInt16BE(address4 === undefined ? 0 : 1, 6)
  header.fill(0, 8)
  // The name by reference to the question, type A, class IN, one second, four bytes.
  const answer = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...(address4?.split('.').map(Number) ?? [])]
  const parts = [header, query.subarray(12, end + 4), ...(address4 === undefined ? [] : [Buffer.from(answer)])]
  dns.send(Buffer.concat(parts), peer.port, peer.address)
})
const echo = createSocket('udp4')
echo.on('message', (bytes, peer) => echo.send(bytes, peer.port, peer.address))
const echo6 = createSocket('udp6')
echo6.on('message', (bytes, peer) => echo6.send(bytes, peer.port, peer.address))

await Promise.all([
  listen(8080, '0.0.0.0', application),
  listen(8081, address, application),
  listen(8082, '::', application),
  listen(7000, '0.0.0.0', (socket) => {
    socket.on('error', () => {})
    socket.pipe(socket)
  }),
  listen(socketPath, undefined, (socket) => socket.pipe(socket)),
  listen('\0mirrord-test-abstract', undefined, (socket) => socket.pipe(socket)),
  new Promise<void>((resolve) => dns.bind(53, '127.0.0.1', resolve)),
  new Promise<void>((resolve) => echo.bind(9000, address, resolve)),
  new Promise<void>((resolve) => echo6.bind(9006, '::', resolve)),
])
process.stdout.write('listening\n')
