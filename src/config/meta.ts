import {z} from 'zod'

/** What one key of the configuration carries besides its type: everything that flags, environment, checks and documentation need. */
export interface FieldMeta {
  /** One line for the configuration reference. */
  doc: string
  /** Environment variable that sets this key. */
  env?: string
  /** What older variables say where `env` is not set: a text as that of `env`, and the variable that it comes from. */
  olderEnv?: (env: Environment) => {text: string; env: string} | undefined
  /** Flags that set this key: `true` stands for the flag's own value, a text for what a boolean flag means. */
  flags?: Readonly<Record<string, string | true>>
  /** The flag may be given several times: its values are a list. */
  repeatable?: boolean
  /** Reads the text of a flag or variable; without it the text is read by the key's type. Throws a plain Error. */
  fromText?: (text: string) => unknown
  /** Completes the value from other variables of the environment, before validation; undefined leaves it as it is. */
  complete?: (value: unknown, env: Environment) => {value: unknown; origin?: string} | undefined
  /** Says what is missing when this version cannot do what the value asks for. */
  later?: (value: unknown) => string | undefined
  /** Why this key changes nothing here although upstream knows it; it is accepted with a warning. */
  inert?: string
}

/** What a section (an object with keys of its own) carries. */
export interface SectionMeta {
  doc: string
  /** Short forms of the section in words, for messages and documentation. */
  short?: string
  /** Turns a short form into the object form; undefined when the value is neither. */
  expand?: (value: unknown) => Record<string, unknown> | undefined
}

/** An environment as a value: these rooms never read the process's own. */
export type Environment = Readonly<Record<string, string | undefined>>

const fields = z.registry<FieldMeta>()
const sections = z.registry<SectionMeta>()

/** Declares a key: its type and, beside it, everything else about it. */
export function field<T extends z.ZodType>(schema: T, meta: FieldMeta): T {
  fields.add(schema, meta)
  return schema
}

/** Declares a section whose keys are all known; leaving it out gives the defaults of its keys. */
export function section<Shape extends z.ZodRawShape>(shape: Shape, meta: SectionMeta) {
  const object = z.strictObject(shape)
  sections.add(object, meta)
  return object.prefault({} as never)
}

/**
 * Declares a key that upstream knows and this version does not do yet: any shape is accepted, and any value but a
 * neutral one (one that asks for nothing) is refused with a message that names the key. Nothing is ignored silently.
 */
export function later(
  what: string,
  options: {env?: string; flags?: FieldMeta['flags']; neutral?: readonly unknown[]} = {},
) {
  const neutral = (options.neutral ?? []).map((value) => JSON.stringify(value))
  return field(z.unknown().optional(), {
    doc: `Not available yet: ${what}.`,
    env: options.env,
    flags: options.flags,
    fromText: (text) => (text === 'true' ? true : text === 'false' ? false : text),
    later: (value) => (neutral.includes(JSON.stringify(value)) ? undefined : what),
  })
}

/** Declares a key of upstream that changes nothing here; it is accepted and a warning says why. */
export function inert(why: string, options: {env?: string; flags?: FieldMeta['flags']} = {}) {
  return field(z.unknown().optional(), {doc: `No effect: ${why}.`, inert: why, fromText: (text) => text, ...options})
}

/** Whether a value is a plain object: not null, not a list. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
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

/** The schema inside optional, nullable and default wrappers. */
export function unwrap(schema: z.ZodType): z.ZodType {
  let inner = schema
  while (
    inner instanceof z.ZodOptional ||
    inner instanceof z.ZodNullable ||
    inner instanceof z.ZodDefault ||
    inner instanceof z.ZodPrefault
  ) {
    inner = inner.unwrap() as z.ZodType
  }
  return inner
}
