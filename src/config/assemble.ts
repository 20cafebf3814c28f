import * as z from 'zod'
import {
  asSection,
  fieldMeta,
  isRecord,
  mapEntries,
  unwrap,
  type Environment,
  type Feature,
  type FieldMeta,
} from './meta.ts'
import {positionOf, type ConfigFile} from './files.ts'
import {truthOf, typed} from './typed.ts'

/** Where a value came from, in words: `flag --x`, `env X`, `file f:3` or `default`. */
export type Origin = string

/** Values of flags by their long name without dashes; those that are no flags of the configuration are passed over. */
export type FlagValues = Readonly<Record<string, unknown>>

/** Something wrong with one key. */
export interface Problem {
  /** Dotted path; empty for the whole configuration. */
  path: string
  message: string
  /** Valid, but not available in this version: the feature that brings it. */
  later?: Feature
  /** All keys that it concerns, where there are several. */
  paths?: readonly string[]
  /** The whole sentence where key, origin and message do not make one. */
  sentence?: string
  /** Where the value came from, when that is not the file. */
  origin?: Origin
}

/** The values of all sources laid over each other, not validated yet. */
export interface Assembled {
  raw: Record<string, unknown>
  /** By dotted path; only keys that some source sets. */
  origins: Map<string, Origin>
  problems: Problem[]
}

/** The sources, strongest first. */
export interface Sources {
  flags: FlagValues
  env: Environment
  file?: ConfigFile
}

/**
 * Lays flags over variables over the file, key by key (config.md 2.5), after turning the file's short forms into
 * sections (2.6). A key that is null counts as left out. Values that cannot be read from text are problems, not errors.
 */
export function assemble(schema: z.ZodType, sources: Sources): Assembled {
  const origins = new Map<string, Origin>()
  const problems: Problem[] = []
  const {file} = sources

  const fileOrigin = (path: readonly string[]): Origin => {
    const position = file && positionOf(file, path.join('.'))
    return `file ${file?.name}${position ? `:${position.line}` : ''}`
  }

  const visit = (node: z.ZodType, path: readonly string[], given: unknown): unknown => {
    const section = asSection(node)
    if (!section) return leaf(node, path, given)
    const short = shortForm(given, path)
    const expanded: unknown = short === null ? undefined : (section.meta.expand?.(short) ?? short)
    const value = isRecord(expanded) ? expanded : undefined
    if (expanded !== undefined && !value) {
      const forms = section.meta.short ? `, or ${section.meta.short}` : ''
      problems.push({path: path.join('.'), message: `expected an object${forms}; found ${typeName(expanded)}`})
      return undefined
    }
    const result: Record<string, unknown> = {}
    for (const [key, child] of Object.entries(section.object.shape)) {
      const merged = visit(
        child as z.ZodType,
        [...path, key],
        value && Object.hasOwn(value, key) ? value[key] : undefined,
      )
      if (merged !== undefined) result[key] = merged
    }
    // Unknown keys stay in, so that validation reports them with all the others. Even __proto__ becomes a key.
    for (const key of Object.keys(value ?? {})) {
      if (key in section.object.shape && Object.hasOwn(section.object.shape, key)) continue
      Object.defineProperty(result, key, {value: value![key], enumerable: true, configurable: true})
    }
    return result
  }

  /** In YAML `incoming: off` and `env: no` say false (upstream's parser reads them so where several types are possible). */
  const shortForm = (given: unknown, path: readonly string[]): unknown =>
    typeof given === 'string' && file?.texts?.has(path.join('.')) ? (truthOf(given) ?? given) : given

  const leaf = (node: z.ZodType, path: readonly string[], given: unknown): unknown => {
    const meta = fieldMeta(node, path)
    const name = path.join('.')
    const text = fromFlags(meta, sources.flags) ?? fromVariable(meta, sources.env)
    const own = file?.texts === undefined ? given : typed(node, given, name, file.texts)
    let value: unknown = own === null ? undefined : withoutNulls(node, own)
    if (value !== undefined) origins.set(name, fileOrigin(path))
    if (text) {
      origins.set(name, text.origin)
      try {
        if (text.expected !== undefined) throw new Error(`expected ${text.expected}`)
        value = text.list ?? (meta.fromText ? meta.fromText(text.text) : readText(node, text.text))
      } catch (error) {
        problems.push({path: name, message: (error as Error).message, origin: text.origin})
        value = undefined
      }
    }
    return complete(meta, name, value)
  }

  const complete = (meta: FieldMeta, name: string, value: unknown): unknown => {
    const completed = meta.complete?.(value, sources.env)
    if (!completed) return value
    origins.set(name, [origins.get(name), completed.origin].filter((origin) => origin !== undefined).join(', '))
    return completed.value
  }

  return {raw: visit(schema, [], file?.value) as Record<string, unknown>, origins, problems}
}

