import {isIPv4, isIPv6} from 'node:net'
import type {Address} from './types.ts'

/**
 * Every message between the session and mirrord-trap, once. native/trap/messages.h mirrors the numbers (a unit test
 * compares them) and native/trap/README.md explains them. A frame is `u32 length of the rest, u8 number, fields in this
 * order`; integers are little-endian; a string is `u32 bytes, UTF-8 without zero bytes`; bytes are `u32 bytes, anything`; an address is `u8 family (4, 6, or 0
 * for none), 16 bytes (IPv4 in the first four), u16 port`; a list is `u32 count, elements`.
 */
export const messages = {
  // session → trap
  hello: {
    id: 1,
    fields: {
      version: 'u32',
      flags: 'u32',
      holdMs: 'u32',
      connectMs: 'u32',
      listenMs: 'u32',
      fileMs: 'u32',
      datagramMs: 'u32',
      program: 'string',
      cwd: 'string',
      argv: ['string'],
      overlays: [{path: 'string', source: 'string'}],
      local: [{network: 'address', prefix: 'u8'}],
      files: 'string',
      rules: 'bytes',
      mapping: 'bytes',
      unixStreams: 'bytes',
      skip: ['string'],
      hostname: 'string',
      environment: ['string'],
      network: 'string',
    },
  },
  connectAnswer: {id: 2, fields: {id: 'u64', outcome: 'u8', errno: 'u32', relay: 'address', local: 'address'}},
  listenAnswer: {id: 3, fields: {id: 'u64', errno: 'u32'}},
  peer: {id: 4, fields: {source: 'address', peer: 'address', local: 'address'}},
  peerGone: {id: 5, fields: {source: 'address'}},
  signalTree: {id: 6, fields: {signal: 'u8'}},
  killTree: {id: 7, fields: {}},
  fileAnswer: {
    id: 8,
    fields: {
      id: 'u64',
      errno: 'u32',
      validMs: 'u32',
      source: 'string',
      text: 'string',
      object: 'u64',
      mode: 'u32',
      uid: 'u32',
      gid: 'u32',
      links: 'u64',
      blocks: 'u64',
      rdev: 'u64',
      numbers: ['i64'],
    },
  },
  filesChanged: {id: 9, fields: {}},
  connectUnixAnswer: {id: 10, fields: {id: 'u64', outcome: 'u8', errno: 'u32', relay: 'string'}},
  /** The question is still under way: its deadline in the trap (60 s of silence) starts anew. */
  fileBusy: {id: 11, fields: {id: 'u64'}},
  /** To the program's own process only. */
  signalProgram: {id: 12, fields: {signal: 'u8'}},
  // trap → session
  started: {id: 64, fields: {pid: 'u32', flags: 'u8'}},
  failed: {id: 65, fields: {stage: 'u8', errno: 'u32'}},
  connect: {id: 66, fields: {id: 'u64', pid: 'u32', flags: 'u8', remote: 'address'}},
  connectHurry: {id: 67, fields: {id: 'u64'}},
  connectGone: {id: 68, fields: {id: 'u64'}},
  connected: {id: 69, fields: {id: 'u64', errno: 'u32', source: 'address'}},
  listen: {id: 70, fields: {id: 'u64', pid: 'u32', held: 'u8', asked: 'address', actual: 'address'}},
  listenerClosed: {id: 71, fields: {id: 'u64'}},
  exited: {id: 72, fields: {pid: 'u32', code: 'u32', signal: 'u8'}},
  treeEmpty: {id: 73, fields: {}},
  warning: {id: 74, fields: {text: 'string'}},
  fatal: {id: 75, fields: {text: 'string'}},
  file: {
    id: 76,
    fields: {
      id: 'u64',
      pid: 'u32',
      operation: 'u8',
      flags: 'u32',
      mode: 'u32',
      object: 'u64',
      path: 'string',
      other: 'string',
      numbers: ['i64'],
    },
  },
  fileGone: {id: 77, fields: {id: 'u64'}},
  fileClosed: {id: 78, fields: {object: 'u64', opens: 'u32'}},
  connectUnix: {id: 79, fields: {id: 'u64', pid: 'u32', seqpacket: 'u8', path: 'bytes'}},
  /** The program has stopped (job control); 0: it goes on. */
  stopped: {id: 80, fields: {signal: 'u8'}},
} as const

