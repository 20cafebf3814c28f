import {ProtocolError} from './errors.ts'
import {ClientMessage} from './messages/client.ts'
import {DaemonMessage} from './messages/daemon.ts'
import type {Codec} from './schema/codec.ts'
import {needMore, Reader, type DecodeLimits} from './schema/reader.ts'
import {Writer} from './schema/writer.ts'

/** Options of decoding one whole message. */
export interface DecodeOptions extends Partial<DecodeLimits> {
  /** Ignore bytes behind the message, as upstream does with WebSocket messages (spec protocol.md 1.6). */
  allowTrailing?: boolean
}

/**
 * Decodes exactly one message from its bytes. Payloads are views into them. Throws ProtocolError: `TRUNCATED` when bytes
 * are missing, `TRAILING_BYTES` when some are left, another code when the bytes are no message.
 */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array, options: DecodeOptions = {}): T {
  const reader = new Reader(options)
  reader.open(asBuffer(bytes), 0, bytes.length)
  let value: T
  try {
    value = codec.read(reader)
  } catch (error) {
    if (error !== needMore) throw error
    const message = `The message is truncated: it needs at least ${reader.needed} bytes, ${bytes.length} are there.`
    throw new ProtocolError('TRUNCATED', message)
  }
  const trailing = bytes.length - reader.pos
  if (trailing > 0 && !options.allowTrailing) {
    throw new ProtocolError('TRAILING_BYTES', `${trailing} bytes follow the message.`)
  }
  return value
}

/** Encoding is synchronous, so all single messages can share one writer and its buffer. */
const oneShot = new Writer()

/** Encodes one message as chunks in order: small parts are joined, large payloads are passed by reference. */
export function encodeChunks<T>(codec: Codec<T>, value: T): Uint8Array[] {
  oneShot.atomic(() => codec.write(oneShot, value))
  return oneShot.take()
}

/** Encodes one message as one run of bytes. Throws ProtocolError `UNENCODABLE`. */
export function encode<T>(codec: Codec<T>, value: T): Uint8Array {
  const chunks = encodeChunks(codec, value)
  return chunks.length === 1 ? chunks[0]! : asPlain(Buffer.concat(chunks))
}

/** The same bytes as a Buffer, without a copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

function asPlain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)
}

/** `decode` of a client's message. */
export const decodeClientMessage = (bytes: Uint8Array, options?: DecodeOptions): ClientMessage =>
  decode(ClientMessage, bytes, options)

/** `encode` of a client's message. */
export const encodeClientMessage = (message: ClientMessage): Uint8Array => encode(ClientMessage, message)

/** `encodeChunks` of a client's message. */
export const encodeClientMessageChunks = (message: ClientMessage): Uint8Array[] => encodeChunks(ClientMessage, message)

/** `decode` of an agent's message. */
export const decodeDaemonMessage = (bytes: Uint8Array, options?: DecodeOptions): DaemonMessage =>
  decode(DaemonMessage, bytes, options)

/** `encode` of an agent's message. */
export const encodeDaemonMessage = (message: DaemonMessage): Uint8Array => encode(DaemonMessage, message)

/** `encodeChunks` of an agent's message. */
export const encodeDaemonMessageChunks = (message: DaemonMessage): Uint8Array[] => encodeChunks(DaemonMessage, message)
