import type {Lines} from '../syntax.ts'
import type {Given} from './arguments.ts'
import {Evaluator, type Scope} from './evaluator.ts'
import type {TemplateInput} from './index.ts'
import type {Expression, Macro, Statement} from './nodes.ts'
import {Output} from './output.ts'
import {Places} from './places.ts'
import {isList, toText, typeOf, type Value} from './value.ts'

const maxCalls = 20
const maxText = 512 * 1024

/** Renders the tree of a template. Every mistake is a TemplateError with its place. */
export class Interpreter {
  readonly #source: string
  readonly #places: Places
  readonly #expressions: Evaluator
  readonly #macros = new Map<string, (given: Given, node: Expression) => string>()
  #calls = 0

  constructor(source: string, lines: Lines, input: TemplateInput) {
    this.#source = source
    this.#places = new Places(lines)
    this.#expressions = new Evaluator(this.#places, input, {
      macros: this.#macros,
      capture: (node, scope) => {
        const inner = new Output(maxText)
        this.render(node.body, inner, scope)
        return inner.text
      },
    })
  }

  render(node: Statement, output: Output, scope: Scope = {values: new Map()}): void {
    this.#places.step(node)
    switch (node.typename) {
      case 'Root':
      case 'NodeList':
        for (const child of node.children) this.render(child, output, scope)
        return
      case 'Output':
        for (const child of node.children) {
          if (child.typename === 'TemplateData') {
            // White space that "-" takes away still counts in the place of the node.
            const start = this.#source.indexOf(child.value, this.#places.offset(child))
            output.add(child.value, start, true)
          } else
            output.add(
              this.#places.at(child, () => toText(this.#expressions.value(child, scope))),
              this.#places.offset(node),
              false,
            )
        }
        return
      case 'If': {
        const branch = this.#expressions.condition(node.cond, scope) ? node.body : node.else_
        if (branch) this.render(branch, output, scope)
        return
      }
      case 'For':
        return this.#loop(node, output, scope)
      case 'Set': {
        const value = this.#expressions.value(node.value ?? node.body!, scope)
        for (const target of node.targets) scope.values.set(this.#places.name(target), value)
        return
      }
      case 'Macro':
        this.#macros.set(this.#places.name(node.name), (given, call) => this.#expand(node, given, call))
        return
      default:
        throw this.#places.error('this tag is not available', node)
    }
  }

  #loop(node: Statement & {typename: 'For'}, output: Output, scope: Scope): void {
    const list = this.#expressions.value(node.arr, scope)
    if (!isList(list) && !(list instanceof Map)) {
      throw this.#places.error(`{% for %} goes through a list or an object; found ${typeOf(list)}`, node)
    }
    const entries = isList(list) ? list.map((value) => [value]) : [...(list as Map<string, Value>)]
    const names = (
      node.name.typename === 'Symbol' ? [node.name] : (node.name as {children: Expression[]}).children
    ).map((name) => this.#places.name(name))
    if (entries[0] && entries[0].length !== names.length) {
      throw this.#places.error(
        `{% for %} over ${typeOf(list)} needs ${entries[0].length === 1 ? 'one name' : 'two names'}`,
        node,
      )
    }
    for (const [index, values] of entries.entries()) {
      const inner: Scope = {values: new Map(), outer: scope}
      for (const [place, name] of names.entries()) inner.values.set(name, values[place]!)
      const loop: [string, Value][] = [
        ['index', index + 1],
        ['index0', index],
        ['first', index === 0],
        ['last', index === entries.length - 1],
      ]
      inner.values.set('loop', new Map(loop))
      this.render(node.body, output, inner)
    }
    if (entries.length === 0 && node.else_) this.render(node.else_, output, scope)
  }

  #expand(macro: Macro, {positional, named}: Given, node: Expression): string {
    if (++this.#calls > maxCalls)
      throw this.#places.error(`macros call each other more than ${maxCalls} levels deep`, node)
    const values = new Map<string, Value>()
    const parameters = macro.args.children.flatMap((arg): {key: Expression; value?: Expression}[] =>
      arg.typename === 'KeywordArgs' ? arg.children : [{key: arg}],
    )
    for (const [index, {key, value}] of parameters.entries()) {
      const name = this.#places.name(key)
      const given = named.get(name) ?? positional[index] ?? (value && this.#expressions.value(value, {values}))
      if (given === undefined)
        throw this.#places.error(`the macro "${macro.name.value}" needs the argument "${name}"`, node)
      values.set(name, given)
    }
    const output = new Output(maxText)
    this.render(macro.body, output, {values})
    this.#calls--
    return output.text
  }
}
