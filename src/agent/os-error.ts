import {constants} from 'node:os'
import type {ErrorKind, RemoteIoError, ResponseError} from '../protocol/index.ts'

/** Kinds without content. */
type PlainKind = Exclude<ErrorKind['type'], 'Unknown'>

/** Error kinds by errno name, as Rust's standard library maps them (protocol.md 3.10). */
const kinds: Partial<Record<PlainKind, readonly (keyof typeof constants.errno)[]>> = {
  NotFound: ['ENOENT'],
  PermissionDenied: ['EPERM', 'EACCES'],
  ConnectionRefused: ['ECONNREFUSED'],
  ConnectionReset: ['ECONNRESET'],
  HostUnreachable: ['EHOSTUNREACH'],
  NetworkUnreachable: ['ENETUNREACH'],
  ConnectionAborted: ['ECONNABORTED'],
  NotConnected: ['ENOTCONN'],
  AddrInUse: ['EADDRINUSE'],
  AddrNotAvailable: ['EADDRNOTAVAIL'],
  NetworkDown: ['ENETDOWN'],
  BrokenPipe: ['EPIPE'],
  AlreadyExists: ['EEXIST'],
  WouldBlock: ['EAGAIN'],
  NotADirectory: ['ENOTDIR'],
  IsADirectory: ['EISDIR'],
  DirectoryNotEmpty: ['ENOTEMPTY'],
  ReadOnlyFilesystem: ['EROFS'],
  StaleNetworkFileHandle: ['ESTALE'],
  InvalidInput: ['EINVAL'],
  TimedOut: ['ETIMEDOUT'],
  StorageFull: ['ENOSPC'],
  NotSeekable: ['ESPIPE'],
  FilesystemQuotaExceeded: ['EDQUOT'],
  FileTooLarge: ['EFBIG'],
  ResourceBusy: ['EBUSY'],
  Deadlock: ['EDEADLK'],
  ExecutableFileBusy: ['ETXTBSY'],
  CrossesDevices: ['EXDEV'],
  TooManyLinks: ['EMLINK'],
  InvalidFilename: ['ENAMETOOLONG'],
  ArgumentListTooLong: ['E2BIG'],
  Interrupted: ['EINTR'],
  Unsupported: ['ENOSYS', 'EOPNOTSUPP'],
  OutOfMemory: ['ENOMEM'],
}

const kindByErrno: ReadonlyMap<number, PlainKind> = new Map(
  Object.entries(kinds).flatMap(([kind, names]) => names.map((name) => [constants.errno[name], kind as PlainKind])),
)

/** What upstream agents call errnos without a kind of their own. */
const unnamed: ReadonlyMap<number, string> = new Map([
  [constants.errno.ELOOP, 'filesystem loop or indirection limit (e.g. symlink loop)'],
  [constants.errno.EINPROGRESS, 'in progress'],
])

/** Names that libuv gives to errors without the system's number, or under another name than the system's. */
const aliases: Readonly<Record<string, keyof typeof constants.errno>> = {ENOTSUP: 'EOPNOTSUPP', ECHARSET: 'EILSEQ'}

/** A protocol error for a Linux errno. */
export function fromErrno(errno: number): RemoteIoError {
  const kind = kindByErrno.get(errno)
  if (kind) return {rawOsError: errno, kind: plain(kind)}
  return {rawOsError: errno, kind: {type: 'Unknown', value: unnamed.get(errno) ?? 'uncategorized error'}}
}

/** A protocol error for anything that a system call of Node threw; what has no errno becomes kind Other. */
export function toRemoteIo(error: unknown): RemoteIoError {
  const {code} = error as NodeJS.ErrnoException
  const number = constants.errno[(aliases[code ?? ''] ?? code) as keyof typeof constants.errno] as number | undefined
  return number === undefined ? {kind: {type: 'Other'}} : fromErrno(number)
}

/** A reply's error: `toRemoteIo` wrapped. */
export function ioFailure(error: unknown): ResponseError {
  return {type: 'RemoteIO', value: toRemoteIo(error)}
}

/** A reply's error that did not come from the system. */
export function syntheticFailure(kind: PlainKind): ResponseError {
  return {type: 'RemoteIO', value: {kind: plain(kind)}}
}

/** The compiler cannot see that every one of these kinds is a variant without content. */
function plain(type: PlainKind): ErrorKind {
  return {type} as ErrorKind
}