/** Version of the format, in the hello: both sides come from one build, so there is no negotiation. */
export const wireVersion = 6
/** Bits of `hello.flags`. */
export const helloFlags = {newSession: 1, incoming: 2, tcp: 4, udp: 8, intercept: 16, filesWrite: 32} as const
/** Bits of `connect.flags`. */
export const connectFlags = {udp: 1, unconnected: 2, nonBlocking: 4, relayIpv6: 8} as const
/** Values of `connectAnswer.outcome`. */
export const outcomes = {relay: 0, errno: 1, direct: 2, pending: 3} as const
/** Values of `file.operation`; what each means is `FileRequest`. */
export const fileOperations = {
  lookup: 1,
  open: 2,
  statfs: 3,
  map: 4,
  mkdir: 5,
  rmdir: 6,
  unlink: 7,
  rename: 8,
  chmod: 9,
  chown: 10,
  utimens: 11,
  truncate: 12,
  link: 13,
  symlink: 14,
  sync: 15,
  close: 16,
  watch: 17,
} as const
/**
 * The object of a file answer for a copy with this inode number (bigint stats): its low 53 bits, which a number holds. File
 * systems of a network use all 64, and overlayfs the highest ones for the layer (xino in the kernel's overlayfs.rst).
 */
export const objectOf = (inode: bigint): number => Number(BigInt.asUintN(53, inode))
/** Bits of `file.flags` of a lookup. */
export const lookupFlags = {noFollow: 1} as const
/** Bits of `started.flags`. */
export const startedFlags = {killable: 1, syncWakeUp: 2, withoutGetfd: 4} as const
/** Values of `failed.stage`: which step of starting the program failed. */
export const stages = {clone: 1, seccomp: 2, chdir: 3, exec: 4, memory: 5, network: 6} as const
/** Largest frame either side accepts, in bytes after the length. */
export const frameLimit = 16 * 1024 * 1024

interface Scalars {
  u8: number
  u32: number
  u64: number
  i64: number
  string: string
  bytes: Uint8Array
  address: Address | undefined
}
type FieldType = keyof Scalars | readonly [keyof Scalars] | readonly [Readonly<Record<string, keyof Scalars>>]
type Value<F> = F extends keyof Scalars
  ? Scalars[F]
  : F extends readonly [infer E]
    ? E extends keyof Scalars
      ? readonly Scalars[E][]
      : readonly {readonly [K in keyof E]: E[K] extends keyof Scalars ? Scalars[E[K]] : never}[]
    : never

/** The name of a message. */
export type MessageName = keyof typeof messages
/** The fields of one message. */
export type Fields<N extends MessageName> = {
  -readonly [K in keyof (typeof messages)[N]['fields']]: Value<(typeof messages)[N]['fields'][K]>
}
/** Any message, tagged with its name. */
export type Message = {[N in MessageName]: {name: N} & Fields<N>}[MessageName]
/** Sends one message to the trap; resolves when it is with the kernel, or the connection is over. */
export type Send = <N extends MessageName>(name: N, fields: Fields<N>) => Promise<void>

/** A frame that does not follow the format: the other side is broken, the connection is of no more use. */
export class WireError extends Error {
  override readonly name = 'WireError'
}

const names = new Map<number, MessageName>(
  (Object.keys(messages) as MessageName[]).map((name) => [messages[name].id, name]),
)

/**
 * The 16 bytes of an IP address, IPv4 in the first four.
 * @throws WireError when `text` is not an IP address.
 */
