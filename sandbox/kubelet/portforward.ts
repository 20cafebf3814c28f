import type {IncomingMessage} from 'node:http'
import type {Socket} from 'node:net'
import type {Duplex} from 'node:stream'

import {WebSocketServer} from 'ws'
import type {RawData, WebSocket} from 'ws'

import {badRequest} from '../api/status.ts'

const PROTOCOL = 'v4.channel.k8s.io'
/** Bytes waiting in the WebSocket above which the pod's socket is no longer read. */
const HIGH_WATER = 256 * 1024

export interface Forward {
  pod: string
  uid: string
  dial(port: number): Promise<Socket>
}

const accept = new WebSocketServer({
  noServer: true,
  perMessageDeflate: false,
  handleProtocols: () => PROTOCOL,
  maxPayload: 32 * 1024 * 1024,
})

/** Ports of the query, as `ports=1&ports=2` or `ports=1,2`. Throws 400. */
function portsOf(query: URLSearchParams): number[] {
  const ports = query
    .getAll('ports')
    .flatMap((text) => text.split(','))
    .map(Number)
  if (!ports.length) throw badRequest('query parameter "port" is required')
  const wrong = ports.find((port) => !Number.isInteger(port) || port < 1 || port > 65_535)
  if (wrong !== undefined) throw badRequest(`unable to parse "${wrong}" as a port`)
  return ports
}

/**
 * Port-forward over WebSocket. Channel 2i is the data of port i, 2i+1 its error text; the first message of every channel
 * is the port, two bytes little-endian. Measured on a real kubelet: only this protocol is spoken (v5 alone gets 403), the
 * upgrade succeeds for a dead port too, and there is no half-close. A slow pod stops the client, a slow client the pod.
 */
export function forward(
  query: URLSearchParams,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  to: Forward,
): void {
  const ports = portsOf(query)
  if (request.headers.upgrade?.toLowerCase() !== 'websocket')
    throw badRequest('unable to upgrade: this server speaks port-forward over WebSocket only')
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  if (!offered.includes(PROTOCOL)) {
    socket.end('HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
    return
  }
  accept.handleUpgrade(request, socket, head, (ws) => {
    ws.on('error', () => ws.terminate())
    // Gone while its handshake was answered: nobody would answer a close either.
    if (socket.destroyed) return ws.terminate()
    const channels = ports.map((port, index) => channel(ws, index, port, to))
    const ends = Promise.all(channels.map(({closed}) => closed))
    void ends.then(() => ws.close(1000))
    ws.on('message', (data: RawData) => {
      const bytes = Array.isArray(data) ? Buffer.concat(data) : (data as Buffer)
      const number = bytes[0]
      if (number === undefined || number % 2 === 1) return
      channels[number / 2]?.write(bytes.subarray(1))
    })
    ws.on('close', () => {
      for (const {destroy} of channels) destroy()
    })
  })
}

function channel(ws: WebSocket, index: number, port: number, to: Forward) {
  const prefix = (channel: number, bytes: Uint8Array) => {
    const message = Buffer.allocUnsafe(bytes.length + 1)
    message[0] = channel
    message.set(bytes, 1)
    return message
  }
  const portBytes = Buffer.from([port & 255, port >> 8])
  ws.send(prefix(index * 2, portBytes))
  ws.send(prefix(index * 2 + 1, portBytes))

  let end!: () => void
  const closed = new Promise<void>((resolve) => (end = resolve))
  let early: Buffer[] | undefined = []
  let socket: Socket | undefined
  let gone = false
  const write = (bytes: Buffer) => {
    if (!bytes.length || gone) return
    if (!socket) return void early?.push(bytes)
    // The whole WebSocket waits for the slowest port: channels share one stream, as they do on a real server.
    if (!socket.write(bytes)) {
      ws.pause()
      socket.once('drain', () => ws.resume())
    }
  }
  to.dial(port).then(
    (connected) => {
      if (gone) return void connected.destroy()
      socket = connected
      connected.setNoDelay(true)
      connected.on('data', (chunk: Buffer) => {
        ws.send(prefix(index * 2, chunk), () => {
          if (connected.isPaused() && ws.bufferedAmount < HIGH_WATER) connected.resume()
        })
        if (ws.bufferedAmount >= HIGH_WATER) connected.pause()
      })
      connected.on('error', () => connected.destroy())
      connected.on('close', () => {
        gone = true
        ws.resume()
        end()
      })
      connected.resume()
      for (const bytes of early ?? []) write(bytes)
      early = undefined
    },
    (error: Error) => {
      gone = true
      const why = /ECONNREFUSED/.test(error.message)
        ? `dial tcp4 127.0.0.1:${port}: connect: connection refused`
        : error.message
      const text = `error forwarding port ${port} to pod ${to.uid}, uid : failed to execute portforward in network namespace: failed to connect to localhost:${port} inside namespace "${to.uid}": ${why}`
      ws.send(prefix(index * 2 + 1, Buffer.from(text)), () => end())
    },
  )
  return {
    closed,
    write,
    destroy() {
      gone = true
      socket?.destroy()
    },
  }
}
