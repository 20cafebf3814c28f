import {once} from 'node:events'
import net from 'node:net'
import {networkInterfaces} from 'node:os'
import {setTimeout as delay} from 'node:timers/promises'

/** False in a container without IPv6, where even the loopback interface has no address of it. */
export const hasIPv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({address}) => address === '::1'),
)

/** Polls until `check` is true; fails after ten seconds with what was awaited. */
export async function until(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`${what} did not come`)
    await delay(5)
  }
}

/** Closes what a test opened, last first. */
export class Cleanup {
  readonly #steps: (() => void)[] = []

  add<T>(value: T, close: (value: T) => void): T {
    this.#steps.push(() => close(value))
    return value
  }

  socket(socket: net.Socket): net.Socket {
    socket.on('error', () => {})
    return this.add(socket, (it) => it.destroy())
  }

  run(): void {
    for (const step of this.#steps.splice(0).reverse()) step()
  }
}

/** A connected pair: the program's end, and ours as a relay gets it (paused, half-open allowed). */
export async function socketPair(cleanup: Cleanup): Promise<{program: net.Socket; ours: net.Socket}> {
  const server = net.createServer({pauseOnConnect: true, allowHalfOpen: true})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const program = cleanup.socket(
    net.connect({port: (server.address() as net.AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true}),
  )
  const [ours] = (await once(server, 'connection')) as [net.Socket]
  cleanup.socket(ours)
  if (program.connecting) await once(program, 'connect')
  server.close()
  return {program, ours}
}

/** Connects as a program does; the socket allows half-open. */
export async function dial(
  cleanup: Cleanup,
  to: {address: string; port: number},
  from?: {address: string; port?: number},
): Promise<net.Socket> {
  const socket = cleanup.socket(
    net.connect({
      host: to.address,
      port: to.port,
      localAddress: from?.address,
      localPort: from?.port,
      allowHalfOpen: true,
    }),
  )
  await once(socket, 'connect')
  return socket
}

/** Everything that a socket receives until it ends; `error` when it was reset. */
export function collect(socket: net.Socket): {text(): string; bytes(): number; ended: Promise<'end' | 'reset'>} {
  const chunks: Buffer[] = []
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    bytes += chunk.length
  })
  const ended = new Promise<'end' | 'reset'>((resolve) => {
    socket.once('end', () => resolve('end'))
    socket.once('error', () => resolve('reset'))
    socket.once('close', () => resolve('reset'))
  })
  return {text: () => Buffer.concat(chunks).toString(), bytes: () => bytes, ended}
}
