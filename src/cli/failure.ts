import {MirrordError, type ErrorReport} from '../errors/mirrord-error.ts'
import {colorFor} from '../util/color.ts'
import {annotate} from './ci-log.ts'
import {formatReport, reportOf} from './report.ts'
import {flagReport, isParseError, usageReport} from './usage.ts'

/** What a command's error means for its user; undefined for an exit that is none (`this.exit`) and oclif's own errors. */
export function failureReport(error: unknown, argv: readonly string[]): ErrorReport | undefined {
  const flag = argv.findIndex((word) => word.startsWith('-'))
  const words = argv.slice(0, flag === -1 ? undefined : flag)
  const command = words.slice(0, words[0] === 'ci' ? 2 : 1).join(' ')
  if (isParseError(error)) return usageReport(error, command)
  // A report of our own says more than oclif, which has only changed its message.
  return (error instanceof MirrordError ? undefined : flagReport(error, command)) ?? reportOf(error)
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