export function addressBytes(text: string): {family: 4 | 6; bytes: Uint8Array} {
  const bytes = new Uint8Array(16)
  if (isIPv4(text)) {
    bytes.set(text.split('.').map(Number))
    return {family: 4, bytes}
  }
  const plain = text.replace(/%.*$/, '')
  if (!isIPv6(plain)) throw new WireError(`not an IP address: ${text}`)
  const hex = plain.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a: string, b: string, c: string, d: string) => {
    const pair = (high: string, low: string) => (Number(high) * 256 + Number(low)).toString(16)
    return `${pair(a, b)}:${pair(c, d)}`
  })
  const [head = '', tail] = hex.split('::')
  const groups = (part: string | undefined) => (part ? part.split(':').map((group) => Number.parseInt(group, 16)) : [])
  const front = groups(head)
  const back = groups(tail)
  const all = tail === undefined ? front : [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back]
  all.forEach((group, index) => {
    bytes[index * 2] = group >> 8
    bytes[index * 2 + 1] = group & 0xff
  })
  // ::ffff:a.b.c.d is an IPv4 address everywhere in the trap
  if (bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff) {
    const mapped = new Uint8Array(16)
    mapped.set(bytes.subarray(12))
    return {family: 4, bytes: mapped}
  }
  return {family: 6, bytes}
}

/** Text of an address from its 16 bytes; IPv6 as RFC 5952 writes it. */
export function addressText(family: 4 | 6, bytes: Uint8Array): string {
  if (family === 4) return bytes.subarray(0, 4).join('.')
  const groups = Array.from({length: 8}, (_, i) => ((bytes[i * 2] ?? 0) << 8) | (bytes[i * 2 + 1] ?? 0))
  let best = {start: -1, length: 1}
  for (let start = 0; start < 8; start++) {
    let length = 0
    while (start + length < 8 && groups[start + length] === 0) length++
    if (length > best.length) best = {start, length}
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':')
  if (best.start < 0) return hex(groups)
  return `${hex(groups.slice(0, best.start))}::${hex(groups.slice(best.start + best.length))}`
}

/** Length and type of a frame. */
const headSize = 5

/** Grows as needed; a frame's head is written last. */
class Writer {
  private bytes = Buffer.allocUnsafe(512)
  private end = headSize

  write(type: FieldType, value: unknown): void {
    if (typeof type !== 'string') {
      const list = value as readonly unknown[]
      this.scalar('u32', list.length)
      const [element] = type
      for (const item of list) {
        if (typeof element === 'string') this.scalar(element, item)
        else
          for (const [key, part] of Object.entries(element)) this.scalar(part, (item as Record<string, unknown>)[key])
      }
    } else this.scalar(type, value)
  }

  frame(id: number): Buffer {
    const length = this.end - headSize + 1
    if (length > frameLimit) throw new WireError('a message larger than 16 MiB')
    this.bytes.writeUInt32LE(length, 0)
    this.bytes[4] = id
    return this.bytes.subarray(0, this.end)
  }

  /** Where the next `length` bytes go. */
  private take(length: number): number {
    const at = this.end
    this.end += length
    if (this.end > this.bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.end, this.bytes.length * 2))
      this.bytes.copy(larger, 0, 0, at)
      this.bytes = larger
    }
    return at
  }

  private scalar(type: keyof Scalars, value: unknown): void {
    switch (type) {
      case 'u8': {
        // take() may replace the bytes: it goes first, here and below.
        const at = this.take(1)
        this.bytes[at] = value as number
        break
      }
      case 'u32': {
        const at = this.take(4)
        this.bytes.writeUInt32LE(value as number, at)
        break
      }
      case 'u64': {
        const number = value as number
        const at = this.take(8)
        if (Number.isSafeInteger(number)) {
          this.bytes.writeUInt32LE(number % 2 ** 32, at)
          this.bytes.writeUInt32LE(Math.floor(number / 2 ** 32), at + 4)
        } else this.bytes.writeBigUInt64LE(BigInt(number), at)
        break
      }
      case 'i64': {
        const at = this.take(8)
        this.bytes.writeBigInt64LE(BigInt(value as number), at)
        break
      }
      case 'bytes':
        this.block(value as Uint8Array)
        break
      case 'string': {
        const text = value as string
        if (text.includes('\0')) throw new WireError('a zero byte inside a string')
        const length = Buffer.byteLength(text)
        this.scalar('u32', length)
        const at = this.take(length)
        this.bytes.write(text, at, 'utf8')
        break
      }
      case 'address': {
        const at = this.take(19)
        this.bytes.fill(0, at, at + 19)
        const address = value as Address | undefined
        if (address) {
          const ip = addressBytes(address.address)
          this.bytes[at] = ip.family
          this.bytes.set(ip.bytes, at + 1)
          this.bytes.writeUInt16LE(address.port, at + 17)
        }
      }
    }
  }

  private block(value: Uint8Array): void {
    this.scalar('u32', value.length)
    const at = this.take(value.length)
    this.bytes.set(value, at)
  }
}

