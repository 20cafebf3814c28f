import {createHash, randomBytes, randomFillSync} from 'node:crypto'
import http, {type IncomingMessage} from 'node:http'
import https, {type RequestOptions} from 'node:https'
import type {Socket} from 'node:net'

/** What a server answered instead of switching to the WebSocket protocol; its body has not been read. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly response: IncomingMessage

  constructor(response: IncomingMessage) {
    super(`the server answered ${response.statusCode} instead of switching protocols`)
    this.response = response
  }
}

/** The server did not answer in time. */
export class HandshakeTimeout extends Error {
  override readonly name = 'HandshakeTimeout'
}

/** How a WebSocket is opened. */
export interface WebSocketOptions {
  /** Sent in one header; the server must choose one of them. */
  protocols: readonly string[]
  /** Options of the HTTP request: credentials, agent, headers. */
  request: RequestOptions
  openTimeoutMs: number
  /** How long the end waits for the server's own end before the socket is destroyed. */
  closeTimeoutMs: number
  signal?: AbortSignal | undefined
}

const magic = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const opcodes = {continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10} as const
/** Close codes of RFC 6455, section 7.4.1; the last two are never sent, they say what did not happen. */
const codes = {normal: 1000, protocolError: 1002, none: 1005, abnormal: 1006} as const
/** Parts of a message are handed over when it ends, or when this many bytes are there. */
const heldBytes = 256 * 1024

/**
 * Opens a client's WebSocket (RFC 6455) without extensions. Nothing is read before `resume`.
 * @throws Refused, HandshakeTimeout, the signal's reason, or the error of the connection
 */
export async function openWebSocket(url: string, options: WebSocketOptions): Promise<ClientWebSocket> {
  const target = new URL(url)
  const secure = target.protocol === 'wss:'
  target.protocol = secure ? 'https:' : 'http:'
  const key = randomBytes(16).toString('base64')
  const request = (secure ? https : http).request(target, {
    ...options.request,
    method: 'GET',
    headers: {
      ...(options.request.headers as Record<string, string> | undefined),
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': key,
      'Sec-WebSocket-Protocol': options.protocols.join(','),
    },
  })
  const {promise, resolve, reject} = Promise.withResolvers<ClientWebSocket>()
  const abort = () => {
    reject(options.signal?.reason instanceof Error ? options.signal.reason : new Error('aborted'))
    request.destroy()
  }
  const timer = setTimeout(() => {
    reject(new HandshakeTimeout(`no answer within ${options.openTimeoutMs} ms`))
    request.destroy()
  }, options.openTimeoutMs)
  // Stays for good: a request that was given up still emits an error.
  request.on('error', reject)
  request.on('response', (response) => reject(new Refused(response)))
  request.on('upgrade', (response, socket: Socket, head) => {
    const problem = handshakeProblem(response, key, options.protocols)
    if (problem) {
      reject(new Error(`the server's WebSocket handshake is wrong: ${problem}`))
      return void socket.destroy()
    }
    resolve(new ClientWebSocket(socket, head, secure, options.closeTimeoutMs))
  })
  if (options.signal?.aborted) abort()
  else options.signal?.addEventListener('abort', abort, {once: true})
  request.end()
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    options.signal?.removeEventListener('abort', abort)
  }
}

function handshakeProblem(response: IncomingMessage, key: string, protocols: readonly string[]): string | undefined {
  const {headers} = response
  const expected = createHash('sha1')
    .update(key + magic)
    .digest('base64')
  if (headers.upgrade?.toLowerCase() !== 'websocket') return 'it upgrades to something else'
  if (headers['sec-websocket-accept'] !== expected) return 'the key is not acknowledged'
  if (headers['sec-websocket-extensions'] !== undefined) return 'it uses an extension that was not offered'
  const chosen = headers['sec-websocket-protocol']
  if (chosen === undefined || !protocols.includes(chosen)) return `the protocol is ${chosen ?? 'missing'}`
  return undefined
}

