import type {Dirent} from 'node:fs'
import {lstat, opendir, type FileHandle} from 'node:fs/promises'
import type {DirEntry} from '../../protocol/index.ts'
import type {DirectoryStream} from './table.ts'

/** Entries of one answer at most; the amount asked for comes from outside. */
const MAX_BATCH = 4096

/** Starts reading a directory that is open already. @param dots whether `.` and `..` come first */
export async function openStream(handle: FileHandle, dots = false): Promise<DirectoryStream> {
  const dir = await opendir(`/proc/self/fd/${handle.fd}`)
  const stream: DirectoryStream = {dir, position: 0, pending: []}
  if (dots) {
    const {ino} = await handle.stat({bigint: true})
    // Node hides both. The parent's own inode is not worth leaving the directory for: programs do not look at it.
    stream.pending = ['.', '..'].map((name) => ({name, inode: ino, fileType: 4}))
  }
  return stream
}

/** The next entries, fewer or none at the end. @throws the system's error */
export async function readEntries(stream: DirectoryStream, amount: number): Promise<DirEntry[]> {
  const entries: DirEntry[] = []
  while (entries.length < Math.min(amount, MAX_BATCH)) {
    const entry = await next(stream)
    if (!entry) break
    entries.push({...entry, position: stream.position++})
  }
  return entries
}

/** The next entries that fit into a getdents64(2) buffer of `size` bytes. @throws the system's error */
export async function packEntries(
  stream: DirectoryStream,
  size: number,
): Promise<{entries: DirEntry[]; resultSize: number}> {
  const entries: DirEntry[] = []
  let resultSize = 0
  while (entries.length < MAX_BATCH) {
    const entry = await next(stream)
    if (!entry) break
    // struct linux_dirent64: 19 bytes of header and the terminating NUL, each record aligned to 8.
    const length = Math.ceil((20 + Buffer.byteLength(entry.name)) / 8) * 8
    if (resultSize + length > size) {
      stream.pending.unshift(entry)
      break
    }
    resultSize += length
    entries.push({...entry, position: stream.position++})
  }
  return {entries, resultSize}
}

async function next(stream: DirectoryStream): Promise<Omit<DirEntry, 'position'> | undefined> {
  const waiting = stream.pending.shift()
  if (waiting) return waiting
  const entry = await stream.dir.read()
  if (!entry) return undefined
  const {name} = entry
  const inode = await lstat(`${stream.dir.path}/${name}`, {bigint: true}).then(
    (stats) => stats.ino,
    (error: NodeJS.ErrnoException) => {
      // Removed since: it was there when the directory was read.
      if (error.code === 'ENOENT') return 0n
      throw error
    },
  )
  return {name, inode, fileType: fileType(entry)}
}

/** DT_* of <dirent.h>. */
function fileType(entry: Dirent): number {
  if (entry.isFile()) return 8
  if (entry.isDirectory()) return 4
  if (entry.isSymbolicLink()) return 10
  if (entry.isSocket()) return 12
  if (entry.isFIFO()) return 1
  if (entry.isCharacterDevice()) return 2
  return entry.isBlockDevice() ? 6 : 0
}
