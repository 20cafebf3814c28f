import {Errors} from '@oclif/core'
import {exitCodes} from '../errors/exit-codes.ts'
import {toReport, type ErrorReport} from '../errors/mirrord-error.ts'
import type {Color} from '../util/color.ts'

/** The one error class that oclif lets through a hook, carrying our report (spec oclif.md 5.1). */
export class ReportedError extends Errors.CLIError {
  readonly report: ErrorReport

  constructor(error: unknown) {
    const report = toReport(error)
    super(report.what, {exit: exitCodes[report.exit].code})
    this.report = report
    this.cause = error
  }
}

/** The report of anything that a command or hook threw; undefined for oclif's own usage errors and exits. */
export function reportOf(error: unknown): ErrorReport | undefined {
  if (error instanceof ReportedError) return error.report
  // oclif marks what it throws with the exit code; everything else is ours, or a defect.
  return error instanceof Error && 'oclif' in error ? undefined : toReport(error)
}

/** A report as text for stderr: its warnings, then what, why, what next, the code, then the supporting lines. */
export function formatReport(report: ErrorReport, color: Color): string {
  const lines = [...(report.warnings ?? []).map((warning) => `! ${warning}`)]
  lines.push(`${color.red.bold('Error:')} ${report.what}`)
  if (report.why) lines.push(`  ${color.bold('Why:')}  ${indent(report.why)}`)
  report.next.forEach((step, index) => lines.push(`  ${index === 0 ? color.bold('Next:') : '     '} ${indent(step)}`))
  lines.push(`  ${color.bold('Code:')} ${report.code} (exit ${exitCodes[report.exit].code})`)
  if (report.detail) lines.push('', ...report.detail.split('\n').map((line) => `  ${color.dim('|')} ${line}`))
  return lines.join('\n')
}

function indent(text: string): string {
  return text.split('\n').join('\n        ')
}
