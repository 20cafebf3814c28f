import * as z from 'zod'
import {isRecord, mapEntries, unwrap} from './meta.ts'

const yes = /^(?:true|yes|y|on)$/i
const no = /^(?:false|no|n|off)$/i

/** What a text means where true or false is expected, by YAML 1.1; undefined where it means neither. */
export const truthOf = (text: string): boolean | undefined =>
  yes.test(text) ? true : no.test(text) ? false : undefined

/**
 * A value of YAML as the type of its key reads it: there `key: 42` is a text, `operator: yes` is true and `ttl: "5"` is a
 * number, as upstream's parser has it (serde-saphyr: the type decides). `texts` are the scalars as they are written.
 */
export function typed(schema: z.ZodType, value: unknown, path: string, texts: ReadonlyMap<string, string>): unknown {
  const inner = unwrap(schema)
  const text = texts.get(path)
  const at = (key: string | number) => `${path}.${key}`
  if (inner instanceof z.ZodPipe) return typed(inner.in as z.ZodType, value, path, texts)
  if (inner instanceof z.ZodArray && Array.isArray(value)) {
    return value.map((entry, index) => typed(inner.element as z.ZodType, entry, at(index), texts))
  }
  if (inner instanceof z.ZodRecord && isRecord(value)) {
    return mapEntries(value, (entry, key) => typed(inner.valueType as z.ZodType, entry, at(key), texts))
  }
  if (inner instanceof z.ZodObject && isRecord(value)) {
    const {shape} = inner
    return mapEntries(value, (entry, key) =>
      Object.hasOwn(shape, key) ? typed(shape[key] as z.ZodType, entry, at(key), texts) : entry,
    )
  }
  if (text === undefined || isRecord(value) || Array.isArray(value)) return value
  if (inner instanceof z.ZodString) return text
  if (inner instanceof z.ZodBoolean) return truthOf(text) ?? value
  if (inner instanceof z.ZodNumber && typeof value === 'string') return /^-?\d+$/.test(text) ? Number(text) : value
  return value
}
