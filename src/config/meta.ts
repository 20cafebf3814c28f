import {isDeepStrictEqual} from 'node:util'
import * as z from 'zod'

/** The features that later versions bring; a key or target that waits for one names it. */
export type Feature = 'incoming' | 'semantics' | 'cluster' | 'operator'

/** What a key waits for. */
export interface Later {
  feature: Feature
  /** What is missing, as words for "not in this version yet: …". */
  what: string
  /** Whether a value asks for it; another value of the key is done, or asks for nothing. */
  asks: (value: unknown) => boolean
}

/** How a key compares with upstream's of the same name: `ours` where upstream has none. */
export type Comparison = 'same' | 'ours' | {better: string} | {refused: string}

/** What one key of the configuration carries besides its type: everything that flags, environment, checks and documentation need. */
export interface FieldMeta {
  /** One line for the configuration reference. */
  doc: string
  /** Environment variable that sets this key. */
  env?: string
  /**
   * What older variables say where `env` is not set: a text as that of `env`, the variable that it comes from, and what was
   * expected where the variable says something else.
   */
  olderEnv?: (env: Environment) => {text: string; env: string; expected?: string} | undefined
  /** Names of the variables that `olderEnv` and `complete` read, for the reference. */
  otherEnv?: readonly string[]
  /** Flags that set this key: `true` stands for the flag's own value, a text for what a boolean flag means. */
  flags?: Readonly<Record<string, string | true>>
  /** The flag may be given several times: its values are a list. */
  repeatable?: boolean
  /** Reads the text of a flag or variable; without it the text is read by the key's type. Throws a plain Error. */
  fromText?: (text: string) => unknown
  /** Completes the value from other variables of the environment, before validation, and names them; undefined leaves it as it is. */
  complete?: (value: unknown, env: Environment) => {value: unknown; origin: string} | undefined
  /** Turns a value back into what a file says for it; without it the value itself is such. */
  toFile?: (value: unknown) => unknown
  /** The value as people read it, where that is shorter than what a file says. */
  toText?: (value: unknown) => string
  /** What a file may say, for the JSON Schema; needed where the key's type reads it by code. */
  input?: z.ZodType
  /** Valid values as a file says them: for the reference, editors, and tests of keys whose texts have a syntax. */
  examples?: readonly unknown[]
  /** What the key waits for, as a whole or for some of its values. */
  later?: readonly Later[]
  /** Why this key changes nothing here although upstream knows it; it is accepted with a warning. */
  inert?: string
  /** `same` where nothing is said. */
  compare?: Comparison
}

/** What a section (an object with keys of its own) carries. */
export interface SectionMeta {
  doc: string
  /** Short forms of the section in words, for messages and documentation. */
  short?: string
  /** The same as a schema. */
  forms?: z.ZodType
  /** Turns a short form into the object form; undefined when the value is neither. */
  expand?: (value: unknown) => Record<string, unknown> | undefined
}

/** An environment as a value: these rooms never read the process's own. */
export type Environment = Readonly<Record<string, string | undefined>>

// A configuration is parsed once: compiling the parsers takes longer than they save.
z.config({jitless: true})

// Not the registries of zod: they rewrite the types of what they hold.
const fields = new WeakMap<z.ZodType, FieldMeta>()
const sections = new WeakMap<z.ZodType, SectionMeta>()

/** Declares a key: its type and, beside it, everything else about it. */
export function field<T extends z.ZodType>(schema: T, meta: FieldMeta): T {
  if (fields.has(schema)) throw new Error(`Two keys of the configuration have the same schema object: ${meta.doc}`)
  fields.set(schema, meta)
  return schema
}

/** Declares a section whose keys are all known; leaving it out gives the defaults of its keys. */
export function section<Shape extends z.ZodRawShape>(shape: Shape, meta: SectionMeta) {
  const object = z.strictObject(shape)
  sections.set(object, meta)
  return object.prefault({} as never)
}

/**
 * Declares a key that upstream knows and this version does not do yet. Its values are checked like those of any other;
 * one that asks for something (not the default, none of `neutral`) is refused with a message that names the key.
 */
export function later<T extends z.ZodType>(
  schema: T,
  {feature, what, neutral = [], ...meta}: FieldMeta & {feature: Feature; what: string; neutral?: readonly unknown[]},
): T {
  const nothing = [undefined, defaultOf(schema), ...neutral]
  const asks = (value: unknown) => !nothing.some((none) => isDeepStrictEqual(none, value))
  return field(schema, {...meta, later: [{feature, what, asks}]})
}

/** Declares a key of upstream that changes nothing here; its values are checked, and a warning says why. */
export function inert<T extends z.ZodType>(schema: T, {why, ...meta}: FieldMeta & {why: string}): T {
  return field(schema, {...meta, inert: why})
}

/** What a key is where no source sets it. */
export function defaultOf(schema: z.ZodType): unknown {
  return schema.safeParse(undefined).data
}

/** Whether a value is a plain object: not null, not a list. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The object with its values changed; even a key such as __proto__ stays a key. */
export function mapEntries(
  object: Record<string, unknown>,
  change: (value: unknown, key: string) => unknown,
  keys = Object.keys(object),
): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const key of keys) {
    Object.defineProperty(result, key, {
      value: change(object[key], key),
      enumerable: true,
      writable: true,
      configurable: true,
    })
  }
  return result
}

/** One key of the schema as the tree walk meets it. */
export interface Leaf {
  path: readonly string[]
  schema: z.ZodType
  meta: FieldMeta
}

/** The object schema inside optional and default wrappers, or undefined when the schema is a key, not a section. */
export function asSection(schema: z.ZodType): {object: z.ZodObject; meta: SectionMeta} | undefined {
  const inner = unwrap(schema)
  const meta = inner instanceof z.ZodObject ? sections.get(inner) : undefined
  return meta && {object: inner as z.ZodObject, meta}
}

/** The metadata of a key. Throws for a key that was declared without: a defect that the unit tests find. */
export function fieldMeta(schema: z.ZodType, path: readonly string[]): FieldMeta {
  const meta = fields.get(schema)
  if (!meta) throw new Error(`The configuration key ${path.join('.')} has no metadata.`)
  return meta
}

/** Every key of a section, depth first, in the order of declaration. */
export function* leaves(schema: z.ZodType, path: readonly string[] = []): Generator<Leaf> {
  const inner = asSection(schema)
  if (!inner) {
    yield {path, schema, meta: fieldMeta(schema, path)}
    return
  }
  for (const [key, child] of Object.entries(inner.object.shape)) yield* leaves(child as z.ZodType, [...path, key])
}

/** The value at a path of nested objects; undefined where a part of the path is missing. */
export function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, step) => (value as Record<PropertyKey, unknown> | undefined)?.[step], root)
}

/** What `unwrap` has found: zod answers `instanceof` by a search, and every check walks all keys. */
const unwrapped = new WeakMap<z.ZodType, z.ZodType>()

/** The schema inside optional, nullable, lazy and default wrappers. */
export function unwrap(schema: z.ZodType): z.ZodType {
  const known = unwrapped.get(schema)
  if (known) return known
  let inner = schema
  while (
    inner instanceof z.ZodLazy ||
    inner instanceof z.ZodOptional ||
    inner instanceof z.ZodNullable ||
    inner instanceof z.ZodDefault ||
    inner instanceof z.ZodPrefault
  ) {
    inner = inner.unwrap() as z.ZodType
  }
  unwrapped.set(schema, inner)
  return inner
}
