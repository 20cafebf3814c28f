import {MirrordError, type Place} from '../errors/mirrord-error.ts'
import type {Origin, Problem} from './assemble.ts'
import {positionOf, type ConfigFile} from './files.ts'
import {longestKey, printable} from './syntax.ts'
import {listed} from './verify/available.ts'

/** How many problems are told at once; a file with more is none that was written by hand. */
const maxProblems = 50
const longestSentence = 2000

/**
 * The error that names every problem, each with its key, origin and line. CONFIG_UNSUPPORTED where nothing is wrong but
 * something comes in a later version; else CONFIG_INVALID, with what comes later after what is wrong. `warnings` are told
 * with it.
 */
export function refusal(
  problems: readonly Problem[],
  origins: ReadonlyMap<string, Origin>,
  warnings: readonly string[],
  file?: ConfigFile,
): MirrordError {
  const invalid = problems.filter((problem) => !problem.later)
  const unsupported = problems.filter((problem) => problem.later)
  const all = [...invalid, ...unsupported]
  // What has to go need not be corrected.
  const refused = unsupported.flatMap(keysOf)
  const goes = (key: string) => refused.some((other) => key === other || key.startsWith(`${other}.`))
  const wrong = invalid
    .filter((problem) => !keysOf(problem).every(goes))
    .flatMap((problem) => keysOf(problem).map((key) => withOrigin(key, problem.origin ?? nearestOrigin(key, origins))))
  const shown = all.slice(0, maxProblems)
  const told = [...new Set(shown.map((problem) => printable(sentence(problem, origins, file), longestSentence)))]
  const more = all.length - shown.length
  const sentences = more === 0 ? told : [...told, `And ${more} more.`]
  const count = sentences.length === 1 ? '' : ` in ${told.length + more} places`
  return new MirrordError({
    code: invalid.length > 0 ? 'CONFIG_INVALID' : 'CONFIG_UNSUPPORTED',
    exit: invalid.length > 0 ? 'configInvalid' : 'configUnsupported',
    what:
      invalid.length > 0
        ? `The configuration is invalid${count}.`
        : `The configuration asks for something that this version does not do${count}.`,
    why: sentences.length === 1 ? sentences[0] : undefined,
    next: [...(wrong.length > 0 ? [`Correct ${named(wrong)}.`] : []), ...remedies(unsupported, origins)],
    detail: sentences.length > 1 ? sentences.join('\n') : undefined,
    warnings: warnings.length > 0 ? warnings.map((warning) => printable(warning, longestSentence)) : undefined,
    places: shown.flatMap((problem) => placesOf(problem, origins, file)),
  })
}

/** Keys in words; some of them where there are many. */
function named(keys: readonly string[]): string {
  const few = keys.slice(0, maxProblems).map((key) => printable(key, longestKey + 100))
  return listed(keys.length > few.length ? [...few, 'others'] : few)
}

/** Whoever sets a key by a flag or variable looks for it there. */
const withOrigin = (key: string, origin: Origin | undefined) =>
  origin !== undefined && /^(?:env|flag) /.test(origin) ? `${printable(key, longestKey)} (${origin})` : key

const keysOf = ({path, paths}: Problem) => paths ?? [path || 'the configuration']

/** What nobody has set cannot be left out: there it is the default that asks for too much. A target is named anew. */
function remedies(unsupported: readonly Problem[], origins: ReadonlyMap<string, Origin>): string[] {
  const byDefault = unsupported.filter((problem) => !problem.paths && !nearestOrigin(problem.path, origins))
  const set = unsupported.filter((problem) => !byDefault.includes(problem)).flatMap(keysOf)
  const keys = set.filter((path) => path !== 'target.path')
  return [
    ...(keys.length < set.length ? ['Name a pod or a deployment as the target (target.path).'] : []),
    ...(keys.length > 0 ? [`Leave out ${listed(keys)}.`] : []),
    ...(byDefault.length > 0 ? [`Set ${listed(byDefault.flatMap(keysOf))}, to a value that is named above.`] : []),
  ]
}

/** Where the file is at fault; nothing for a value of a flag, of a variable, or of no source. */
function placesOf(problem: Problem, origins: ReadonlyMap<string, Origin>, file?: ConfigFile): Place[] {
  return (problem.paths ?? [problem.path]).flatMap((path) => {
    const origin = problem.origin ?? nearestOrigin(path, origins)
    if (file?.path === undefined || (origin !== undefined && !origin.startsWith('file '))) return []
    const position = positionOf(file, path)
    if (!position && file.positions.size > 0) return []
    const {message} = problem
    return [
      {
        file: file.path,
        ...position,
        message: printable(`${shownPath(path)}${path === '' ? '' : ': '}${message}${stop(message)}`, longestSentence),
      },
    ]
  })
}

function sentence(problem: Problem, origins: ReadonlyMap<string, Origin>, file?: ConfigFile): string {
  if (problem.sentence !== undefined) return `${problem.sentence}.`
  const line = file && positionOf(file, problem.path)?.line
  const known = problem.origin ?? nearestOrigin(problem.path, origins)
  const inFile = file && (known === undefined || (line !== undefined && known.startsWith('file ')))
  const origin = inFile ? `file ${file.name}${line === undefined ? '' : `:${line}`}` : known
  const place = origin && origin !== 'default' ? ` (${origin})` : ''
  return `${shownPath(problem.path)}${place}: ${problem.message}${stop(problem.message)}`
}

const shownPath = (path: string) => printable(path, longestKey)
const stop = (sentence: string) => (/[.?]$/.test(sentence) ? '' : '.')

/** Where a key, or the key that it is an entry of, came from. */
function nearestOrigin(path: string, origins: ReadonlyMap<string, Origin>): Origin | undefined {
  const parent = path.lastIndexOf('.')
  return origins.get(path) ?? (parent < 0 ? undefined : nearestOrigin(path.slice(0, parent), origins))
}
