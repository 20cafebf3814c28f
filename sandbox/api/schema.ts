import {invalidValue, required} from './status.ts'
import type {Cause} from './status.ts'

/** The parts of a structural OpenAPI v3 schema that are looked at; others are accepted without effect. */
export interface Schema {
  type?: string
  nullable?: boolean
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  additionalProperties?: Schema | boolean
  enum?: unknown[]
  default?: unknown
  'x-kubernetes-preserve-unknown-fields'?: boolean
  'x-kubernetes-int-or-string'?: boolean
}

type Dict = Record<string, unknown>
const isDict = (value: unknown): value is Dict => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Removes, in place, what the schema does not name, and fills in its defaults, as a server does before it stores. */
export function settle(schema: Schema, value: unknown): void {
  if (Array.isArray(value)) {
    for (const item of value) if (schema.items) settle(schema.items, item)
  }
  if (!isDict(value)) return
  const {properties = {}, additionalProperties} = schema
  for (const [key, child] of Object.entries(properties)) {
    if (value[key] === undefined && child.default !== undefined) value[key] = structuredClone(child.default)
  }
  for (const key of Object.keys(value)) {
    const child = Object.hasOwn(properties, key) ? properties[key] : additionalProperties
    if (isDict(child)) settle(child, value[key])
    else if (child === undefined && !schema['x-kubernetes-preserve-unknown-fields']) delete value[key]
  }
}

const types: Record<string, (value: unknown) => boolean> = {
  object: isDict,
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  boolean: (value) => typeof value === 'boolean',
  integer: Number.isInteger,
  number: (value) => typeof value === 'number',
}

/** What in a value does not fit its schema. */
export function misfits(schema: Schema, value: unknown, path: string): Cause[] {
  if (value === null && schema.nullable) return []
  if (schema['x-kubernetes-int-or-string']) {
    const fits = Number.isInteger(value) || typeof value === 'string'
    return fits ? [] : [invalidValue(path, value, `${path} in body must be of type integer or string`)]
  }
  if (schema.type && !(types[schema.type]?.(value) ?? false)) {
    const found = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
    return [
      {
        reason: 'FieldValueTypeInvalid',
        message: `Invalid value: "${found}": ${path} in body must be of type ${schema.type}: "${found}"`,
        field: path,
      },
    ]
  }
  if (schema.enum && !schema.enum.includes(value)) {
    const supported = schema.enum.map((entry) => JSON.stringify(entry)).join(', ')
    const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${supported}`
    return [{reason: 'FieldValueNotSupported', message, field: path}]
  }
  const below = (key: string) => (path === '' ? key : `${path}.${key}`)
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => (schema.items ? misfits(schema.items, item, `${path}[${index}]`) : []))
  }
  if (!isDict(value)) return []
  return [
    ...(schema.required ?? []).filter((key) => value[key] === undefined).map((key) => required(below(key))),
    ...Object.entries(value).flatMap(([key, child]) => {
      const known = Object.hasOwn(schema.properties ?? {}, key) ? schema.properties![key] : schema.additionalProperties
      return isDict(known) ? misfits(known, child, below(key)) : []
    }),
  ]
}
