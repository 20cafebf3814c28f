import {constants} from 'node:os'
import type {UnavailableReason} from './types.ts'
import {stages} from './wire.ts'

/**
 * Why a program could not be started.
 * `unavailable`: this machine cannot intercept (see `unavailable`) · `not-found`: no such program · `not-executable`: no
 * permission, not a file, or a format that cannot be run · `working-directory`: cwd cannot be entered · `failed`: anything else
 * (see `errno`) · `lost`: the trap ended before the program started, or spoke nonsense · `container`: the container did not run.
 */
export type TrapErrorReason =
  'unavailable' | 'not-found' | 'not-executable' | 'working-directory' | 'failed' | 'lost' | 'container'

/** The one error that `startTrap` and `probeTrap` reject with. */
export class TrapError extends Error {
  override readonly name = 'TrapError'
  readonly reason: TrapErrorReason
  /** Linux errno of the call that failed, where there is one. */
  readonly errno?: number
  /** Present with reason `unavailable`. */
  readonly unavailable?: UnavailableReason

  constructor(reason: TrapErrorReason, message: string, details?: {errno?: number; unavailable?: UnavailableReason}) {
    super(message)
    this.reason = reason
    this.errno = details?.errno
    this.unavailable = details?.unavailable
  }
}

/** The error for a `failed` message: which step of starting the program failed, with which errno. */
export function startFailure(
  failed: {stage: number; errno: number},
  options: {program: string; cwd: string},
): TrapError {
  const {stage, errno} = failed
  const name = errnoName(errno)
  switch (stage) {
    case stages.seccomp:
      return new TrapError('unavailable', `seccomp(2) failed: ${name}`, {errno, unavailable: seccompReason(errno)})
    case stages.memory:
      return new TrapError('unavailable', `reading the memory of a child process failed: ${name}`, {
        errno,
        unavailable: 'memory-denied',
      })
    case stages.network:
      return new TrapError('container', "the container has another network than this machine's", {errno})
    case stages.chdir:
      return new TrapError('working-directory', `${options.cwd} cannot be entered: ${name}`, {errno})
    case stages.exec: {
      const {ENOENT, ENOTDIR, EACCES, ENOEXEC, EISDIR, EPERM, ETXTBSY, ELOOP} = constants.errno
      const reason = [ENOENT, ENOTDIR].includes(errno)
        ? 'not-found'
        : [EACCES, ENOEXEC, EISDIR, EPERM, ETXTBSY, ELOOP].includes(errno)
          ? 'not-executable'
          : 'failed'
      return new TrapError(reason, `${options.program} cannot be run: ${name}`, {errno})
    }
    default:
      return new TrapError('failed', `${options.program} cannot be started: ${name}`, {errno})
  }
}

function seccompReason(errno: number): UnavailableReason {
  if (errno === constants.errno.EBUSY) return 'other-listener'
  if (errno === constants.errno.EPERM || errno === constants.errno.EACCES) return 'seccomp-denied'
  return 'kernel-too-old'
}

function errnoName(errno: number): string {
  return Object.entries(constants.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`
}