/**
 * The client's end of a WebSocket. What is received is not gathered into messages: their parts are views into what the
 * socket gave, so that large messages are never copied.
 */
export class ClientWebSocket {
  /** The next part of a message; `end` is true for its last one, which may be empty. */
  onPart: (bytes: Buffer, end: boolean) => void = () => {}
  /** Called once, when the connection is gone. `code` as in RFC 6455; `error` when the connection failed. */
  onClose: (code: number, error: Error | undefined) => void = () => {}
  readonly #socket: Socket
  readonly #secure: boolean
  readonly #closeTimeoutMs: number
  #failure: Error | undefined
  /** Of the server's close frame; known once it has come. */
  #code: number | undefined
  #closing = false
  /** The beginning of a header that has not arrived as a whole. */
  #header = Buffer.alloc(0)
  /** Bytes of the current frame that are still to come; undefined between frames. */
  #left: number | undefined
  #final = false
  /** The current frame is a control frame: its whole payload is gathered here, at most 125 bytes. */
  #control: {opcode: number; payload: Buffer[]} | undefined
  #inMessage = false
  #held: Buffer[] = []
  #heldBytes = 0

  constructor(socket: Socket, head: Buffer, secure: boolean, closeTimeoutMs: number) {
    this.#socket = socket
    this.#secure = secure
    this.#closeTimeoutMs = closeTimeoutMs
    socket.setTimeout(0)
    socket.setNoDelay(true)
    socket.pause()
    if (head.length > 0) socket.unshift(head)
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('end', () => socket.end())
    socket.on('error', (error) => (this.#failure ??= error))
    socket.on('close', () => this.onClose(this.#code ?? codes.abnormal, this.#failure))
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** True when messages can still be sent. */
  get open(): boolean {
    return !this.#closing && this.#socket.writable
  }

  /**
   * Sends the chunks as one binary message, in one copy; `sent` is called when the system has taken it, or never.
   * @param first the message's first byte, before the chunks
   */
  send(first: number, chunks: readonly Uint8Array[], length: number, sent: () => void): void {
    const frame = this.#frame(opcodes.binary, length + 1)
    let at = frame.length - length
    frame[at - 1] = first
    for (const chunk of chunks) {
      frame.set(chunk, at)
      at += chunk.length
    }
    this.#mask(frame, length + 1)
    this.#socket.write(frame, (error) => {
      if (!error) sent()
    })
  }

  /** Sends what is queued and says goodbye. */
  close(): void {
    this.#sayClose(codes.normal)
  }

  /** Ends at once. */
  terminate(): void {
    this.#closing = true
    this.#socket.destroy()
  }

  #sayClose(code: number): void {
    if (this.#closing) return
    this.#closing = true
    const payload = Buffer.alloc(2)
    payload.writeUInt16BE(code)
    this.#sendControl(opcodes.close, payload)
    const timer = setTimeout(() => this.#socket.destroy(), this.#closeTimeoutMs)
    this.#socket.once('close', () => clearTimeout(timer))
    // What the server still sends before its own close frame is read away.
    this.#socket.resume()
  }

  #sendControl(opcode: number, payload: Buffer): void {
    const frame = this.#frame(opcode, payload.length)
    payload.copy(frame, frame.length - payload.length)
    this.#mask(frame, payload.length)
    this.#socket.write(frame)
  }

  /** Room for a frame with its header; the mask is zero so far. */
  #frame(opcode: number, length: number): Buffer {
    const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8
    const frame = Buffer.allocUnsafe(2 + extended + 4 + length)
    frame[0] = 0x80 | opcode
    frame[1] = 0x80 | (extended === 0 ? length : extended === 2 ? 126 : 127)
    if (extended === 2) frame.writeUInt16BE(length, 2)
    else if (extended === 8) frame.writeBigUInt64BE(BigInt(length), 2)
    frame.writeUInt32LE(0, 2 + extended)
    return frame
  }

  /** The mask protects plain-text proxies from forged requests; inside TLS it would only cost a pass over every byte. */
  #mask(frame: Buffer, length: number): void {
    if (this.#secure) return
    const from = frame.length - length
    const key = randomFillSync(frame.subarray(from - 4, from))
    for (let i = 0; i < length; i++) frame[from + i]! ^= key[i & 3]!
  }

  #receive(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length && !this.#failure && !this.#socket.destroyed) {
      if (this.#left === undefined) {
        at = this.#readHeader(chunk, at)
        if (this.#left === undefined) continue // the header is incomplete, or nothing follows it
      }
      const end = Math.min(chunk.length, at + this.#left)
      const bytes = at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end)
      this.#left -= end - at
      at = end
      const over = this.#left === 0
      if (over) this.#left = undefined
      if (this.#control) this.#takeControl(bytes, over)
      else this.#takePart(bytes, over && this.#final)
    }
  }

  /** Takes a frame's header; returns where its payload begins. An incomplete one is kept for the next chunk. */
  #readHeader(chunk: Buffer, at: number): number {
    const kept = this.#header.length
    const bytes = kept === 0 ? chunk : Buffer.concat([this.#header, chunk.subarray(at, at + 10)])
    const from = kept === 0 ? at : 0
    const there = bytes.length - from
    const short = (bytes[from + 1] ?? 0) & 0x7f
    const size = there < 2 ? 2 : short < 126 ? 2 : short === 126 ? 4 : 10
    if (there < size) {
      this.#header = Buffer.from(bytes.subarray(from))
      return chunk.length
    }
    this.#header = Buffer.alloc(0)
    const length =
      size === 2 ? short : size === 4 ? bytes.readUInt16BE(from + 2) : Number(bytes.readBigUInt64BE(from + 2))
    this.#begin(bytes[from]!, bytes[from + 1]! >= 0x80, length)
    return at + size - kept
  }

  #begin(first: number, masked: boolean, length: number): void {
    const opcode = first & 0x0f
    const final = first >= 0x80
    const control = opcode >= 8
    const known = control ? opcode <= opcodes.pong : opcode <= opcodes.binary
    const misplaced = control ? !final || length > 125 : (opcode === opcodes.continuation) !== this.#inMessage
    if ((first & 0x70) !== 0 || masked || !known || misplaced || !Number.isSafeInteger(length)) {
      return this.#violated(`a frame that is not allowed (first byte ${first}, ${length} bytes)`)
    }
    this.#left = length
    this.#control = control ? {opcode, payload: []} : undefined
    if (!control) {
      this.#final = final
      this.#inMessage = true
    }
    if (length > 0) return
    // No payload will come: it ends here.
    this.#left = undefined
    if (control) this.#takeControl(Buffer.alloc(0), true)
    else this.#takePart(Buffer.alloc(0), final)
  }

  #takePart(bytes: Buffer, end: boolean): void {
    if (end) this.#inMessage = false
    if (bytes.length > 0) {
      this.#held.push(bytes)
      this.#heldBytes += bytes.length
    }
    if (!end && this.#heldBytes < heldBytes) return
    const held = this.#held
    this.#held = []
    this.#heldBytes = 0
    for (let i = 0; i < held.length - 1; i++) this.onPart(held[i]!, false)
    this.onPart(held[held.length - 1] ?? bytes, end)
  }

  #takeControl(bytes: Buffer, end: boolean): void {
    const control = this.#control!
    control.payload.push(bytes)
    if (!end) return
    this.#control = undefined
    const payload = Buffer.concat(control.payload)
    if (control.opcode === opcodes.ping) {
      if (!this.#closing) this.#sendControl(opcodes.pong, payload)
    } else if (control.opcode === opcodes.close) {
      this.#code = payload.length >= 2 ? payload.readUInt16BE(0) : codes.none
      this.#sayClose(codes.normal)
      this.#socket.end()
    }
  }

  #violated(what: string): void {
    this.#failure ??= new Error(`the server broke the WebSocket protocol: ${what}`)
    this.#sayClose(codes.protocolError)
    this.#socket.destroySoon()
    this.#socket.removeAllListeners('data')
  }
}
