import type {ByteChannel} from '../protocol/channel.ts'
import {readStatus} from './client.ts'
import type {Cluster} from './cluster.ts'
import {apiError, DeadlineError, isStatus, transportError} from './errors.ts'
import {pathOf, type Operation} from './operation.ts'
import {withRetryAfter} from './retry.ts'
import {isNoTunnel, noTunnel} from './tunnel-refusal.ts'
import {HandshakeTimeout, openWebSocket, Refused, type ClientWebSocket} from './websocket.ts'

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
 * the promise is awaited; nothing is read before. Errors are those of requests, and NO_TUNNEL (exit clusterUnreachable) where
 * the server, or what is before it, opens no WebSockets.
 *
 * Version 4 of the channel protocol: each message begins with a channel number, each channel with two bytes that repeat
 * the port. There is no half-close, and the server reports the end about a second after the last data (tunnel.md 2), so
 * the protocol inside must carry its own end.
 */
export async function openForward(cluster: Cluster, at: PodPort, signal?: AbortSignal): Promise<ForwardChannel> {
  try {
    return await open(cluster, at, signal)
  } catch (error) {
    // A token may have just expired: one new one, then the refusal counts.
    if (!isStatus(error, 401) || !cluster.credentials.renew()) throw error
    return open(cluster, at, signal)
  }
}

async function open(cluster: Cluster, at: PodPort, signal?: AbortSignal): Promise<ForwardChannel> {
  signal?.throwIfAborted()
  const operation: Operation = {
    verb: 'get',
    api: 'v1',
    resource: 'pods/portforward',
    namespace: at.namespace,
    name: at.pod,
  }
  const url = `${cluster.server.replace(/^http/, 'ws')}${pathOf(operation)}?ports=${at.port}`
  const request = await cluster.credentials.options()
  try {
    const protocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io']
    const socket = await openWebSocket(url, {protocols, request, openTimeoutMs, closeTimeoutMs, signal})
    return channelOver(socket, at)
  } catch (error) {
    signal?.throwIfAborted()
    if (!(error instanceof Refused)) {
      const late = error instanceof HandshakeTimeout
      throw transportError(cluster, late ? new DeadlineError(error.message) : error, operation)
    }
    const {response} = error
    const code = response.statusCode ?? 0
    const timer = setTimeout(() => response.destroy(new DeadlineError('no end')), openTimeoutMs)
    const status = await readStatus(response)
      .catch((failure: unknown) => {
        throw transportError(cluster, failure, operation)
      })
      .finally(() => clearTimeout(timer))
    if (isNoTunnel(code, status)) throw await noTunnel(cluster, code, status)
    throw withRetryAfter(apiError(cluster, operation, code, status), response)
  }
}

function channelOver(socket: ClientWebSocket, at: PodPort): ForwardChannel {
  let unsent = 0
  let waiting = false
  let failure: Error | undefined
  let ended = false
  /** Bytes of each channel's prefix, the port's number, that are still to come. */
  const prefix = [2, 2]
  /** The channel of the message that is being received. */
  let current: number | undefined
  let complaint = ''
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
      if (ended || !socket.open) return true
      for (const {parts, length} of messagesOf(chunks)) {
        unsent += length
        socket.send(dataChannel, parts, length, () => {
          unsent -= length
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
    close: () => socket.close(),
    destroy: () => {
      socket.terminate()
      finish()
    },
  }

  const refused = () => {
    // After an error text the port is unusable, but the server closes only later: end now.
    failure = new PortUnreachable(`Port ${at.port} of the pod "${at.pod}" cannot be reached: ${complaint}`)
    socket.terminate()
    finish(failure)
  }
  socket.onPart = (bytes, end) => {
    if (ended) return
    let payload = bytes
    if (current === undefined) {
      current = bytes[0]
      payload = bytes.subarray(1)
    }
    const number = current
    if (end) current = undefined
    if (number !== dataChannel && number !== errorChannel) return
    const skipped = Math.min(prefix[number]!, payload.length)
    if (skipped > 0) {
      prefix[number]! -= skipped
      payload = payload.subarray(skipped)
    }
    if (number === dataChannel) {
      if (payload.length > 0) channel.onData(payload)
      return
    }
    complaint += payload.toString()
    if (end && complaint !== '') refused()
  }
  socket.onClose = (code, error) => {
    const clean = code === 1000 || code === 1005
    failure ??= error
    if (!clean) failure ??= new Error(`The tunnel to the pod "${at.pod}" was cut (WebSocket code ${code}).`)
    finish(failure)
  }
  // Nothing may arrive before the caller has set its handlers, which it does when the promise's continuation runs.
  setImmediate(() => socket.resume())
  return channel
}

/** The chunks in groups that are one message each: one, unless they are large. Views, no copies. */
function messagesOf(chunks: readonly Uint8Array[]): {parts: readonly Uint8Array[]; length: number}[] {
  let total = 0
  for (const chunk of chunks) total += chunk.length
  if (total === 0) return []
  if (total <= maxMessage) return [{parts: chunks, length: total}]
  const messages: {parts: Uint8Array[]; length: number}[] = []
  let last = {parts: [] as Uint8Array[], length: maxMessage}
  for (const chunk of chunks) {
    for (let offset = 0; offset < chunk.length;) {
      if (last.length === maxMessage) messages.push((last = {parts: [], length: 0}))
      const part = chunk.subarray(offset, offset + maxMessage - last.length)
      last.parts.push(part)
      last.length += part.length
      offset += part.length
    }
  }
  return messages
}
