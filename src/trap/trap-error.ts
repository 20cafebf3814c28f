import type {UnavailableReason} from './types.ts'

/**
 * Why a program could not be started.
 * `unavailable`: this machine cannot intercept (see `unavailable`) · `not-found`: no such program · `not-executable`: no
 * permission, not a file, or a format that cannot be run · `working-directory`: cwd cannot be entered · `failed`: anything else
 * (see `errno`) · `lost`: the trap ended before the program started, or spoke nonsense.
 */
export type TrapErrorReason = 'unavailable' | 'not-found' | 'not-executable' | 'working-directory' | 'failed' | 'lost'

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
