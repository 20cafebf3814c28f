import type {Arguments} from './arguments.ts'
import {TemplateError, typeOf, type Value} from './value.ts'

/** A filter: undefined is a value that is not there, such as the first of no entries. */
export interface Filter {
  /** Its arguments in their order. */
  names?: readonly string[]
  apply: (input: Value, given: Arguments) => Value | undefined
}

export const ofText = (
  apply: (text: string, given: Arguments) => Value | undefined,
  names?: readonly string[],
): Filter => ({
  names,
  apply: (input, given) =>
    apply(
      expect(input, 'a text', (value) => typeof value === 'string'),
      given,
    ),
})
export const ofNumber = (apply: (number: number, given: Arguments) => Value, names?: readonly string[]): Filter => ({
  names,
  apply: (input, given) =>
    apply(
      expect(input, 'a number', (value) => typeof value === 'number'),
      given,
    ),
})
export const ofList = (
  apply: (list: readonly Value[], given: Arguments) => Value | undefined,
  names?: readonly string[],
): Filter => ({
  names,
  apply: (input, given) =>
    apply(
      expect(input, 'a list', (value) => Array.isArray(value)),
      given,
    ),
})

/** The input as what a filter needs. Throws a TemplateError for anything else. */
export function expect<T extends Value>(input: Value, expected: string, is: (value: Value) => boolean): T {
  if (!is(input)) throw new TemplateError(`it needs ${expected}; found ${typeOf(input)}`)
  return input as T
}
