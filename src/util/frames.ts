/** As in native/trap/net/frames.h. */
const MESSAGE_LIMIT = 16 * 1024 * 1024
const HEADER = 4

/** A message as `u32 length, bytes` (little-endian): how seqpacket sockets travel over a stream. */
export function frame(message: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(HEADER + message.length)
  bytes.writeUInt32LE(message.length)
  bytes.set(message, HEADER)
  return bytes
}

/** Takes a stream of frames apart. */
export class FrameReader {
  #held: Buffer[] = []
  #size = 0

  /** The messages that are complete now. Messages within one chunk are not copied. @throws Error for an impossible length */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#held.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
    this.#size += chunk.length
    const messages: Uint8Array[] = []
    for (let wanted = this.#wanted(); wanted !== undefined && this.#size >= wanted; wanted = this.#wanted()) {
      const all = this.#joined()
      messages.push(all.subarray(HEADER, wanted))
      this.#held = [all.subarray(wanted)]
      this.#size -= wanted
    }
    return messages
  }

  /** True between two frames: the stream may end here. */
  get between(): boolean {
    return this.#size === 0
  }

  /** Length of the next frame; undefined while its length is not known. */
  #wanted(): number | undefined {
    if (this.#size < HEADER) return undefined
    const first = this.#held[0]!.length >= HEADER ? this.#held[0]! : this.#joined()
    const length = first.readUInt32LE(0)
    if (length > MESSAGE_LIMIT) throw new Error(`a frame of ${length} bytes`)
    return HEADER + length
  }

  #joined(): Buffer {
    if (this.#held.length > 1) this.#held = [Buffer.concat(this.#held, this.#size)]
    return this.#held[0]!
  }
}
