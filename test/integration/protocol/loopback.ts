import {once} from 'node:events'
import net from 'node:net'
import {socketChannel, type ByteChannel} from '../../../src/protocol/index.ts'

/** Both ends of one TCP connection over loopback. Closing destroys both. */
export interface Loopback extends AsyncDisposable {
  client: net.Socket
  server: net.Socket
}

/** Connects two sockets over loopback. */
export async function loopback(): Promise<Loopback> {
  const listener = net.createServer({pauseOnConnect: true})
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const client = net.connect((listener.address() as net.AddressInfo).port, '127.0.0.1')
  const [server] = (await once(listener, 'connection')) as [net.Socket]
  if (client.connecting) await once(client, 'connect')
  listener.close()
  // A destroyed peer resets the connection; who cares about that listens for himself.
  client.on('error', () => undefined)
  server.on('error', () => undefined)
  return {
    client,
    server,
    async [Symbol.asyncDispose]() {
      client.destroy()
      server.destroy()
    },
  }
}

/** Both ends as byte channels. */
export function channels({client, server}: Loopback): {client: ByteChannel; server: ByteChannel} {
  const ends = {client: socketChannel(client), server: socketChannel(server)}
  ends.server.resume()
  return ends
}

/** A queue of received values that can be awaited one by one. */
export class Inbox<T> {
  readonly #values: T[] = []
  readonly #waiting: ((value: T) => void)[] = []

  readonly put = (value: T): void => {
    const waiting = this.#waiting.shift()
    if (waiting) waiting(value)
    else this.#values.push(value)
  }

  next(): Promise<T> {
    if (this.#values.length > 0) return Promise.resolve(this.#values.shift() as T)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  get size(): number {
    return this.#values.length
  }
}
