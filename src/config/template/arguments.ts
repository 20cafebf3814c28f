import {nearest} from '../nearest.ts'
import {TemplateError, typeOf, type Value} from './value.ts'

/** Arguments as written: by place and by name. */
export interface Given {
  positional: readonly Value[]
  named: ReadonlyMap<string, Value>
}

/** The arguments of one call, by the names under which the function or filter declares them. */
export class Arguments {
  readonly #values = new Map<string, Value>()
  readonly #what: string

  /** `what` is the caller in words, such as `the filter "replace"`. Throws a TemplateError for a name that is not declared. */
  constructor(what: string, names: readonly string[], given: Given) {
    this.#what = what
    if (given.positional.length > names.length) {
      throw new TemplateError(`${what} takes ${names.length === 0 ? 'no arguments' : `at most ${listed(names)}`}`)
    }
    for (const [index, value] of given.positional.entries()) this.#values.set(names[index]!, value)
    for (const [name, value] of given.named) {
      if (!names.includes(name)) throw new TemplateError(`${what} has no argument "${name}"${hint(name, names)}`)
      this.#values.set(name, value)
    }
  }

  optional(name: string): Value | undefined {
    return this.#values.get(name)
  }

  required(name: string): Value {
    const value = this.#values.get(name)
    if (value === undefined) throw new TemplateError(`${this.#what} needs the argument "${name}"`)
    return value
  }

  text(name: string, fallback?: string): string {
    const value = fallback === undefined ? this.required(name) : (this.optional(name) ?? fallback)
    if (typeof value !== 'string') throw this.#wrong(name, 'a text', value)
    return value
  }

  number(name: string, fallback?: number): number {
    const value = fallback === undefined ? this.required(name) : (this.optional(name) ?? fallback)
    if (typeof value !== 'number') throw this.#wrong(name, 'a number', value)
    return value
  }

  flag(name: string): boolean {
    const value = this.optional(name) ?? false
    if (typeof value !== 'boolean') throw this.#wrong(name, 'true or false', value)
    return value
  }

  #wrong(name: string, expected: string, value: Value): TemplateError {
    return new TemplateError(`${this.#what}: "${name}" must be ${expected}; found ${typeOf(value)}`)
  }
}

/** What may have been meant, else what there is. */
export function hint(name: string, known: readonly string[]): string {
  const [near] = nearest(name, known, 1)
  return near === undefined ? `; known: ${known.join(', ') || 'none'}` : `; did you mean "${near}"?`
}

const listed = (names: readonly string[]) => names.join(', ')
