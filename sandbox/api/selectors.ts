import {badRequest} from './status.ts'
import type {LabelSelector, Obj} from './types.ts'

type Predicate = (labels: Record<string, string>) => boolean

/** Splits at commas that are not inside parentheses. */
function split(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((part) => part.trim())
    .filter(Boolean)
}

/** Parses the string form of a label selector (`a=b,c!=d,e in (f,g),!h`). Throws 400. */
export function parseLabelSelector(text: string): Predicate {
  const tests = split(text).map((part): Predicate => {
    let match = /^(\S+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(part)
    if (match) {
      const [, key, operator, list] = match
      const values = list!.split(',').map((value) => value.trim())
      return (labels) => {
        const value = labels[key!]
        return operator === 'in'
          ? value !== undefined && values.includes(value)
          : value === undefined || !values.includes(value)
      }
    }
    match = /^([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)$/.exec(part)
    if (match) {
      const [, key, operator, value] = match
      return (labels) => (operator === '!=' ? labels[key!] !== value : labels[key!] === value)
    }
    match = /^(!?)\s*([^\s=!]+)$/.exec(part)
    if (match) {
      const [, not, key] = match
      return (labels) => (labels[key!] === undefined) === (not === '!')
    }
    throw badRequest(`unable to parse requirement: found '${part}', expected: =, !=, ==, in, notin`)
  })
  return (labels) => tests.every((test) => test(labels))
}

/** Evaluates the object form of a label selector. An absent selector matches nothing, an empty one everything. */
export function matchesSelector(selector: LabelSelector | undefined, labels: Record<string, string> = {}): boolean {
  if (!selector) return false
  const equal = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value)
  if (!equal) return false
  return (selector.matchExpressions ?? []).every(({key, operator, values = []}) => {
    const value = labels[key]
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value)
      case 'NotIn':
        return value === undefined || !values.includes(value)
      case 'Exists':
        return value !== undefined
      case 'DoesNotExist':
        return value === undefined
      default:
        return false
    }
  })
}

/** Reads a dotted path; absent is the empty string, as field selectors compare. */
export function fieldText(object: unknown, path: string): string {
  let value: unknown = object
  for (const key of path.split('.')) value = (value as Record<string, unknown> | undefined | null)?.[key]
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''
}

/**
 * Parses a field selector. `allowed` are the fields of the kind besides name and namespace; any other is 400, as a real
 * API server answers.
 */
export function parseFieldSelector(text: string, allowed: readonly string[]): (object: Obj) => boolean {
  const tests = split(text).map((part) => {
    const match = /^([^=!]+)(==|=|!=)(.*)$/.exec(part)
    if (!match) throw badRequest(`invalid selector: '${part}'; can't understand '${part}'`)
    const [, path, operator, value] = match
    if (!['metadata.name', 'metadata.namespace', ...allowed].includes(path!)) {
      throw badRequest(`field label not supported: ${path}`)
    }
    return (object: Obj) => (fieldText(object, path!) === value) === (operator !== '!=')
  })
  return (object) => tests.every((test) => test(object))
}
