import * as z from 'zod'
import {typeName, type Problem} from './assemble.ts'
import {asSection, unwrap, valueAt} from './meta.ts'
import {nearest} from './nearest.ts'

/** Turns the validator's issues into problems in plain words. No message holds a value: values may be secrets. */
export function describeIssues(error: z.ZodError, schema: z.ZodType, raw: unknown): Problem[] {
  return error.issues.filter(isTighter).flatMap((issue) => describe(issue, schema, raw))
}

/** Not the limit of whole numbers where the same value is beyond that of its key as well. */
function isTighter(issue: z.core.$ZodIssue, _index: number, all: readonly z.core.$ZodIssue[]): boolean {
  const other = (candidate: z.core.$ZodIssue) =>
    candidate !== issue && candidate.code === issue.code && candidate.path.join('.') === issue.path.join('.')
  if (issue.code === 'too_big' && issue.maximum === Number.MAX_SAFE_INTEGER) return !all.some(other)
  if (issue.code === 'too_small' && issue.minimum === Number.MIN_SAFE_INTEGER) return !all.some(other)
  return true
}

/**
 * Takes the keys with invalid values, and unknown keys, out of `raw`, so that the rest can be checked further. Returns the
 * paths of those keys.
 */
export function dropInvalid(error: z.ZodError, schema: z.ZodType, raw: Record<string, unknown>): string[] {
  return error.issues.flatMap((issue) => {
    let node = schema
    let holder = raw
    for (const [index, step] of issue.path.entries()) {
      const shape = asSection(node)?.object.shape
      node = shape?.[String(step)] as z.ZodType
      if (asSection(node)) {
        holder = holder[String(step)] as Record<string, unknown>
        continue
      }
      delete holder[String(step)]
      return [issue.path.slice(0, index + 1).join('.')]
    }
    if (issue.code === 'unrecognized_keys') for (const key of issue.keys) Reflect.deleteProperty(holder, key)
    return []
  })
}

function describe(issue: z.core.$ZodIssue, schema: z.ZodType, raw: unknown): Problem[] {
  const path = issue.path.join('.')
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key, index) => ({
        path: path === '' ? key : `${path}.${key}`,
        // What was meant is searched in the whole tree, for the first ones and for names that a person may have written.
        message: index < 50 && key.length < 200 ? unknownKey(key, issue.path, schema) : 'is not a known key',
      }))
    case 'invalid_type':
      return [
        {
          path,
          message: `expected ${article(issue.expected)}; found ${foundInstead(issue.expected, valueAt(raw, issue.path))}`,
        },
      ]
    case 'invalid_value':
      return [{path, message: expectedValue(issue.values.map(String), valueAt(raw, issue.path))}]
    case 'too_small':
      if (issue.origin === 'array') return [{path, message: `must have at least ${entries(issue.minimum)}`}]
      return [{path, message: issue.origin === 'string' ? 'must not be empty' : `must be at least ${issue.minimum}`}]
    case 'too_big':
      return [
        {
          path,
          message:
            issue.origin === 'array'
              ? `must have at most ${entries(issue.maximum)}`
              : `must be at most ${issue.maximum}`,
        },
      ]
    case 'invalid_union':
      return describeUnion(issue, path, schema, raw)
    case 'custom':
      return [{path, message: issue.message}]
    default:
      return [{path, message: issue.message}]
  }
}

/** The known values, and which of them was probably meant; the value itself is not told. */
function expectedValue(known: readonly string[], found: unknown): string {
  const [near] = typeof found === 'string' && found.length < 100 ? nearest(found, known, 1) : []
  const list = known.map((value) => `"${value}"`).join(', ')
  return near === undefined ? `expected ${list}` : `expected ${list}; did you mean "${near}"?`
}

const entries = (count: number | bigint) => (Number(count) === 1 ? '1 entry' : `${count} entries`)

const foundInstead = (expected: string, value: unknown) =>
  expected === 'int' && typeof value === 'number' ? 'one with a fraction' : typeName(value)

