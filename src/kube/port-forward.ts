import type {IncomingMessage} from 'node:http'
import {WebSocket, type ClientOptions} from 'ws'
import type {ByteChannel} from '../protocol/channel.ts'
import {readStatus} from './client.ts'
import type {Cluster} from './cluster.ts'
import {apiError, DeadlineError, transportError} from './errors.ts'
import {pathOf, type Operation} from './operation.ts'

/** A port of a pod. */
export interface PodPort {
  namespace: string
  pod: string
  port: number
}

/** The port cannot be reached although the tunnel to the node stands, usually because nothing listens there (yet). */
export class PortUnreachable extends Error {
  override readonly name = 'PortUnreachable'
}

/** A byte channel into a pod. */
export interface ForwardChannel extends ByteChannel {
  /** Fulfils when the channel has closed, with the reason unless it was clean. Never rejects. */
  readonly closed: Promise<Error | undefined>
  /** Why it closed, once it has closed for a reason. */
  readonly failure: Error | undefined
}

/** `write` says stop above this many bytes that the socket has not taken, and `onDrain` comes below half of it. */
const highWater = 1 << 20
/** Several messages instead of one above this size, so that one write does not occupy the server's buffers. */
const maxMessage = 1 << 20
const dataChannel = 0
const errorChannel = 1
const openTimeoutMs = 10_000
const closeTimeoutMs = 2000

/**
 * Opens a channel to a port of a pod through the API server. Opening succeeds before the port is known to answer: only
 * an answer proves it; otherwise the channel closes with PortUnreachable. Handlers must be set in the same turn in which
 * the promise is awaited; nothing is read before. Errors are those of requests.
 *
 * Version 4 of the channel protocol: each message begins with a channel number, each channel with two bytes that repeat
 * the port. There is no half-close, and the server reports the end about a second after the last data (tunnel.md 2), so
 * the protocol inside must carry its own end.
 */
export async function openForward(cluster: Cluster, at: PodPort, signal?: AbortSignal): Promise<ForwardChannel> {
  signal?.throwIfAborted()
  const operation: Operation = {
    verb: 'get',
    api: 'v1',
    resource: 'pods/portforward',
    namespace: at.namespace,
    name: at.pod,
  }
  const url = `${cluster.server.replace(/^http/, 'ws')}${pathOf(operation)}?ports=${at.port}`
  // closeTimeout exists since ws 8.19; its types do not know it yet.
  const options: ClientOptions & {closeTimeout: number} = {
    ...((await cluster.credentials.options()) as ClientOptions),
    perMessageDeflate: false,
    maxPayload: 0,
    skipUTF8Validation: true,
    handshakeTimeout: openTimeoutMs,
    closeTimeout: closeTimeoutMs,
    followRedirects: false,
  }
  // The mask protects plain-text proxies from forged requests; inside TLS it only costs a pass over every byte.
  if (url.startsWith('wss:')) options.generateMask = (mask) => mask.fill(0)
  const socket = new WebSocket(url, ['v5.channel.k8s.io', 'v4.channel.k8s.io'], options)
  socket.binaryType = 'nodebuffer'
  return await new Promise<ForwardChannel>((resolve, reject) => {
    const abort = () => {
      reject(signal?.reason instanceof Error ? signal.reason : new Error('aborted'))
      socket.terminate()
    }
    const settled = () => signal?.removeEventListener('abort', abort)
    signal?.addEventListener('abort', abort, {once: true})
    socket.once('open', () => {
      settled()
      resolve(channelOver(socket, at))
    })
    socket.once('unexpected-response', (_request, response: IncomingMessage) => {
      settled()
      readStatus(response)
        .then((status) => reject(apiError(cluster, operation, response.statusCode ?? 0, status)))
        .catch((error: unknown) => reject(transportError(cluster, error)))
        .finally(() => socket.terminate())
    })
    // Stays for the life of the socket: a terminated attempt still emits an error, and nobody else may listen by then.
    socket.on('error', (error) => {
      settled()
      const late = error.message === 'Opening handshake has timed out'
      reject(transportError(cluster, late ? new DeadlineError(error.message) : error))
    })
  })
}

function channelOver(socket: WebSocket, at: PodPort): ForwardChannel {
  let unsent = 0
  let waiting = false
  let failure: Error | undefined
  let ended = false
  const started = [false, false]
  const {promise: closed, resolve: resolveClosed} = Promise.withResolvers<Error | undefined>()

  const finish = (error?: Error) => {
    if (ended) return
    ended = true
    resolveClosed(error)
    channel.onClose(error)
  }

  const channel: ForwardChannel = {
    onData: () => {},
    onDrain: () => {},
    onClose: () => {},
    closed,
    get failure() {
      return failure
    },
    write(chunks) {
      if (ended || socket.readyState !== WebSocket.OPEN) return true
      for (const message of messagesOf(chunks)) {
        unsent += message.length
        socket.send(message, {binary: true}, () => {
          unsent -= message.length
          if (!waiting || unsent > highWater / 2 || ended) return
          waiting = false
          channel.onDrain()
        })
      }
      if (unsent < highWater) return true
      waiting = true
      return false
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => socket.close(1000),
    destroy: () => {
      socket.terminate()
      finish()
    },
  }

  socket.on('message', (data: Buffer) => {
    const number = data[0]
    if (ended || (number !== dataChannel && number !== errorChannel)) return
    let payload = data.subarray(1)
    if (!started[number]) {
      started[number] = true
      payload = payload.subarray(2)
      if (payload.length === 0) return
    }
    if (number === dataChannel) {
      channel.onData(payload)
      return
    }
    // After an error text the port is unusable, but the server closes only later: end now.
    failure = new PortUnreachable(`Port ${at.port} of the pod "${at.pod}" cannot be reached: ${payload.toString()}`)
    socket.terminate()
    finish(failure)
  })
  socket.on('error', (error) => (failure ??= error))
  socket.on('close', (code) => {
    const clean = code === 1000 || code === 1005
    if (!clean) failure ??= new Error(`The tunnel to the pod "${at.pod}" was cut (WebSocket code ${code}).`)
    finish(failure)
  })
  // Nothing may arrive before the caller has set its handlers, which it does when the promise's continuation runs.
  socket.pause()
  setImmediate(() => socket.resume())
  return channel
}

/** The chunks as messages of the data channel: one, unless they are large. */
function messagesOf(chunks: readonly Uint8Array[]): Buffer[] {
  let total = 0
  for (const chunk of chunks) total += chunk.length
  const messages: Buffer[] = []
  let current: Buffer | undefined
  let filled = 0
  for (const chunk of chunks) {
    let offset = 0
    while (offset < chunk.length) {
      if (!current) {
        current = Buffer.allocUnsafe(Math.min(total, maxMessage) + 1)
        current[0] = dataChannel
        filled = 1
      }
      const part = chunk.subarray(offset, offset + current.length - filled)
      current.set(part, filled)
      filled += part.length
      offset += part.length
      total -= part.length
      if (filled === current.length) {
        messages.push(current)
        current = undefined
      }
    }
  }
  return messages
}
