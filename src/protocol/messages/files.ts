import type {Infer} from '../schema/codec.ts'
import {list, option, pair, struct, variants} from '../schema/composites.ts'
import {bool, bytes, i32, i64, string, u32, u64, u8, unit} from '../schema/primitives.ts'
import {result} from './errors.ts'

/** As of Rust's `std::fs::OpenOptions`; no mode and no other flags travel. */
export const OpenOptions = struct({
  read: bool,
  write: bool,
  append: bool,
  truncate: bool,
  create: bool,
  createNew: bool,
})
export type OpenOptions = Infer<typeof OpenOptions>

export const SeekFrom = variants({Start: u64, End: i64, Current: i64})
export type SeekFrom = Infer<typeof SeekFrom>

export const Timespec = struct({tvSec: i64, tvNsec: i64})
export type Timespec = Infer<typeof Timespec>

/** `fileType` uses the DT_* numbers: 0 unknown, 1 FIFO, 2 char, 4 dir, 6 block, 8 regular, 10 symlink, 12 socket. */
export const DirEntry = struct({inode: u64, position: u64, name: string, fileType: u8})
export type DirEntry = Infer<typeof DirEntry>

/** Times are nanoseconds since the epoch, but upstream agents send only the sub-second part (spec protocol.md 6.19). */
export const Metadata = struct({
  deviceId: u64,
  inode: u64,
  mode: u32,
  hardLinks: u64,
  userId: u32,
  groupId: u32,
  rdeviceId: u64,
  size: u64,
  accessTime: i64,
  modificationTime: i64,
  creationTime: i64,
  blockSize: u64,
  blocks: u64,
})
export type Metadata = Infer<typeof Metadata>

const fsMetadata = {
  filesystemType: i64,
  blockSize: i64,
  blocks: u64,
  blocksFree: u64,
  blocksAvailable: u64,
  files: u64,
  filesFree: u64,
} as const

/** statfs(2) of old clients. */
export const FsMetadata = struct(fsMetadata)
export type FsMetadata = Infer<typeof FsMetadata>

export const FsMetadataV2 = struct({
  ...fsMetadata,
  filesystemId: pair(i32),
  nameLen: i64,
  fragmentSize: i64,
  flags: i64,
})
export type FsMetadataV2 = Infer<typeof FsMetadataV2>

/** File operations in the target (spec protocol.md 3.8); paths are inside the target's root. */
export const FileRequest = variants({
  Open: struct({path: string, openOptions: OpenOptions}),
  OpenRelative: struct({relativeFd: u64, path: string, openOptions: OpenOptions}),
  Read: struct({remoteFd: u64, bufferSize: u64}),
  ReadLimited: struct({remoteFd: u64, bufferSize: u64, startFrom: u64}),
  Seek: struct({fd: u64, seekFrom: SeekFrom}),
  Write: struct({fd: u64, writeBytes: bytes}),
  WriteLimited: struct({remoteFd: u64, startFrom: u64, writeBytes: bytes}),
  Close: struct({fd: u64}),
  Access: struct({pathname: string, mode: u8}),
  Xstat: struct({path: option(string), fd: option(u64), followSymlink: bool}),
  XstatFs: struct({fd: u64}),
  FdOpenDir: struct({remoteFd: u64}),
  ReadDir: struct({remoteFd: u64}),
  CloseDir: struct({remoteFd: u64}),
  GetDEnts64: struct({remoteFd: u64, bufferSize: u64}),
  ReadLink: struct({path: string}),
  ReadDirBatch: struct({remoteFd: u64, amount: u64}),
  MakeDir: struct({pathname: string, mode: u32}),
  MakeDirAt: struct({dirfd: u64, pathname: string, mode: u32}),
  RemoveDir: struct({pathname: string}),
  Unlink: struct({pathname: string}),
  UnlinkAt: struct({dirfd: option(u64), pathname: string, flags: u32}),
  StatFs: struct({path: string}),
  XstatFsV2: struct({fd: u64}),
  StatFsV2: struct({path: string}),
  Rename: struct({oldPath: string, newPath: string}),
  Ftruncate: struct({fd: u64, length: i64}),
  Futimens: struct({fd: u64, times: option(pair(Timespec))}),
  Fchown: struct({fd: u64, owner: u32, group: u32}),
  Fchmod: struct({fd: u64, mode: u32}),
})
export type FileRequest = Infer<typeof FileRequest>

const read = struct({bytes, readAmount: u64})
const written = struct({writtenAmount: u64})

/** Replies to file requests; their order differs from that of the requests (spec protocol.md 3.8.1). */
export const FileResponse = variants({
  Open: result(struct({fd: u64})),
  Read: result(read),
  ReadLimited: result(read),
  Write: result(written),
  WriteLimited: result(written),
  Seek: result(struct({resultOffset: u64})),
  Access: result(unit),
  Xstat: result(struct({metadata: Metadata})),
  XstatFs: result(struct({metadata: FsMetadata})),
  ReadDir: result(struct({direntry: option(DirEntry)})),
  OpenDir: result(struct({fd: u64})),
  GetDEnts64: result(struct({fd: u64, entries: list(DirEntry), resultSize: u64})),
  ReadLink: result(struct({path: string})),
  ReadDirBatch: result(struct({fd: u64, dirEntries: list(DirEntry)})),
  MakeDir: result(unit),
  RemoveDir: result(unit),
  Unlink: result(unit),
  XstatFsV2: result(struct({metadata: FsMetadataV2})),
  Rename: result(unit),
  Ftruncate: result(unit),
  Futimens: result(unit),
  Fchown: result(unit),
  Fchmod: result(unit),
})
export type FileResponse = Infer<typeof FileResponse>

/** Which response answers which request; `undefined` for the two that have none (spec protocol.md 3.8.1). */
export const fileResponses = {
  Open: 'Open',
  OpenRelative: 'Open',
  Read: 'Read',
  ReadLimited: 'ReadLimited',
  Seek: 'Seek',
  Write: 'Write',
  WriteLimited: 'WriteLimited',
  Close: undefined,
  Access: 'Access',
  Xstat: 'Xstat',
  XstatFs: 'XstatFs',
  FdOpenDir: 'OpenDir',
  ReadDir: 'ReadDir',
  CloseDir: undefined,
  GetDEnts64: 'GetDEnts64',
  ReadLink: 'ReadLink',
  ReadDirBatch: 'ReadDirBatch',
  MakeDir: 'MakeDir',
  MakeDirAt: 'MakeDir',
  RemoveDir: 'RemoveDir',
  Unlink: 'Unlink',
  UnlinkAt: 'Unlink',
  StatFs: 'XstatFs',
  XstatFsV2: 'XstatFsV2',
  StatFsV2: 'XstatFsV2',
  Rename: 'Rename',
  Ftruncate: 'Ftruncate',
  Futimens: 'Futimens',
  Fchown: 'Fchown',
  Fchmod: 'Fchmod',
} as const satisfies Record<FileRequest['type'], FileResponse['type'] | undefined>
