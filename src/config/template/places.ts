import type {Lines} from '../syntax.ts'
import type {Expression} from './nodes.ts'
import {TemplateError} from './value.ts'

/** Loops and macros end after this many steps: a template of a configuration has some hundred. */
const maxSteps = 100_000

interface At {
  lineno: number
  colno: number
}

/** Places of a tree's nodes in the text, and the limit on the work on it. */
export class Places {
  readonly #lines: Lines
  #steps = 0

  constructor(lines: Lines) {
    this.#lines = lines
  }

  offset({lineno, colno}: At): number {
    return this.#lines.offsetAt({line: lineno + 1, column: colno + 1})
  }

  error(message: string, node: At): TemplateError {
    return new TemplateError(message, this.offset(node))
  }

  /** Counts a step. Throws a TemplateError when there are too many. */
  step(node: At): void {
    if (++this.#steps > maxSteps) throw this.error(`the template does not end within ${maxSteps} steps`, node)
  }

  /** Gives a mistake without a place that of the innermost node around it. */
  at<T>(node: At, apply: () => T): T {
    try {
      return apply()
    } catch (error) {
      if (!(error instanceof TemplateError) || error.offset !== undefined) throw error
      throw new TemplateError(error.message, this.offset(node), error.advice)
    }
  }

  /** The name that a node is. Throws a TemplateError for anything else. */
  name(node: Expression): string {
    if (node.typename !== 'Symbol') throw this.error('expected a name', node)
    return node.value
  }
}
