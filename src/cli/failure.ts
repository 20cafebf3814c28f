import {MirrordError, type ErrorReport} from '../errors/mirrord-error.ts'
import {colorFor} from '../util/color.ts'
import {annotate} from './ci-log.ts'
import {tolerate} from './pipe.ts'
import {writeFailure} from './progress-json.ts'
import {progressMode} from './progress-mode.ts'
import {formatReport, reportOf} from './report.ts'
import {flagReport, isParseError, usageReport} from './usage.ts'

/** What a command's error means for its user; undefined for an exit that is none (`this.exit`) and oclif's own errors. */
export function failureReport(error: unknown, argv: readonly string[]): ErrorReport | undefined {
  const command = commandOf(argv)
  if (isParseError(error)) return usageReport(error, command)
  // A report of our own says more than oclif, which has only changed its message.
  return (error instanceof MirrordError ? undefined : flagReport(error, command)) ?? reportOf(error)
}

/** The first words of commands that have two. */
const topics: ReadonlySet<string> = new Set(['ci', 'config'])

/** The words of a command line that name its command. */
function commandOf(argv: readonly string[]): string {
  const flag = argv.findIndex((word) => word.startsWith('-'))
  const words = argv.slice(0, flag === -1 ? undefined : flag)
  return words.slice(0, topics.has(words[0]!) ? 2 : 1).join(' ')
}

/** Shows an error as text, and beside the run where the CI system can; as JSON where progress is. */
export function showFailure(
  report: ErrorReport,
  {
    stream,
    env,
    argv,
  }: {stream: NodeJS.WriteStream; env: Readonly<Record<string, string | undefined>>; argv: readonly string[]},
): void {
  tolerate(stream)
  const title = `mirrord ${commandOf(argv)}`
  const plain = colorFor(stream, {NO_COLOR: '1'})
  if (progressMode(env).mode === 'json')
    return writeFailure(stream, title, formatReport({...report, warnings: []}, plain), report.warnings)
  stream.write(`${formatReport(report, colorFor(stream, env))}\n`)
  annotate(report, stream, env)
}
