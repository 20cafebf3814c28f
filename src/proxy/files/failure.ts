import {constants} from 'node:os'
import {ConnectionError, UnsupportedRequestError, type ErrorKind, type ResponseError} from '../../protocol/index.ts'

const {errno} = constants

/** Name of a Linux errno. */
export type ErrnoName = keyof typeof errno

/** A file operation that ends with an errno for the program. */
export class FileFailure extends Error {
  override readonly name = 'FileFailure'
  readonly errno: number

  constructor(number: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.errno = number
  }

  /** The agent went away in the middle: another one may answer. */
  get agentGone(): boolean {
    return this.cause instanceof ConnectionError
  }

  is(...names: ErrnoName[]): boolean {
    return names.some((name) => errno[name] === this.errno)
  }
}

/** A failure with an errno given by name. */
export function failure(name: ErrnoName, message: string): FileFailure {
  return new FileFailure(errno[name], `${name}: ${message}`)
}

/** Linux errno of an error kind that came without its number (spec protocol.md 3.10). */
const byKind: Partial<Record<ErrorKind['type'], ErrnoName>> = {
  NotFound: 'ENOENT',
  PermissionDenied: 'EACCES',
  BrokenPipe: 'EPIPE',
  AlreadyExists: 'EEXIST',
  WouldBlock: 'EAGAIN',
  NotADirectory: 'ENOTDIR',
  IsADirectory: 'EISDIR',
  DirectoryNotEmpty: 'ENOTEMPTY',
  ReadOnlyFilesystem: 'EROFS',
  FilesystemLoop: 'ELOOP',
  StaleNetworkFileHandle: 'ESTALE',
  InvalidInput: 'EINVAL',
  InvalidData: 'EILSEQ',
  TimedOut: 'ETIMEDOUT',
  StorageFull: 'ENOSPC',
  NotSeekable: 'ESPIPE',
  FilesystemQuotaExceeded: 'EDQUOT',
  FileTooLarge: 'EFBIG',
  ResourceBusy: 'EBUSY',
  ExecutableFileBusy: 'ETXTBSY',
  Deadlock: 'EDEADLK',
  CrossesDevices: 'EXDEV',
  TooManyLinks: 'EMLINK',
  InvalidFilename: 'ENAMETOOLONG',
  ArgumentListTooLong: 'E2BIG',
  Interrupted: 'EINTR',
  Unsupported: 'EOPNOTSUPP',
  OutOfMemory: 'ENOMEM',
}

/** What the program gets for an error of the agent (spec protocol.md 3.10). `what` names the operation and the path. */
export function remoteFailure(error: ResponseError, what: string): FileFailure {
  switch (error.type) {
    case 'RemoteIO': {
      const {rawOsError, kind} = error.value
      const number = rawOsError ?? errno[byKind[kind.type] ?? 'EIO'] ?? errno.EIO
      return new FileFailure(number, `${what}: the agent answered ${kind.type} (${rawOsError ?? 'without errno'})`)
    }
    case 'IdsExhausted':
      return failure('ENOMEM', `${what}: the agent has no descriptor left`)
    case 'NotFound':
    case 'OpenLocal':
      return failure('ENOENT', `${what}: the agent answered ${error.type}`)
    case 'NotDirectory':
      return failure('ENOTDIR', what)
    case 'NotFile':
      return failure('EISDIR', what)
    case 'Forbidden':
    case 'ForbiddenWithReason':
      return failure('EACCES', `${what}: a policy of the cluster forbids it`)
    case 'StripPrefix':
      return failure('EINVAL', `${what}: ${error.value}`)
    case 'NotImplemented':
      return failure('EOPNOTSUPP', `${what}: the agent cannot do it`)
    default:
      return failure('EIO', `${what}: the agent answered ${error.type}`)
  }
}

/** Errors of our own disk that say what they say; any other would tell the program something wrong about its own path. */
const own: readonly ErrnoName[] = ['ENOSPC', 'EDQUOT', 'EFBIG', 'EMFILE', 'ENFILE', 'ENOMEM', 'ENAMETOOLONG']

/** Anything thrown on the way, as a failure: EIO unless it says more. */
export function toFailure(error: unknown, what: string): FileFailure {
  if (error instanceof FileFailure) return error
  if (error instanceof UnsupportedRequestError) return failure('EOPNOTSUPP', `${what}: ${error.message}`)
  const {code} = error as NodeJS.ErrnoException
  const text = error instanceof Error ? error.message : String(error)
  const name = own.find((name) => name === code) ?? 'EIO'
  return new FileFailure(errno[name], `${name}: ${what}: ${text}`, {cause: error})
}
