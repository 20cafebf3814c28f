/** An answer without records, of this code (RFC 1035, 4.1.1). */
export function failure(query: Buffer, code: number): Buffer {
  const reply = Buffer.from(query)
  reply.writeUInt16BE(0x8180 | code, 2)
  return reply
}

/** The name that a query asks for. */
export function questionName(query: Buffer): string {
  const labels: string[] = []
  for (let at = 12; query[at]; at += query[at]! + 1) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!))
  return labels.join('.')
}

/**
 * A DNS answer (RFC 1035, 4.1) to a query with one question: the address for type A, no data for other types.
 */
export function answer(query: Buffer, address: string): Buffer {
  let end = 12
  while (query[end]) end += (query[end] ?? 0) + 1
  end += 5 // final zero, type, class
  const isA = query.readUInt16BE(end - 4) === 1
  const head = Buffer.from(query.subarray(0, end))
  head.writeUInt16BE(0x8180, 2) // response, recursion desired and available
  head.writeUInt16BE(isA ? 1 : 0, 6)
  head.writeUInt32BE(0, 8) // no authority; an EDNS record of the query is not repeated
  if (!isA) return head
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, ...address.split('.').map(Number)])
  return Buffer.concat([head, record])
}
