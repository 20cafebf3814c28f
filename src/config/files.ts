import path from 'node:path'
import {MirrordError} from '../errors/mirrord-error.ts'
import {readJson} from './json-reader.ts'
import {generateKey} from './key.ts'
import {isRecord} from './meta.ts'
import {decode, readFromDisk, UnreadableFile, type ReadText} from './read-text.ts'
import {FileSyntaxError, Lines, type Parsed, type Position} from './syntax.ts'
import type {TemplateSources} from './template-file.ts'
import {hasTemplate, TemplateError} from './template/syntax.ts'

/** A configuration file as read. */
export interface ConfigFile {
  /** As the user gave it. */
  name: string
  /** Absolute; absent for standard input. */
  path?: string
  value: Record<string, unknown>
  /** Where each key and list entry stands, by path. */
  positions: ReadonlyMap<string, Position>
  /** Scalars as they are written, by path, where the key decides what they are: YAML. */
  texts?: ReadonlyMap<string, string>
}

/** Where a key stands in its file: itself, or the nearest section around it that is written there. */
export function positionOf({positions}: ConfigFile, path: string): Position | undefined {
  for (let key = path; key !== ''; key = key.slice(0, Math.max(0, key.lastIndexOf('.')))) {
    const position = positions.get(key)
    if (position) return position
  }
  return undefined
}

type Format = (source: string) => Parsed

/** The parsers of YAML and TOML are loaded only for their files. */
const formats: Readonly<Record<string, () => Format | Promise<Format>>> = {
  '': () => readJson,
  '.json': () => readJson,
  '.yaml': async () => (await import('./yaml-reader.ts')).readYaml,
  '.yml': async () => (await import('./yaml-reader.ts')).readYaml,
  '.toml': async () => (await import('./toml-reader.ts')).readToml,
}

/**
 * Reads a configuration file by its extension, compared with case as upstream does (config.md 2.1). `name` is relative
 * to `cwd`. Throws a MirrordError: CONFIG_NOT_FOUND (exit configNotFound), CONFIG_SYNTAX or CONFIG_FORMAT (exit
 * configInvalid), with file, line and column but no text of the file; CONFIG_TEMPLATE (exit configInvalid)
 * likewise for its templates.
 */
export async function readConfigFile(
  name: string,
  cwd: string,
  read: ReadText = readFromDisk,
  templates: TemplateSources = nothingGiven(),
): Promise<ConfigFile> {
  const standardInput = name === '-'
  const extension = standardInput ? '' : path.extname(name)
  const format = formats[extension]
  if (!format) {
    throw new MirrordError({
      code: 'CONFIG_FORMAT',
      exit: 'configInvalid',
      what: `The configuration file ${name} has an unknown extension: ${extension}.`,
      why: 'The extension decides the format; json, toml, yml and yaml are known (a file without one is JSON).',
      next: ['Rename the file to end in .json, .toml, .yml or .yaml.'],
    })
  }
  const file = standardInput ? undefined : path.resolve(cwd, name)
  const shown = standardInput ? 'standard input' : name
  const content = await readContent(name, file ?? '-', read)
  const parse = await format()
  let text = ''
  try {
    text = decode(content)
    const parsed = hasTemplate(text)
      ? await (await import('./template-file.ts')).parseTemplated(text, parse, templates)
      : parse(text)
    return {name: shown, path: file, ...settings(parsed)}
  } catch (error) {
    if (error instanceof TemplateError) throw unrendered(error, text, shown, file)
    throw error instanceof FileSyntaxError ? malformed(error, shown, file) : error
  }
}

/** Templates with no variables, no branch and no key from outside. */
function nothingGiven(): TemplateSources {
  return {env: {}, branch: () => Promise.resolve(undefined), generatedKey: generateKey()}
}

/** The keys of a file. `$schema` is for editors; it is taken off here so that it is no key of the schema. */
function settings({value, positions, texts}: Parsed): Pick<ConfigFile, 'value' | 'positions' | 'texts'> {
  // An empty YAML or TOML document is a file without settings.
  if (value === null || value === undefined) return {value: {}, positions}
  if (!isRecord(value)) throw new FileSyntaxError([{message: 'the top level must be an object with keys'}])
  if (!Object.hasOwn(value, '$schema')) return {value, positions, texts}
  const {$schema, ...rest} = value
  if (typeof $schema === 'string') return {value: rest, positions, texts}
  throw new FileSyntaxError([{message: '$schema must be a string', ...positions.get('$schema')}])
}

/** `file`, `file:line` or `file:line:column`. */
function placeIn(shown: string, {line, column}: Partial<Position>): string {
  return [shown, line, line === undefined ? undefined : column].filter((part) => part !== undefined).join(':')
}

const sentence = (message: string) =>
  `${message[0]?.toUpperCase()}${message.slice(1)}${/[.?]$/.test(message) ? '' : '.'}`

function unrendered(
  {message, offset, advice}: TemplateError,
  text: string,
  shown: string,
  file?: string,
): MirrordError {
  const position: Partial<Position> = offset === undefined ? {} : new Lines(text).positionAt(offset)
  const line = position.line === undefined ? '' : ` at line ${position.line}`
  return new MirrordError({
    code: 'CONFIG_TEMPLATE',
    exit: 'configInvalid',
    what: `A template of the configuration file cannot be rendered: ${placeIn(shown, position)}.`,
    why: sentence(message),
    next: [`Correct ${shown}${line}.`, ...(advice === undefined ? [] : [advice])],
    places: file === undefined ? undefined : [{file, ...position, message: sentence(message)}],
  })
}

function malformed({problems, advice}: FileSyntaxError, shown: string, file: string | undefined): MirrordError {
  const [first] = problems
  const place = (position: Partial<Position>) => placeIn(shown, position)
  const several = problems.length > 1
  const lines = problems.flatMap(({line}) => line ?? [])
  return new MirrordError({
    code: 'CONFIG_SYNTAX',
    exit: 'configInvalid',
    what: several
      ? `The configuration file is malformed in ${problems.length} places: ${place(first!)} and below.`
      : `The configuration file is malformed: ${place(first!)}.`,
    why: several ? undefined : sentence(first!.message),
    next: [
      `Correct ${shown}${lines.length === 0 ? '' : ` at line${several ? 's' : ''} ${lines.join(', ')}`}.`,
      ...(advice === undefined ? [] : [advice]),
    ],
    detail: several
      ? problems.map((problem) => `${place(problem)}: ${sentence(problem.message)}`).join('\n')
      : undefined,
    places:
      file === undefined
        ? undefined
        : problems.map(({line, column, message}) => ({file, line, column, message: sentence(message)})),
  })
}

async function readContent(name: string, file: string, read: ReadText): Promise<string | Uint8Array> {
  try {
    return await read(file)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    throw new MirrordError(
      {
        code: 'CONFIG_NOT_FOUND',
        exit: 'configNotFound',
        what: `The configuration file ${name} cannot be read.`,
        why: error instanceof UnreadableFile ? error.message : (reasons[code ?? ''] ?? `The system answered ${code}.`),
        next: [`Check the path: it was taken as ${file}.`],
      },
      {cause: error},
    )
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'There is no such file.',
  ENOTDIR: 'A part of its path is a file, not a directory.',
  EACCES: 'The file may not be read by this user.',
  EISDIR: 'It is a directory.',
  ELOOP: 'Its links lead in a circle.',
  ENAMETOOLONG: 'Its path is too long.',
  ENXIO: 'It is a socket, not a file.',
}
