import {appendFileSync, renameSync, statSync} from 'node:fs'
import type {Log} from './log.ts'
import {rotatedName} from './output-files.ts'

/**
 * Writes to a session's log, one line with its time an entry. A file that would grow beyond `max` bytes is rotated
 * before. Never throws: a full disk must not end the session, whose program meets it by itself.
 */
export function logTo(file: string, max?: number): Log {
  return (text) => {
    const line = `${new Date().toISOString()} ${text}\n`
    try {
      const size = max === undefined ? 0 : (statSync(file, {throwIfNoEntry: false})?.size ?? 0)
      if (max !== undefined && size > 0 && size + Buffer.byteLength(line) > max) renameSync(file, rotatedName(file))
      appendFileSync(file, line)
    } catch {
      return
    }
  }
}
