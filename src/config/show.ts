import type * as z from 'zod'
import {withoutUserInfo} from '../util/secrets.ts'
import type {Origin} from './assemble.ts'
import {asSection, isRecord, leaves, valueAt} from './meta.ts'
import {rootSection, type AnyConfig} from './schema/root.ts'

/** One key of a configuration, as people read it. */
export interface ExplainedKey {
  /** Dotted path. */
  key: string
  /** The value as a file says it, as JSON where it is no text; empty where nothing is set. Secrets are masked. */
  value: string
  origin: Origin
}

/** Every key with its value and where that came from, in the order of the schema. */
export function explain(resolved: {config: AnyConfig; origins: ReadonlyMap<string, Origin>}): ExplainedKey[] {
  return [...leaves(rootSection)].map(({path, meta}) => {
    const key = path.join('.')
    const given = valueAt(resolved.config, path)
    const shown = meta.toText ?? meta.toFile
    const value = given === undefined ? undefined : masked(shown ? shown(given) : given)
    const text = value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value)
    return {key, value: text, origin: resolved.origins.get(key) ?? 'default'}
  })
}

/**
 * The whole configuration with its defaults, usable as a configuration file again: it resolves to the same. Keys that are
 * not set are null, which counts as left out. `mask` hides what looks like a secret; such a file is for reading only.
 */
export function resolvedFile(config: AnyConfig, {mask = false} = {}): Record<string, unknown> {
  const write = (schema: z.ZodType, path: readonly string[]): Record<string, unknown> => {
    const result: Record<string, unknown> = {}
    for (const [key, child] of Object.entries(asSection(schema)!.object.shape)) {
      result[key] = asSection(child as z.ZodType) ? write(child as z.ZodType, [...path, key]) : null
    }
    return result
  }
  const root = write(rootSection, [])
  for (const {path, meta} of leaves(rootSection)) {
    const given = valueAt(config, path)
    if (given === undefined) continue
    const value = meta.toFile ? meta.toFile(given) : given
    const holder = valueAt(root, path.slice(0, -1)) as Record<string, unknown>
    holder[path.at(-1)!] = mask ? masked(value) : value
  }
  return root
}

/** Names of variables, headers and parameters behind which secrets usually stand. */
const secretName =
  /secret|token|passw|pwd|credential|private|authorization|cookie|api[-_]?key|access[-_]?key|auth[-_]?key/i

/** The value with what looks like a secret hidden: values under such names, and user names and passwords in URLs. */
function masked(value: unknown): unknown {
  if (typeof value === 'string') {
    const [, header] = /^\^?([\w-]+)\s*[:=]/.exec(value) ?? []
    return header !== undefined && secretName.test(header) ? `${header}: ***` : withoutUserInfo(value)
  }
  if (Array.isArray(value)) return value.map(masked)
  if (!isRecord(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, entry]) => [
      name,
      secretName.test(name) && (typeof entry === 'string' || typeof entry === 'number') ? '***' : masked(entry),
    ]),
  )
}
