/**
 * The FNV-1a hash of a text's UTF-8, 32 bits as 8 hexadecimal digits (draft-eastlake-fnv). Not for secrets, and not against somebody
 * who looks for collisions; node:crypto would be a tenth of the time of a command that has nothing to do.
 */
export function fnv1a(text: string): string {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hex(hash >>> 0)
}

/** 8 hexadecimal digits that differ from call to call; anybody may guess them. */
export function randomId(): string {
  return hex(Math.floor(Math.random() * 2 ** 32))
}

const hex = (value: number) => value.toString(16).padStart(8, '0')
