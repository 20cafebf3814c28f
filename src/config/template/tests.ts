import {compilePatterns, patternMatcher, PatternError} from '../../patterns/index.ts'
import {Arguments, type Given} from './arguments.ts'
import {isEqual, TemplateError, typeOf, type Value} from './value.ts'

interface Test {
  names?: readonly string[]
  holds: (value: Value, given: Arguments) => boolean
}

/** Applies one of Tera's tests (`is odd`). Throws a TemplateError. */
export function applyTest(name: string, value: Value, given: Given): boolean {
  const test = tests[name]!
  return test.holds(value, new Arguments(`the test "${name}"`, test.names ?? [], given))
}

export const isTest = (name: string): boolean => Object.hasOwn(tests, name)
/** With the two that are the interpreter's own, because they may meet what is not there. */
export const testNames = (): string[] => ['defined', 'undefined', ...Object.keys(tests)]

const text = (value: Value): string => {
  if (typeof value !== 'string') throw new TemplateError(`it needs a text; found ${typeOf(value)}`)
  return value
}
const whole = (value: Value): number => {
  if (typeof value !== 'number' || !Number.isInteger(value)) throw new TemplateError(`it needs a whole number`)
  return value
}

const tests: Readonly<Record<string, Test>> = {
  string: {holds: (value) => typeof value === 'string'},
  number: {holds: (value) => typeof value === 'number'},
  iterable: {holds: (value) => Array.isArray(value) || value instanceof Map},
  object: {holds: (value) => value instanceof Map},
  odd: {holds: (value) => whole(value) % 2 !== 0},
  even: {holds: (value) => whole(value) % 2 === 0},
  divisibleby: {names: ['divisor'], holds: (value, given) => whole(value) % given.number('divisor') === 0},
  starting_with: {names: ['pat'], holds: (value, given) => text(value).startsWith(given.text('pat'))},
  ending_with: {names: ['pat'], holds: (value, given) => text(value).endsWith(given.text('pat'))},
  containing: {names: ['pat'], holds: (value, given) => contains(value, given.required('pat'))},
  matching: {names: ['pat'], holds: (value, given) => matches(text(value), given.text('pat'))},
}

/** Whether a text, list or object holds something (`containing`, `in`). */
export function contains(container: Value, wanted: Value): boolean {
  if (typeof container === 'string') return typeof wanted === 'string' && container.includes(wanted)
  if (container instanceof Map) return typeof wanted === 'string' && container.has(wanted)
  if (Array.isArray(container)) return container.some((value: Value) => isEqual(value, wanted))
  throw new TemplateError(`only a text, a list or an object can hold something; found ${typeOf(container)}`)
}

/** In Rust's syntax, as upstream; the matcher takes no more time than the text is long. */
function matches(value: string, pattern: string): boolean {
  try {
    return patternMatcher(compilePatterns([{pattern, label: 1}]))(value) !== 0
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    throw new TemplateError('its pattern is not a valid regular expression')
  }
}
