import type {IncomingMessage, ServerResponse} from 'node:http'
import type {Socket} from 'node:net'
import type {Duplex} from 'node:stream'
import {setTimeout as pause} from 'node:timers/promises'

import type {FaultEffect} from './faults.ts'
import {ApiError} from './status.ts'

const REASONS: Record<number, string> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  410: 'Expired',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
}
const PIECE = 16

/** The answer that an effect gives by itself: head and body. */
export function answerOf(effect: Extract<FaultEffect, {answer: number}>): {
  code: number
  headers: Record<string, string>
  text: string
} {
  const {answer: code, retryAfter, body} = effect
  const plain = typeof body === 'string'
  const status = new ApiError(code, REASONS[code] ?? 'InternalError', 'this failure was asked for by the test').body
  const text = plain ? body : JSON.stringify(body ?? status)
  return {
    code,
    headers: {
      'content-type': plain ? 'text/plain' : 'application/json',
      'content-length': String(Buffer.byteLength(text)),
      ...(retryAfter === undefined ? {} : {'retry-after': String(retryAfter)}),
    },
    text,
  }
}

/** Resets a connection: what is below TLS must be, else it is closed in an orderly way. */
export function reset(socket: Duplex, below: Socket | undefined): void {
  below?.resetAndDestroy()
  socket.destroy()
}

/** From now on nothing passes; the peer's end of the connection still ends it. */
export function freeze(socket: Duplex): void {
  socket.write = ((_chunk: unknown, encoding?: unknown, done?: unknown) => {
    const written = [encoding, done].find((value) => typeof value === 'function') as (() => void) | undefined
    if (written) setImmediate(written)
    return true
  }) as Duplex['write']
  socket.removeAllListeners('data')
  socket.on('data', () => {})
}

/**
 * Applies an effect to a request that will be served; resolves when it may be, false when it is over already.
 * `cut` resets the request's connection.
 */
export async function applyToRequest(
  effect: FaultEffect,
  request: IncomingMessage,
  response: ServerResponse,
  cut: () => void,
): Promise<boolean> {
  if ('answer' in effect) {
    const {code, headers, text} = answerOf(effect)
    response.writeHead(code, headers).end(text)
    return false
  }
  if ('delay' in effect) {
    if (effect.at === 'body')
      reshape(response, (chunk, pass, first) => (first ? pause(effect.delay) : undefined, pass(chunk)))
    else await pause(effect.delay)
    // Who has gone meanwhile is not served: a watch would never learn of it.
    return !request.socket.destroyed
  }
  if ('trickle' in effect) {
    reshape(response, async (chunk, pass) => {
      for (let at = 0; at < chunk.length && !response.destroyed; at += PIECE) {
        pass(chunk.subarray(at, at + PIECE))
        await pause(effect.trickle)
      }
    })
    return true
  }
  const [where, strike] = 'cut' in effect ? [effect.cut, cut] : [effect.freeze, () => freeze(request.socket)]
  if (where === 'before') {
    strike()
    return false
  }
  let left = where === 'after' ? 0 : where
  reshape(response, async (chunk, pass) => {
    if (where !== 'after' && left > 0) await new Promise<void>((sent) => pass(chunk.subarray(0, left), sent))
    left -= chunk.length
    if (left > 0) return
    strike()
    return new Promise<void>(() => {}) // nothing after it
  })
  return true
}

type Pass = (chunk: Buffer, sent?: () => void) => void

/** Hands what is written to a response, piece by piece, to `step`, which passes on what is to be sent. */
function reshape(
  response: ServerResponse,
  step: (chunk: Buffer, pass: Pass, first: boolean) => Promise<void> | void,
): void {
  const write = response.write.bind(response) as (chunk: Buffer, sent?: () => void) => boolean
  const end = response.end.bind(response) as () => void
  let first = true
  let line = Promise.resolve()
  const take = (chunk: unknown) => {
    const bytes = Buffer.from(chunk as string)
    line = line.then(() => {
      if (response.destroyed) return
      const began = first
      first = false
      return step(bytes, (part, sent) => void write(part, sent), began)
    })
  }
  response.write = ((chunk: unknown) => (take(chunk), true)) as ServerResponse['write']
  response.end = ((chunk?: unknown) => {
    if (chunk !== undefined) take(chunk)
    void line.then(() => end())
    return response
  }) as ServerResponse['end']
}

/** Applies an effect to the connection of a WebSocket upgrade; resolves when it may be served, false when it is over. */
export async function applyToUpgrade(effect: FaultEffect, socket: Duplex, cut: () => void): Promise<boolean> {
  if ('answer' in effect) {
    const {code, headers, text} = answerOf(effect)
    const lines = Object.entries({...headers, connection: 'close'}).map(([name, value]) => `${name}: ${value}`)
    socket.end(`HTTP/1.1 ${code} Fault\r\n${lines.join('\r\n')}\r\n\r\n${text}`)
    return false
  }
  if ('delay' in effect) {
    await pause(effect.delay)
    return !socket.destroyed
  }
  if ('trickle' in effect) return true
  const [where, strike] = 'cut' in effect ? [effect.cut, cut] : [effect.freeze, () => freeze(socket)]
  if (where === 'before') {
    strike()
    return false
  }
  const write: Duplex['write'] = socket.write.bind(socket)
  let left = where === 'after' ? 0 : where
  let head = true
  socket.write = ((chunk: Uint8Array | string, ...rest: never[]) => {
    if (head) {
      // The handshake's answer, which is lost in a cut 'after'.
      head = false
      if (where !== 'after') return write(chunk, ...rest)
    }
    left -= Buffer.byteLength(chunk)
    if (left > 0) return write(chunk, ...rest)
    strike()
    return true
  }) as Duplex['write']
  return true
}
