import type {Interfaces} from '@oclif/core'
import {nearest} from '../config/nearest.ts'
import {MirrordError, type ErrorReport} from '../errors/mirrord-error.ts'

/** What oclif's parser throws, as far as it is used here. */
interface ParseError extends Error {
  parse: {input?: {flags?: Readonly<Record<string, unknown>>}}
  /** Of unknown flags: as typed. */
  flags?: readonly string[]
  /** Of missing arguments: the arguments; of unexpected ones: as typed. */
  args?: readonly (string | {name: string; description?: string})[]
}

/** What oclif's parser adds to the message of every error that it throws for a command line. */
const HINT = /\n?See more help with --help$/
/** What it makes of the message of a flag's own parser (parse.js of @oclif/core 4). */
const REFUSED = /^Parsing (--\S+) \n\t([^]*)$/

/** An error in the words of a command line; `command` is the command's words. */
export function usageError(what: string, command: string, advice: readonly string[] = []): MirrordError {
  return new MirrordError(usage(what, undefined, command, advice))
}

/** Whether an error is oclif's own about the words of a command line. */
export function isParseError(error: unknown): error is ParseError {
  return error instanceof Error && 'parse' in error && 'showHelp' in error
}

/** The report of a wrong command line; `command` is the command's words, for example `ci start`. */
export function usageReport(error: ParseError, command: string): ErrorReport {
  const known = Object.keys(error.parse.input?.flags ?? {}).map((name) => `--${name}`)
  const meant = (error.flags ?? []).flatMap((flag) => {
    const [near] = flag.startsWith('--') ? nearest(flag.split('=')[0]!, known, 1) : []
    return near === undefined ? [] : [`Did you mean ${near}?`]
  })
  const [what = '', ...rest] = problems(error)
  return usage(what, rest.join('\n').trim() || undefined, command, meant)
}

/** The report of a flag's value that its parser refused; undefined for any other error. */
export function flagReport(error: unknown, command: string): ErrorReport | undefined {
  const [, flag, reason = ''] = (error instanceof Error && REFUSED.exec(error.message.replace(HINT, ''))) || []
  if (flag === undefined) return undefined
  const words = reason.charAt(0).toLowerCase() + reason.slice(1).replace(/ received: $/, ' received: ""')
  return usage(`${flag}: ${words}`, undefined, command)
}

/**
 * The error of a file that cannot be read, with what helps when its name was meant as the program: `-f` takes the next word,
 * as upstream does (spec config.md 1.2). Any other error as it is.
 */
export function withProgramHint(error: unknown, file: unknown): unknown {
  if (!(error instanceof MirrordError) || error.report.code !== 'CONFIG_NOT_FOUND') return error
  if (typeof file !== 'string' || /[./]/.test(file)) return error
  const next = [
    ...error.report.next,
    `Or, if ${file} is the program: -f without a file needs -- after it: -f -- ${file}`,
  ]
  return new MirrordError({...error.report, next}, {cause: error})
}

function usage(what: string, why: string | undefined, command: string, meant: readonly string[] = []): ErrorReport {
  const next = [...meant, `See what there is: mirrord ${command === '' ? '' : `${command} `}--help`]
  return {code: 'USAGE', exit: 'usage', what: sentence(what), why, next}
}

/** What is wrong, a line each; oclif's own words where they say it. */
function problems({message, args = []}: ParseError): string[] {
  const text = message.replace(HINT, '')
  const missing = args.flatMap((arg) => (typeof arg === 'string' ? [] : [arg]))
  if (missing.length > 0)
    return missing.map(
      ({name, description}) => `${name.toUpperCase()} is missing${description ? `: ${description}` : ''}`,
    )
  const [, reasons] = /^The following errors? occurred:\s*([^]*)$/.exec(text) ?? []
  return (reasons ?? text)
    .split('\n')
    .map((line) => line.replace(/^Expected {2}to/, 'Expected "" to'))
    .map((line) =>
      line.replace(
        /^(--[\w-]+)\S* cannot also be provided when using (--[\w-]+)$/,
        '$1 cannot be given together with $2',
      ),
    )
    .map((line) => line.replace(/^\s*Missing required flag (\S+)$/, '--$1 is missing, and has no default'))
}

/** The report of words that are no command. */
export function unknownCommand(id: string, config: Pick<Interfaces.Config, 'commandIDs'>): ErrorReport {
  const typed = id.replaceAll(':', ' ')
  if (typed.split(' ').includes('')) return usage('The name of the command is empty.', undefined, typed.trim())
  const commands = config.commandIDs.map((name) => name.replaceAll(':', ' '))
  const topic = typed.includes(' ') ? typed.slice(0, typed.lastIndexOf(' ') + 1) : ''
  // Within a topic only the last word can be wrong: the topic's letters would make everything in it look alike.
  const siblings = topic === '' ? [] : commands.filter((name) => name.startsWith(topic))
  if (typed.startsWith('-'))
    return usage(`A command comes first, its flags after it: ${typed} is no command.`, undefined, '')
  const near =
    siblings.length > 0 ? nearestWord(typed, siblings, topic) : nearest(typed, [...commands, ...lastWords(commands)])
  const meant = near.map((name) => commands.find((command) => command === name || command.endsWith(` ${name}`)) ?? name)
  return {
    code: 'UNKNOWN_COMMAND',
    exit: 'usage',
    what: `There is no command \`mirrord ${typed}\`.`,
    next: [
      ...(meant.length > 0 ? [`Did you mean \`mirrord ${[...new Set(meant)].join('` or `mirrord ')}\`?`] : []),
      `See what there is: mirrord ${siblings.length > 0 ? topic : ''}--help`,
    ],
  }
}

const nearestWord = (typed: string, commands: readonly string[], topic: string) =>
  nearest(
    typed.slice(topic.length),
    commands.map((name) => name.slice(topic.length)),
    2,
  ).map((name) => topic + name)

/** `mirrord stop` is meant as `mirrord ci stop`. */
const lastWords = (commands: readonly string[]) => commands.map((name) => name.slice(name.lastIndexOf(' ') + 1))

function sentence(text: string): string {
  return /[.?!:]$/.test(text) ? text : `${text}.`
}
