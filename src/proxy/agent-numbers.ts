import type {Int64} from '../protocol/index.ts'

/** Numbers of one agent: far more than it can give in a session, and room for 131,072 agents below 2^53. */
const SPAN = 2 ** 36

/**
 * The number under which a connection or descriptor of the session's agent `index` (0, 1, 2 …) is known here: that of the
 * first agent itself, so that nothing costs anything until there is a second one. Agents count from 0 (spec protocol.md 6.1);
 * one that does not gets a bigint above all of 64 bits.
 */
export function ownNumber(index: number, plain: Int64): Int64 {
  if (typeof plain === 'number' && plain < SPAN) return index * SPAN + plain
  return (BigInt(index + 1) << 64n) | BigInt(plain)
}

/** The reverse of `ownNumber`. */
export function plainNumber(own: Int64): {index: number; plain: Int64} {
  if (typeof own === 'number') {
    const index = Math.floor(own / SPAN)
    return {index, plain: own - index * SPAN}
  }
  const plain = BigInt.asUintN(64, own)
  const index = Number(own >> 64n) - 1
  return {index, plain: plain <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(plain) : plain}
}
