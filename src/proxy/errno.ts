import {constants} from 'node:os'
import type {ErrorKind, ResponseError} from '../protocol/index.ts'

const {errno} = constants

/** Linux errno of an error kind that came without its number (spec protocol.md 3.10). */
const byKind: Partial<Record<ErrorKind['type'], number>> = {
  NotFound: errno.ENOENT,
  PermissionDenied: errno.EACCES,
  ConnectionRefused: errno.ECONNREFUSED,
  ConnectionReset: errno.ECONNRESET,
  HostUnreachable: errno.EHOSTUNREACH,
  NetworkUnreachable: errno.ENETUNREACH,
  ConnectionAborted: errno.ECONNABORTED,
  AddrInUse: errno.EADDRINUSE,
  AddrNotAvailable: errno.EADDRNOTAVAIL,
  NetworkDown: errno.ENETDOWN,
  InvalidInput: errno.EINVAL,
  TimedOut: errno.ETIMEDOUT,
}

/** The errno with which the program's connect(2) fails for an error of the agent. */
export function connectErrno(error: ResponseError): number {
  switch (error.type) {
    case 'RemoteIO':
      return error.value.rawOsError ?? byKind[error.value.kind.type] ?? errno.EIO
    case 'Remote':
      return error.value.type === 'ConnectTimedOut' ? errno.ETIMEDOUT : errno.EINVAL
    case 'Forbidden':
    case 'ForbiddenWithReason':
      return errno.EACCES
    case 'IdsExhausted':
      return errno.ENOMEM
    default:
      return errno.EIO
  }
}
