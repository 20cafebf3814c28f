import type {Dir, Dirent} from 'node:fs'
import {lstat, opendir, type FileHandle} from 'node:fs/promises'
import type {DirEntry} from '../../protocol/index.ts'

/** Entries of one answer at most; the amount asked for comes from outside. */
const MAX_BATCH = 4096
/** Entries read ahead: their inode numbers are asked for together. */
const READ_AHEAD = 128

/** A directory being read; entries come in the directory's own order, and nothing is held but a few of them. */
export interface DirectoryStream {
  dir: Dir
  /** Where the entries are, with a slash at the end. */
  prefix: Buffer
  /** Index of the next entry. */
  position: number
  /** Entries that come before what `dir` gives next. */
  pending: Omit<DirEntry, 'position'>[]
  ended: boolean
}

/** Starts reading a directory that is open already. @param dots whether `.` and `..` come first */
export async function openStream(handle: FileHandle, dots = false): Promise<DirectoryStream> {
  const path = `/proc/self/fd/${handle.fd}`
  // Names are bytes: as text, one that is no UTF-8 could not be found again.
  const encoding = 'buffer' as BufferEncoding
  const dir = await opendir(path, {encoding, bufferSize: READ_AHEAD})
  const stream: DirectoryStream = {dir, prefix: Buffer.from(`${path}/`), position: 0, pending: [], ended: false}
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
  if (stream.pending.length === 0) await fill(stream)
  return stream.pending.shift()
}

async function fill(stream: DirectoryStream): Promise<void> {
  const found: Dirent[] = []
  while (!stream.ended && found.length < READ_AHEAD) {
    const entry = await stream.dir.read()
    if (entry) found.push(entry)
    else stream.ended = true
  }
  stream.pending = await Promise.all(
    found.map(async (entry) => {
      const name = entry.name as unknown as Buffer
      return {name: name.toString('utf8'), inode: await inodeOf(stream, name), fileType: fileType(entry)}
    }),
  )
}

async function inodeOf(stream: DirectoryStream, name: Buffer): Promise<bigint> {
  try {
    return (await lstat(Buffer.concat([stream.prefix, name]), {bigint: true})).ino
  } catch (error) {
    // Removed since: it was there when the directory was read.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0n
    throw error
  }
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
