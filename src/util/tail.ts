import {closeSync, fstatSync, openSync, readSync} from 'node:fs'

/** No tail needs more than the last 64 KiB of a file. */
const WINDOW = 64 * 1024

/**
 * The last `lines` lines of a text file, without the final line break; empty when the file cannot be read. Where the file has
 * fewer, they go on in `before`, of which it is the continuation (also within a line).
 */
export function tailOf(file: string, lines: number, before?: string): string {
  const newest = readEnd(file, WINDOW)
  if (!newest) return ''
  // As many lines as wanted are too few, too: the first one may have its beginning in the other file.
  const missing = before !== undefined && newest.whole && linesOf(newest.bytes).length <= lines
  const older = missing ? readEnd(before, WINDOW - newest.bytes.length) : undefined
  // Renamed between the two: the same file, and what was before it is gone.
  const bytes = older && older.inode !== newest.inode ? Buffer.concat([older.bytes, newest.bytes]) : newest.bytes
  return linesOf(bytes).slice(-lines).join('\n')
}

const linesOf = (bytes: Buffer) => (bytes.length === 0 ? [] : bytes.toString('utf8').replace(/\n$/, '').split('\n'))

/** The last `length` bytes of a file, at most; undefined when it cannot be read. */
function readEnd(file: string, length: number): {bytes: Buffer; inode: number; whole: boolean} | undefined {
  let fd: number
  try {
    fd = openSync(file, 'r')
  } catch {
    return undefined
  }
  try {
    const {size, ino} = fstatSync(fd)
    const start = Math.max(0, size - length)
    const buffer = Buffer.alloc(size - start)
    const read = readSync(fd, buffer, 0, buffer.length, start)
    return {bytes: buffer.subarray(0, read), inode: ino, whole: start === 0}
  } finally {
    closeSync(fd)
  }
}
