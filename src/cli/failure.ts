import type {ErrorReport} from '../errors/mirrord-error.ts'
import {colorFor} from '../util/color.ts'
import {annotate} from './ci-log.ts'
import {formatReport, reportOf} from './report.ts'
import {isParseError, usageReport} from './usage.ts'

/** What a command's error means for its user; undefined for an exit that is none (`this.exit`) and oclif's own errors. */
export function failureReport(error: unknown, argv: readonly string[]): ErrorReport | undefined {
  if (!isParseError(error)) return reportOf(error)
  const flag = argv.findIndex((word) => word.startsWith('-'))
  const words = argv.slice(0, flag === -1 ? undefined : flag)
  return usageReport(error, words.slice(0, words[0] === 'ci' ? 2 : 1).join(' '))
}

/** Shows an error as text, and beside the run where the CI system can. */
export function showFailure(
  report: ErrorReport,
  stream: NodeJS.WriteStream,
  env: Readonly<Record<string, string | undefined>>,
): void {
  stream.write(`${formatReport(report, colorFor(stream, env))}\n`)
  annotate(report, stream, env)
}
