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

/** The agent gives no traffic of a port; the message says why. */
export class SubscriptionRefused extends Error {
  /** With which the program's listen(2) fails. */
  readonly errno: number
  /** Another session has the port. */
  readonly taken: boolean
  /** A policy of the cluster forbids it. */
  readonly forbidden: boolean

  constructor(error: ResponseError) {
    super(describe(error))
    this.taken = error.type === 'PortAlreadyStolen'
    this.forbidden = error.type === 'Forbidden' || error.type === 'ForbiddenWithReason'
    // listen(2) knows EADDRINUSE and EOPNOTSUPP; a policy is a permission that is missing.
    this.errno = this.taken ? errno.EADDRINUSE : error.type === 'NotImplemented' ? errno.EOPNOTSUPP : errno.EACCES
  }
}

function describe(error: ResponseError): string {
  switch (error.type) {
    case 'PortAlreadyStolen':
      return `Port ${error.value} is stolen by another session.`
    case 'Forbidden':
      return `A policy of the cluster forbids it${error.value.policyName ? ` (${error.value.policyName})` : ''}.`
    case 'ForbiddenWithReason':
      return `A policy of the cluster forbids it: ${error.value.reason}`
    case 'NotImplemented':
      return 'The agent cannot do it.'
    default:
      return `The agent answered ${error.type}.`
  }
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
