import {readFile as readFromDisk} from 'node:fs/promises'
import path from 'node:path'
import {MirrordError} from '../errors/mirrord-error.ts'
import {isRecord} from './meta.ts'
import {FileSyntaxError, readJson, type Parsed, type Position} from './json-reader.ts'

/** A configuration file as read. */
export interface ConfigFile {
  /** As the user gave it. */
  name: string
  /** Absolute; absent for standard input. */
  path?: string
  value: Record<string, unknown>
  /** Where each key and list entry stands, by path; empty where the format does not tell (TOML). */
  positions: ReadonlyMap<string, Position>
}

/** Where a key stands in its file: itself, or the nearest section around it that is written there. */
export function positionOf({positions}: ConfigFile, path: string): Position | undefined {
  for (let key = path; key !== ''; key = key.slice(0, Math.max(0, key.lastIndexOf('.')))) {
    const position = positions.get(key)
    if (position) return position
  }
  return undefined
}

/** Reads a text file; `-` is standard input. */
export type ReadText = (file: string) => Promise<string>

/** Reads from disk and standard input. */
export const readText: ReadText = (file) => (file === '-' ? readStandardInput() : readFromDisk(file, 'utf8'))

const formats: Record<string, (source: string) => Parsed | Promise<Parsed>> = {
  '': readJson,
  '.json': readJson,
  '.yaml': async (source) => (await import('./yaml-reader.ts')).readYaml(source),
  '.yml': async (source) => (await import('./yaml-reader.ts')).readYaml(source),
  '.toml': readToml,
}

/**
 * Reads a configuration file by its extension, compared with case as upstream does (config.md 2.1). `name` is relative
 * to `cwd`. Throws a MirrordError: CONFIG_NOT_FOUND (exit configNotFound), CONFIG_SYNTAX or CONFIG_FORMAT (exit
 * configInvalid), with file, line and column but no text of the file.
 */
export async function readConfigFile(name: string, cwd: string, read: ReadText = readText): Promise<ConfigFile> {
  const standardInput = name === '-'
  const extension = standardInput ? '' : path.extname(name)
  const parse = formats[extension]
  if (!parse) {
    throw new MirrordError({
      code: 'CONFIG_FORMAT',
      exit: 'configInvalid',
      what: `The configuration file ${name} has an unknown extension: ${extension}.`,
      why: 'The extension decides the format; json, toml, yml and yaml are known (a file without one is JSON).',
      next: ['Rename the file to end in .json, .toml, .yml or .yaml.'],
    })
  }
  const file = standardInput ? undefined : path.resolve(cwd, name)
  const source = await readSource(name, file ?? '-', read)
  const shown = standardInput ? 'standard input' : name
  try {
    const {value, positions} = await parse(source)
    // An empty YAML or TOML document is a file without settings.
    if (value === null || value === undefined) return {name: shown, path: file, value: {}, positions}
    if (!isRecord(value)) throw new FileSyntaxError('the top level must be an object with keys')
    return {name: shown, path: file, value, positions}
  } catch (error) {
    if (!(error instanceof FileSyntaxError)) throw error
    const {line, column} = error
    const place = line === undefined ? '' : `:${line}${column === undefined ? '' : `:${column}`}`
    const why = `${error.message[0]?.toUpperCase()}${error.message.slice(1)}.`
    throw new MirrordError({
      code: 'CONFIG_SYNTAX',
      exit: 'configInvalid',
      what: `The configuration file is malformed: ${shown}${place}.`,
      why,
      next: [`Correct ${shown}${line === undefined ? '' : ` at line ${line}`}.`],
      places: file === undefined ? undefined : [{file, line, column, message: why}],
    })
  }
}

async function readSource(name: string, file: string, read: ReadText): Promise<string> {
  try {
    return await read(file)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    const reasons: Record<string, string> = {
      ENOENT: 'There is no such file.',
      EACCES: 'The file may not be read by this user.',
      EISDIR: 'It is a directory.',
    }
    throw new MirrordError(
      {
        code: 'CONFIG_NOT_FOUND',
        exit: 'configNotFound',
        what: `The configuration file ${name} cannot be read.`,
        why: (code && reasons[code]) ?? (code ? `The system answered ${code}.` : undefined),
        next: [`Check the path: it was taken as ${file}.`],
      },
      {cause: error},
    )
  }
}

async function readToml(source: string): Promise<Parsed> {
  const {parse, TomlError} = await import('smol-toml')
  try {
    return {value: parse(source), positions: new Map()}
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    // First line only: the rest of the message is an excerpt of the file.
    const reason = error.message.split('\n')[0]!.replace(/^Invalid TOML document:\s*/, '')
    throw new FileSyntaxError(reason, error.line, error.column)
  }
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
