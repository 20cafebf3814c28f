import {WebSocketServer, type WebSocket} from 'ws'
import type {FakeApi} from './fake-api.ts'

/** A port-forward as the server side sees it: raw messages of the channel protocol, version 4. */
export interface ServerForward {
  socket: WebSocket
  port: number
  offered: string
  /** Sends data to the client, after the port prefix. */
  send(data: Uint8Array): void
  /** Tells that the port cannot be reached, as a kubelet does: text on channel 1, then the end. */
  fail(text: string): void
}

/** Answers port-forwards of a fake API server; `data` of the handler gets what the client sends. */
export function forwardsOn(
  api: FakeApi,
  connected: (forward: ServerForward) => ((data: Buffer) => void) | undefined,
  options: {refuse?: () => number | undefined} = {},
): void {
  const server = new WebSocketServer({noServer: true, handleProtocols: () => 'v4.channel.k8s.io'})
  api.server.on('upgrade', (request, socket, head) => {
    const refused = options.refuse?.()
    if (refused !== undefined) {
      socket.end(
        `HTTP/1.1 ${refused} Refused\r\ncontent-type: application/json\r\n\r\n{"kind":"Status","message":"refused by the test"}`,
      )
      return
    }
    server.handleUpgrade(request, socket, head, (ws) => {
      const port = Number(new URL(request.url ?? '', 'http://x').searchParams.get('ports'))
      const prefix = Buffer.from([port & 255, port >> 8])
      for (const channel of [0, 1]) ws.send(Buffer.concat([Buffer.from([channel]), prefix]))
      const data = connected({
        socket: ws,
        port,
        offered: request.headers['sec-websocket-protocol'] ?? '',
        send: (bytes) => ws.send(Buffer.concat([Buffer.from([0]), bytes])),
        fail: (text) => {
          ws.send(Buffer.concat([Buffer.from([1]), Buffer.from(text)]))
          ws.close(1000)
        },
      })
      ws.on('message', (message: Buffer) => data?.(message.subarray(1)))
    })
  })
}
