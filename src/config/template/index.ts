import {maxBytes} from '../read-text.ts'
import {Lines, type Position} from '../syntax.ts'
import type {Environment} from '../meta.ts'
import {Interpreter} from './interpreter.ts'
import {parseTemplate} from './nodes.ts'
import {Output} from './output.ts'

export {hasTemplate, TemplateError} from './syntax.ts'

/** What a template may use besides functions. */
export interface TemplateInput {
  /** By name: a value, or why there is none in a whole sentence. */
  variables: Readonly<Record<string, {value: string} | {missing: string}>>
  /** What `get_env` reads. */
  env: Environment
}

/** A text with its templates replaced. */
export interface Rendered {
  text: string
  /** Where a place of the rendered text comes from. */
  placeOf: (position: Position) => Position
}

/**
 * Renders a text by the part of Tera's language that config.md 2.2 lists. The parser is nunjucks'; the tree it makes is
 * interpreted here, not compiled: a configuration runs no code, reaches no prototype and no file, and every mistake has its
 * place. Throws a TemplateError, whose offset is one of `source`.
 */
export function renderTemplate(source: string, input: TemplateInput): Rendered {
  const lines = new Lines(source)
  const tree = parseTemplate(source, lines)
  const output = new Output(maxBytes)
  new Interpreter(source, lines, input).render(tree, output)
  return {text: output.text, placeOf: output.places(lines)}
}
