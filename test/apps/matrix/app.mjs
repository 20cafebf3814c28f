// The matrix program in JavaScript (Node, Bun, Deno); README.md says what the steps do. An argument `own=MODULE` replaces the
// steps that the module has by its own.
import {execFileSync} from 'node:child_process'
import dgram from 'node:dgram'
import dns from 'node:dns/promises'
import fs from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import process from 'node:process'

let name = 'Node'

const address = (text) => {
  const at = text.lastIndexOf(':')
  return {host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1))}
}
const tcp = (text) =>
  new Promise((resolve, reject) => {
    const socket = net.connect(address(text))
    socket.once('connect', () => socket.write('ping\n'))
    socket.once('data', (data) => {
      resolve(String(data).trim())
      socket.destroy()
    })
    socket.once('error', reject)
    socket.once('end', () => reject(new Error('ended')))
  })
const datagram = (text, connected) =>
  new Promise((resolve, reject) => {
    const {host, port} = address(text)
    const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4')
    const timer = setTimeout(() => {
      socket.close()
      reject(new Error('no answer'))
    }, 10_000)
    socket.once('message', (data, source) => {
      clearTimeout(timer)
      socket.close()
      resolve(connected ? String(data) : `${data} from ${source.address}:${source.port}`)
    })
    socket.once('error', reject)
    if (connected) socket.connect(port, host, () => socket.send('ping'))
    else socket.send('ping', port, host)
  })
const read = (path) => fs.readFileSync(path, 'utf8').trim()
const serve = (port) =>
  new Promise((resolve) => {
    const server = http.createServer((request, response) => {
      response.setHeader('connection', 'close')
      response.end(`${name} peer ${request.socket.remoteAddress.replace(/^::ffff:/, '')}`)
    })
    server.listen(Number(port))
    process.once('SIGTERM', () => {
      server.close()
      resolve('sigterm')
    })
  })
const steps = {
  tcp,
  tcp6: tcp,
  refused: tcp,
  unreachable: tcp,
  udp: (text) => datagram(text, true),
  udpto: (text) => datagram(text, false),
  dns: async (host) => (await dns.lookup(host, {family: 4})).address,
  srv: async (host) => String((await dns.resolveSrv(host))[0].port),
  read,
  missing: read,
  stat(path) {
    const {size, mode} = fs.statSync(path)
    return `${size} ${(mode & 0o7777).toString(8)}`
  },
  list: (path) => fs.readdirSync(path).sort().join(','),
  write(path) {
    fs.writeFileSync(path, `written by ${name}\n`)
    return read(path)
  },
  child: (path) => execFileSync('cat', [path], {encoding: 'utf8'}).trim(),
  serve,
}
for (const word of process.argv.slice(2)) {
  const at = word.indexOf('=')
  const [step, value] = [word.slice(0, at), word.slice(at + 1)]
  if (step === 'name') {
    name = value
    continue
  }
  if (step === 'own') {
    Object.assign(steps, (await import(value)).steps)
    continue
  }
  let result
  try {
    result = await steps[step](value, name)
  } catch (error) {
    result = error.message
  }
  process.stdout.write(`${step} ${result}\n`)
}
process.exit(0)
