// The steps of the matrix by Bun's own interfaces, in place of those of Node that app.mjs uses.
/* global Bun, Response */
import {dns, file, write as writeFile} from 'bun'

const address = (text) => {
  const at = text.lastIndexOf(':')
  return {hostname: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1))}
}
const tcp = (text) =>
  new Promise((resolve, reject) => {
    Bun.connect({
      ...address(text),
      socket: {
        open: (socket) => void socket.write('ping\n'),
        data(socket, data) {
          resolve(String(data).trim())
          socket.end()
        },
        error: (_, error) => reject(error),
        close: () => reject(new Error('ended')),
        connectError: (_, error) => reject(new Error(error.code)),
      },
    }).catch(reject)
  })
const lookup = async (host) => (await dns.lookup(host, {family: 4}))[0].address
const datagram = async (text, connected) => {
  const {hostname, port} = address(text)
  const peer = await lookup(hostname)
  let arrived
  const answer = new Promise((resolve, reject) => {
    arrived = resolve
    setTimeout(() => reject(new Error('no answer')), 10_000)
  })
  const socket = await Bun.udpSocket({
    ...(connected ? {connect: {hostname: peer, port}} : {}),
    socket: {data: (_, data, from, host) => arrived(connected ? String(data) : `${data} from ${host}:${from}`)},
  })
  if (connected) socket.send('ping')
  else socket.send('ping', port, peer)
  return answer.finally(() => socket.close())
}
const read = async (path) => (await file(path).text()).trim()

export const steps = {
  tcp,
  tcp6: tcp,
  refused: tcp,
  unreachable: tcp,
  udp: (text) => datagram(text, true),
  udpto: (text) => datagram(text, false),
  dns: lookup,
  read,
  missing: read,
  async stat(path) {
    const {size, mode} = await file(path).stat()
    return `${size} ${(mode & 0o7777).toString(8)}`
  },
  async write(path, name) {
    await writeFile(path, `written by ${name}\n`)
    return read(path)
  },
  child: async (path) => (await new Response(Bun.spawn(['cat', path]).stdout).text()).trim(),
  serve: (port, name) =>
    new Promise((resolve) => {
      const server = Bun.serve({
        port: Number(port),
        fetch: (request) => new Response(`${name} peer ${server.requestIP(request).address.replace(/^::ffff:/, '')}`),
      })
      process.once('SIGTERM', () => {
        void server.stop()
        resolve('sigterm')
      })
    }),
}
