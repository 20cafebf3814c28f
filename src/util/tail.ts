import {closeSync, fstatSync, openSync, readSync} from 'node:fs'

/** No tail needs more than the last 64 KiB of a file. */
const WINDOW = 64 * 1024

/** The last `lines` lines of a text file, without the final line break; empty when the file cannot be read. */
export function tailOf(file: string, lines: number): string {
  let fd: number
  try {
    fd = openSync(file, 'r')
  } catch {
    return ''
  }
  try {
    const {size} = fstatSync(fd)
    const start = Math.max(0, size - WINDOW)
    const buffer = Buffer.alloc(size - start)
    const length = readSync(fd, buffer, 0, buffer.length, start)
    const text = buffer.subarray(0, length).toString('utf8').replace(/\n$/, '').split('\n')
    return text.slice(-lines).join('\n')
  } finally {
    closeSync(fd)
  }
}
