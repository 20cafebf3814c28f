import {ipToString} from '../protocol/index.ts'
import type {TrafficObserver} from './observer.ts'

/** Sections and fields of a message: RFC 1035 4.1. */
const HEADER = 12
const A = 1
const AAAA = 28
/** Resolvers give up after 5 s (resolv.conf(5)). */
const ANSWER_MS = 15_000
const MAX_PENDING = 4096
/** Of one answer; RFC 1035 does not limit them. */
const MAX_ADDRESSES = 64

interface Question {
  name: string
  /** Where the question section ends. */
  end: number
}

/** Tells which names one flow of DNS datagrams asks for, and what they gave; a question without an answer has failed. */
export class DnsWatch {
  readonly #observer: TrafficObserver
  readonly #pending = new Map<number, {name: string; at: number}>()

  constructor(observer: TrafficObserver) {
    this.#observer = observer
  }

  /** A datagram on its way to the nameserver. */
  question(packet: Uint8Array): void {
    const question = readQuestion(packet)
    if (!question) return
    const now = performance.now()
    for (const [id, {at}] of this.#pending) {
      if (now - at < ANSWER_MS && this.#pending.size < MAX_PENDING) break
      this.#failed(id)
    }
    const id = wordAt(packet, 0)
    this.#failed(id) // asked again, or the id was used again
    this.#pending.set(id, {name: question.name, at: now})
  }

  /** A datagram of the nameserver. */
  answer(packet: Uint8Array): void {
    const id = wordAt(packet, 0)
    const pending = this.#pending.get(id)
    if (!pending || readQuestion(packet)?.name !== pending.name) return
    this.#pending.delete(id)
    const failed = (packet[3]! & 15) !== 0
    this.#observer.name({name: pending.name, failed, addresses: failed ? [] : addressesOf(packet)})
  }

  /** The flow has ended. */
  close(): void {
    for (const id of this.#pending.keys()) this.#failed(id)
  }

  #failed(id: number): void {
    const pending = this.#pending.get(id)
    if (!pending) return
    this.#pending.delete(id)
    this.#observer.name({name: pending.name, failed: true, addresses: []})
  }
}

/** The one question of a query or its answer; undefined for anything else. */
function readQuestion(packet: Uint8Array): Question | undefined {
  const standard = packet.length > HEADER && (packet[2]! & 0x78) === 0
  if (!standard || wordAt(packet, 4) !== 1) return undefined
  const labels: string[] = []
  for (let at = HEADER; at < packet.length;) {
    const length = packet[at]!
    if (length === 0) return {name: labels.join('.') || '.', end: at + 5}
    if (length > 63 || at + 1 + length > packet.length) return undefined // the first name cannot be a pointer
    labels.push(labelOf(packet.subarray(at + 1, at + 1 + length)))
    at += 1 + length
  }
  return undefined
}

/** The addresses in the answer section, whatever names they stand at: aliases lead from the question to them. */
function addressesOf(packet: Uint8Array): string[] {
  const addresses: string[] = []
  let at = readQuestion(packet)?.end ?? packet.length
  for (let count = wordAt(packet, 6); count > 0 && addresses.length < MAX_ADDRESSES; count--) {
    at = skipName(packet, at)
    if (at + 10 > packet.length) break
    const type = wordAt(packet, at)
    const length = wordAt(packet, at + 8)
    at += 10
    if (at + length > packet.length) break
    if ((type === A && length === 4) || (type === AAAA && length === 16))
      addresses.push(ipToString(packet.subarray(at, at + length)))
    at += length
  }
  return addresses
}

/** Where a name ends: with a zero, or with a pointer of two bytes. */
function skipName(packet: Uint8Array, from: number): number {
  for (let at = from; at < packet.length; at += packet[at]! + 1) {
    if (packet[at] === 0) return at + 1
    if (packet[at]! >= 0xc0) return at + 2
  }
  return packet.length
}

/** In lower case: resolvers may mix the case of a question to tell answers from forgeries. */
function labelOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => (byte > 32 && byte < 127 ? String.fromCharCode(byte) : '?'))
    .join('')
    .toLowerCase()
}

function wordAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}
