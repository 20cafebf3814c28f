// The steps of the matrix by Deno's own interfaces, in place of those of Node that app.mjs uses.
/* global Deno, Response, TextDecoder, TextEncoder */
const address = (text) => {
  const at = text.lastIndexOf(':')
  return {hostname: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1))}
}
const text = (bytes) => new TextDecoder().decode(bytes).trim()
const tcp = async (where) => {
  const connection = await Deno.connect(address(where))
  await connection.write(new TextEncoder().encode('ping\n'))
  const answer = new Uint8Array(64)
  const length = await connection.read(answer)
  connection.close()
  if (length === null) throw new Error('ended')
  return text(answer.subarray(0, length))
}
const lookup = async (host) => (await Deno.resolveDns(host, 'A'))[0]
const read = async (path) => (await Deno.readTextFile(path)).trim()

export const steps = {
  tcp,
  tcp6: tcp,
  refused: tcp,
  unreachable: tcp,
  async udpto(where) {
    const {hostname, port} = address(where)
    const socket = Deno.listenDatagram({transport: 'udp', hostname: '0.0.0.0', port: 0})
    await socket.send(new TextEncoder().encode('ping'), {transport: 'udp', hostname, port})
    const [data, from] = await socket.receive()
    socket.close()
    return `${text(data)} from ${from.hostname}:${from.port}`
  },
  dns: lookup,
  srv: async (host) => String((await Deno.resolveDns(host, 'SRV'))[0].port),
  read,
  missing: read,
  async stat(path) {
    const {size, mode} = await Deno.stat(path)
    return `${size} ${(mode & 0o7777).toString(8)}`
  },
  list: async (path) => (await Array.fromAsync(Deno.readDir(path), ({name}) => name)).sort().join(','),
  async write(path, name) {
    await Deno.writeTextFile(path, `written by ${name}\n`)
    return read(path)
  },
  child: async (path) => text((await new Deno.Command('cat', {args: [path]}).output()).stdout),
  async serve(port, name) {
    const server = Deno.serve({port: Number(port), onListen() {}}, (_, {remoteAddr}) => {
      const peer = remoteAddr.hostname.replace(/^::ffff:/, '')
      return new Response(`${name} peer ${peer}`, {headers: {connection: 'close'}})
    })
    await new Promise((resolve) => Deno.addSignalListener('SIGTERM', resolve))
    await server.shutdown()
    return 'sigterm'
  },
}