/** How much is wrong: each unknown key counts. */
const weight = (issues: readonly z.core.$ZodIssue[]) =>
  issues.reduce((sum, issue) => sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 1), 0)

/** Codes of issues that say that a value is of another kind altogether. */
const otherKind = new Set(['invalid_type', 'invalid_value', 'invalid_union'])

/**
 * Inside a union, the branch that got furthest tells more than the union: an unknown key in the object form, say. It is the
 * one with the fewest issues, none of which says that the value is no such thing at all; among equals there is none.
 */
function describeUnion(issue: z.core.$ZodIssueInvalidUnion, path: string, schema: z.ZodType, raw: unknown): Problem[] {
  const fitting = issue.errors.filter(
    (branch) => branch.length > 0 && branch.every((inner) => inner.path.length > 0 || !otherKind.has(inner.code)),
  )
  const weights = fitting.map(weight)
  const [best, ...equals] = fitting.filter((_, index) => weights[index] === Math.min(...weights))
  if (best && equals.length === 0) {
    return best.flatMap((inner) => describe({...inner, path: [...issue.path, ...inner.path]}, schema, raw))
  }
  if (issue.discriminator !== undefined) return [{path, message: kindMessage(issue, valueAt(raw, issue.path))}]
  return [{path, message: `${issue.message}; found ${typeName(valueAt(raw, issue.path))}`}]
}

/** The key that says of which kind an object is has another value, or is missing. */
function kindMessage(issue: z.core.$ZodIssueInvalidUnion, found: unknown): string {
  const options = 'options' in issue ? (issue.options ?? []) : []
  const known = options.filter((option) => typeof option === 'string').map((option) => `"${option}"`)
  if (known.length === 0) return 'has no kind that is known here'
  return `expected ${known.join(', ')}; found ${found === undefined ? 'nothing' : typeName(found)}`
}

function unknownKey(key: string, parent: readonly PropertyKey[], schema: z.ZodType): string {
  const siblings = keysOf(schema, parent)
  if (siblings.includes(key)) return 'is a key of another kind of entry than its other keys say'
  const [near] = nearest(key, siblings, 1)
  if (near !== undefined) return `is not a known key; did you mean "${near}"?`
  // A key at the wrong place is as frequent as a misspelt one: look for it in the whole tree.
  const elsewhere = [...allPaths(schema)].filter((path) => path.endsWith(`.${key}`) || path === key)
  if (elsewhere[0] !== undefined) return `is not a known key here; did you mean "${elsewhere[0]}"?`
  return `is not a known key${siblings.length > 0 ? `; known here: ${siblings.join(', ')}` : ''}`
}

/** The keys known at a path, inside the objects, lists and unions of single keys too. */
function keysOf(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let nodes = objectsOf(schema)
  for (const step of path) {
    if (typeof step === 'number') continue
    nodes = nodes.flatMap((node) => objectsOf(node.shape[String(step)] as z.ZodType | undefined))
  }
  return nodes.flatMap((node) => Object.keys(node.shape))
}

function objectsOf(schema: z.ZodType | undefined): z.ZodObject[] {
  const inner = schema && unwrap(schema)
  if (inner instanceof z.ZodObject) return [inner]
  if (inner instanceof z.ZodUnion) return inner.options.flatMap((option) => objectsOf(option as z.ZodType))
  if (inner instanceof z.ZodArray) return objectsOf(inner.element as z.ZodType)
  if (inner instanceof z.ZodPipe) return objectsOf(inner.in as z.ZodType)
  return []
}

function* allPaths(schema: z.ZodType, prefix = ''): Generator<string> {
  for (const [key, child] of Object.entries(asSection(schema)?.object.shape ?? {})) {
    yield `${prefix}${key}`
    yield* allPaths(child as z.ZodType, `${prefix}${key}.`)
  }
}

function article(expected: string): string {
  const names: Record<string, string> = {
    int: 'a whole number',
    boolean: 'true or false',
    array: 'a list',
    record: 'a map',
    object: 'an object',
    string: 'a string',
    number: 'a whole number',
  }
  return names[expected] ?? expected
}
