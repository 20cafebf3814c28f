/** What a template computes with. Objects are maps: a template must not reach prototypes or constructors. */
export type Value = null | string | number | boolean | readonly Value[] | ReadonlyMap<string, Value>

/** A mistake in a template, or one that shows when it is rendered. The message holds no value: values may be secrets. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError'
  /** Offset in the file's text; absent when the place is not known. */
  readonly offset: number | undefined
  /** What to do, where the message does not say. */
  readonly advice: string | undefined

  constructor(message: string, offset?: number, advice?: string) {
    super(message)
    this.offset = offset
    this.advice = advice
  }
}

/** The type of a value in plain words. */
export function typeOf(value: Value | undefined): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  if (value instanceof Map) return 'an object'
  return typeof value === 'string' ? 'a text' : typeof value === 'number' ? 'a number' : 'true or false'
}

/** Whether a condition counts a value as true: what is empty, zero, false or not there does not. */
export function isTrue(value: Value | undefined): boolean {
  if (value instanceof Map) return value.size > 0
  return Array.isArray(value) ? value.length > 0 : Boolean(value)
}

/** The text that a value is rendered as. */
export function toText(value: Value): string {
  if (value === null) return ''
  if (isList(value)) return `[${value.map(toText).join(', ')}]`
  // Upstream's engine writes the name of the type; nobody wants that in a file.
  if (typeof value === 'object') throw new TemplateError('an object cannot be written as text; use json_encode()')
  return String(value)
}

/** Whether a value is a list. */
export function isList(value: Value | undefined): value is readonly Value[] {
  return Array.isArray(value)
}

/** A value for JSON. */
export function toPlain(value: Value): unknown {
  if (Array.isArray(value)) return (value as readonly Value[]).map(toPlain)
  return value instanceof Map
    ? Object.fromEntries([...(value as ReadonlyMap<string, Value>)].map(([key, inner]) => [key, toPlain(inner)]))
    : value
}

/** Whether two values are the same, lists and objects by their content. */
export function isEqual(a: Value, b: Value): boolean {
  return a === b || (typeof a === 'object' && JSON.stringify(toPlain(a)) === JSON.stringify(toPlain(b)))
}
