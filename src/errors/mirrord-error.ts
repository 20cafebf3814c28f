import {exitCodes, type ExitCodeName} from './exit-codes.ts'

/** A place in one of the user's files that is at fault. */
export interface Place {
  /** Absolute path. */
  file: string
  /** From 1. */
  line?: number
  column?: number
  message: string
}

/** The parts of an error that a user can meet. Plain data: it crosses process boundaries as JSON. */
export interface ErrorReport {
  /** Stable identifier, for example `TARGET_NOT_FOUND`; documented, never reworded. */
  code: string
  exit: ExitCodeName
  /** What failed, one sentence. */
  what: string
  /** Why it failed, as far as known. */
  why?: string
  /** What to do next, one line each. */
  next: readonly string[]
  /** Supporting lines shown verbatim: a log tail, pod events. Never secrets. */
  detail?: string
  /** What the user should know besides, whole sentences: warnings that were found before the error. */
  warnings?: readonly string[]
  /** Where the user's files are at fault; CI systems show the error there. */
  places?: readonly Place[]
}

/** The one error class for every failure that is not a defect of ours. */
export class MirrordError extends Error {
  override readonly name = 'MirrordError'
  readonly report: ErrorReport

  constructor(report: ErrorReport, options?: {cause?: unknown}) {
    super(report.why ? `${report.what} ${report.why}` : report.what, options)
    this.report = report
  }

  /** The process exit code of this error, from the exit-code table. */
  get exitCode(): number {
    return exitCodes[this.report.exit].code
  }
}

/** Turns anything thrown into a report: ours as it is, everything else as an unexpected failure. */
export function toReport(error: unknown): ErrorReport {
  if (error instanceof MirrordError) return error.report
  const message = error instanceof Error ? error.message : String(error)
  return {
    code: 'UNEXPECTED',
    exit: 'unexpected',
    what: `An unexpected failure: ${message}`,
    next: ['This is a defect of mirrord: report it with the stack trace below.'],
    detail: error instanceof Error ? error.stack : undefined,
  }
}