/** A key of an object inside a value counts as left out when it is null, where it may be left out (config.md 2.1). */
function withoutNulls(schema: z.ZodType, value: unknown): unknown {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodPipe) return withoutNulls(inner.in as z.ZodType, value)
  if (inner instanceof z.ZodArray && Array.isArray(value)) {
    return value.map((entry) => withoutNulls(inner.element as z.ZodType, entry))
  }
  if (inner instanceof z.ZodUnion) {
    return inner.options.reduce<unknown>((left, option) => withoutNulls(option as z.ZodType, left), value)
  }
  if (inner instanceof z.ZodRecord && isRecord(value)) {
    return mapEntries(value, (entry) => withoutNulls(inner.valueType as z.ZodType, entry))
  }
  if (!(inner instanceof z.ZodObject) || !isRecord(value)) return value
  const {shape} = inner
  const known = (key: string) => (Object.hasOwn(shape, key) ? (shape[key] as z.ZodType) : undefined)
  const kept = Object.keys(value).filter((key) => value[key] !== null || !known(key)?.safeParse(undefined).success)
  return mapEntries(value, (entry, key) => (known(key) ? withoutNulls(known(key)!, entry) : entry), kept)
}

/** What a flag or variable says, and whose word it is. */
interface Given {
  text: string
  /** The values of a flag that may be given several times. */
  list?: unknown[]
  origin: Origin
  /** What was expected, where the text is something else. */
  expected?: string
}

function fromFlags(meta: FieldMeta, flags: FlagValues): Given | undefined {
  for (const [flag, meaning] of Object.entries(meta.flags ?? {})) {
    const value = flags[flag]
    // A boolean flag that was not given may arrive as false; `--flag=false` exists only where the flag has a value.
    if (value === undefined || value === null || (value === false && meaning !== true)) continue

    const text = meaning === true ? flagText(value) : meaning
    const list = meta.repeatable && Array.isArray(value) ? (value as unknown[]) : undefined
    return {text, list, origin: `flag --${flag}`}
  }
  return undefined
}

function fromVariable(meta: FieldMeta, env: Environment): Given | undefined {
  const text = meta.env === undefined ? undefined : env[meta.env]
  if (text !== undefined) return {text, origin: `env ${meta.env}`}
  const older = meta.olderEnv?.(env)
  return older && {text: older.text, origin: `env ${older.env}`, expected: older.expected}
}

/** Reads a text by the type of a key: exactly `true`/`false`, whole decimal numbers, lists separated by `;`. */
function readText(schema: z.ZodType, text: string): unknown {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodBoolean) {
    if (text === 'true' || text === 'false') return text === 'true'
    throw new Error('expected true or false')
  }
  if (inner instanceof z.ZodNumber) {
    if (/^-?\d+$/.test(text)) return Number(text)
    throw new Error('expected a whole number')
  }
  if (inner instanceof z.ZodPipe && unwrap(inner.in as z.ZodType) instanceof z.ZodUnion) {
    const options = (unwrap(inner.in as z.ZodType) as z.ZodUnion).options
    if (options.some((option) => option instanceof z.ZodArray)) return text.split(';')
  }
  return text
}

/** The type of a value in plain words; never the value, which may be a secret. */
export function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'an object'
  if (typeof value === 'boolean') return `${value}`
  return typeof value === 'string' ? (value === '' ? 'an empty string' : 'a string') : `a ${typeof value}`
}

/** The value of a flag as text: flags that may be repeated arrive as lists, others as text, number or boolean. */
function flagText(value: unknown): string {
  return Array.isArray(value) ? value.map(flagText).join(';') : String(value)
}
