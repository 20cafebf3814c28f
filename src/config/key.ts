import {randomInt} from 'node:crypto'

/** The key of a run, which templates use and which tells its traffic apart. */
export interface SessionKey {
  value: string
  /** Nobody gave it. */
  generated: boolean
}

/** Five lower-case hex digits (config.md 2.4). */
export function generateKey(): string {
  return randomInt(0x10_0000).toString(16).padStart(5, '0')
}