/**
 * One message as a frame.
 * @throws WireError for a string with a zero byte or an address that is none; RangeError for an integer out of its range.
 */
export function encode<N extends MessageName>(name: N, fields: Fields<N>): Buffer {
  const writer = new Writer()
  const types: Record<string, FieldType> = messages[name].fields
  for (const [key, type] of Object.entries(types)) writer.write(type, (fields as Record<string, unknown>)[key])
  return writer.frame(messages[name].id)
}

class Reader {
  private at = 0
  private readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  private take(length: number): Buffer {
    if (this.bytes.length - this.at < length) throw new WireError('a message that ends too early')
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  read(type: FieldType): unknown {
    if (typeof type === 'string') return this.scalar(type)
    const count = this.take(4).readUInt32LE()
    if (count > this.bytes.length - this.at) throw new WireError('a list longer than its message')
    const [element] = type
    return Array.from({length: count}, () =>
      typeof element === 'string'
        ? this.scalar(element)
        : Object.fromEntries(Object.entries(element).map(([key, part]) => [key, this.scalar(part)])),
    )
  }

  end(): void {
    if (this.at !== this.bytes.length) throw new WireError('a message with bytes left over')
  }

  private scalar(type: keyof Scalars): Scalars[keyof Scalars] {
    switch (type) {
      case 'u8':
        return this.take(1).readUInt8()
      case 'u32':
        return this.take(4).readUInt32LE()
      case 'u64': {
        const value = this.take(8).readBigUInt64LE()
        if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new WireError('an identifier out of range')
        return Number(value)
      }
      case 'i64': {
        const value = this.take(8).readBigInt64LE()
        if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER))
          throw new WireError('a number out of range')
        return Number(value)
      }
      case 'bytes':
        return this.take(this.take(4).readUInt32LE())
      case 'string':
        return this.take(this.take(4).readUInt32LE()).toString('utf8')
      case 'address': {
        const bytes = this.take(19)
        const family = bytes[0]
        if (family === 0) return undefined
        if (family !== 4 && family !== 6) throw new WireError('an address of an unknown family')
        return {address: addressText(family, bytes.subarray(1, 17)), port: bytes.readUInt16LE(17)}
      }
    }
  }
}

/** Cuts a byte stream into messages, over any chunk boundaries. Keeps at most one incomplete frame. */
export class Decoder {
  private rest: Buffer = Buffer.alloc(0);

  /**
   * Adds bytes and yields every message that they complete.
   * @throws WireError at the first byte that breaks the format; the decoder is of no use after that.
   */
  *push(chunk: Buffer): Generator<Message> {
    this.rest = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : chunk
    while (this.rest.length >= 4) {
      const length = this.rest.readUInt32LE()
      if (length < 1 || length > frameLimit) throw new WireError('a frame of impossible length')
      if (this.rest.length < 4 + length) return
      const body = this.rest.subarray(4, 4 + length)
      this.rest = this.rest.subarray(4 + length)
      yield decode(body)
    }
  }
}

function decode(body: Buffer): Message {
  const name = names.get(body[0] ?? 0)
  if (!name) throw new WireError(`an unknown message (${body[0] ?? 'empty'})`)
  const reader = new Reader(body.subarray(1))
  const types: Record<string, FieldType> = messages[name].fields
  const fields = Object.fromEntries(Object.entries(types).map(([key, type]) => [key, reader.read(type)]))
  reader.end()
  return {name, ...fields} as unknown as Message
}
