import {hint, type Given} from './arguments.ts'
import {applyFilter, filterNames, isFilter} from './filters.ts'
import {callFunction, functionNames, isFunction} from './functions.ts'
import type {TemplateInput} from './index.ts'
import {nearest} from '../nearest.ts'
import type {Expression} from './nodes.ts'
import {arithmetic, compare} from './operators.ts'
import type {Places} from './places.ts'
import {literalText} from './quotes.ts'
import {applyTest, contains, isTest, testNames} from './tests.ts'
import {isTrue, TemplateError, toText, typeOf, type Value} from './value.ts'

/** The names that a part of the template sees. */
export interface Scope {
  values: Map<string, Value>
  outer?: Scope
}

/** What the statements of the template do for its expressions. */
export interface Statements {
  capture: (node: Expression & {typename: 'Capture'}, scope: Scope) => string
  macros: ReadonlyMap<string, (given: Given, node: Expression) => string>
}

/** Computes the expressions of a template. Every mistake is a TemplateError with its place. */
export class Evaluator {
  readonly #places: Places
  readonly #input: TemplateInput
  readonly #statements: Statements

  constructor(places: Places, input: TemplateInput, statements: Statements) {
    this.#places = places
    this.#input = input
    this.#statements = statements
  }

  /** The value of an expression; that it is not there is an error. */
  value(node: Expression, scope: Scope): Value {
    const value = this.#optional(node, scope)
    if (value !== undefined) return value
    throw this.#places.error(this.#absence(node, scope), node)
  }

  /** Why an expression has no value. */
  #absence(node: Expression, scope: Scope): string {
    if (node.typename === 'Filter')
      return `the filter "${node.name.value}" found nothing; say what holds then: | default(value='…')`
    if (node.typename === 'LookupVal' && this.#optional(node.target, scope) === undefined) {
      return this.#absence(node.target, scope)
    }
    if (node.typename === 'LookupVal') return "there is no such entry; say what holds then: | default(value='…')"
    if (node.typename !== 'Symbol') return "there is no value; say what holds then: | default(value='…')"
    const {variables} = this.#input
    const variable = Object.hasOwn(variables, node.value) ? variables[node.value] : undefined
    if (variable && 'missing' in variable) return variable.missing
    const available = Object.keys(variables).filter((name) => 'value' in variables[name]!)
    const known = `known: ${[...available, "get_env(name='…')"].join(', ')}`
    const shown = /^[A-Za-z_]\w{0,63}$/.test(node.value) ? `"${node.value}"` : 'this'
    const [near] = nearest(node.value, Object.keys(variables), 1)
    const meant = near === undefined ? known : `did you mean ${near}?`
    return `${shown} is not a known name (${meant}); say what holds then: | default(value='…')`
  }

  /** The value of an expression, undefined where a name or an entry does not exist. */
  #optional(node: Expression, scope: Scope): Value | undefined {
    this.#places.step(node)
    return this.#places.at(node, () => this.#evaluate(node, scope))
  }

  #evaluate(node: Expression, scope: Scope): Value | undefined {
    switch (node.typename) {
      case 'Literal':
        if (node.value !== null && typeof node.value === 'object')
          throw this.#places.error('a regular expression is written as text', node)
        return typeof node.value === 'string' ? literalText(node.value) : (node.value as Value)
      case 'Symbol':
        return this.#variable(node.value, scope)
      case 'Group':
        if (node.children.length !== 1) throw this.#places.error('brackets hold one expression', node)
        return this.#optional(node.children[0]!, scope)
      case 'Array':
        return node.children.map((child) => this.value(child, scope))
      case 'Dict':
        return new Map(node.children.map(({key, value}) => [keyOf(key), this.value(value, scope)]))
      case 'LookupVal':
        return this.#entry(this.#optional(node.target, scope), this.value(node.val, scope), node)
      case 'InlineIf':
        if (this.condition(node.cond, scope)) return this.value(node.body, scope)
        return node.else_ ? this.value(node.else_, scope) : ''
      case 'FunCall':
        return this.#call(node, scope)
      case 'Filter':
        return this.#filter(node, scope)
      case 'Is':
        return this.#test(node, scope)
      case 'And':
        return this.condition(node.left, scope) && this.condition(node.right, scope)
      case 'Or':
        return this.condition(node.left, scope) || this.condition(node.right, scope)
      case 'Not':
        return !this.condition(node.target, scope)
      case 'In':
        return contains(this.value(node.right, scope), this.value(node.left, scope))
      case 'Compare':
        return this.#compare(node, scope)
      case 'Concat':
        return toText(this.value(node.left, scope)) + toText(this.value(node.right, scope))
      case 'Neg':
        return arithmetic('Sub', 0, this.value(node.target, scope))
      case 'Pos':
        return arithmetic('Add', 0, this.value(node.target, scope))
      case 'Capture':
        return this.#statements.capture(node, scope)
      case 'KeywordArgs':
        throw this.#places.error('an argument with a name stands at the wrong place', node)
      default:
        return arithmetic(node.typename, this.value(node.left, scope), this.value(node.right, scope))
    }
  }

  /** A condition: what does not exist does not hold, as in Tera. */
  condition(node: Expression, scope: Scope): boolean {
    return isTrue(this.#optional(node, scope))
  }

  #variable(name: string, scope: Scope | undefined): Value | undefined {
    for (let at = scope; at; at = at.outer) {
      const value = at.values.get(name)
      if (value !== undefined) return value
    }
    const {variables} = this.#input
    const variable = Object.hasOwn(variables, name) ? variables[name]! : undefined
    return variable && 'value' in variable ? variable.value : undefined
  }

  #entry(target: Value | undefined, key: Value, node: Expression): Value | undefined {
    if (target instanceof Map) return typeof key === 'string' ? (target.get(key) as Value | undefined) : undefined
    if (Array.isArray(target)) return typeof key === 'number' ? (target[key] as Value | undefined) : undefined
    if (target === undefined) return undefined
    throw this.#places.error(`${typeOf(target)} has no entries`, node)
  }

  #compare(node: Expression & {typename: 'Compare'}, scope: Scope): boolean {
    let left = this.value(node.expr, scope)
    for (const {type, expr} of node.ops) {
      const right = this.value(expr, scope)
      if (!compare(type, left, right)) return false
      left = right
    }
    return true
  }

  #given(args: readonly Expression[], scope: Scope): Given {
    const named = new Map<string, Value>()
    const positional: Value[] = []
    for (const arg of args) {
      if (arg.typename === 'KeywordArgs') {
        for (const {key, value} of arg.children) named.set(this.#places.name(key), this.value(value, scope))
      } else positional.push(this.value(arg, scope))
    }
    return {positional, named}
  }

  #filter(node: Expression & {typename: 'Filter'}, scope: Scope): Value | undefined {
    const name = node.name.value
    if (!isFilter(name))
      throw this.#places.error(`"${shortened(name)}" is not a known filter${hint(name, filterNames())}`, node)
    const [input, ...args] = node.args.children
    if (name === 'default') {
      const value = this.#optional(input!, scope)
      const {positional, named} = this.#given(args, scope)
      const fallback = named.get('value') ?? positional[0]
      if (fallback === undefined) throw this.#places.error('the filter "default" is written default(value=\'…\')', node)
      return value ?? fallback
    }
    const value = this.value(input!, scope)
    return named(`the filter "${name}"`, () => applyFilter(name, value, this.#given(args, scope)))
  }

  #test({left, right}: Expression & {typename: 'Is'}, scope: Scope): boolean {
    const [test, args] = right.typename === 'FunCall' ? [right.name, right.args.children] : [right, []]
    // `none` is a word of the parser.
    const name = test.typename === 'Symbol' ? test.value : ''
    if (name === 'defined') return this.#optional(left, scope) !== undefined
    if (name === 'undefined') return this.#optional(left, scope) === undefined
    if (!isTest(name))
      throw this.#places.error(`"${shortened(name)}" is not a known test${hint(name, testNames())}`, right)
    const value = this.value(left, scope)
    return named(`the test "${name}"`, () => applyTest(name, value, this.#given(args, scope)))
  }

  #call(node: Expression & {typename: 'FunCall'}, scope: Scope): Value {
    if (node.name.typename !== 'Symbol')
      throw this.#places.error('only functions can be called, and values have none', node)
    const name = node.name.value
    const macro = this.#statements.macros.get(name)
    if (macro) return macro(this.#given(node.args.children, scope), node)
    if (name === 'throw') return this.#throw(node, scope)
    if (isFunction(name)) return callFunction(name, this.#given(node.args.children, scope), this.#input.env)
    const known = [...functionNames(), 'throw', ...this.#statements.macros.keys()]
    throw this.#places.error(`"${shortened(name)}" is not a known function${hint(name, known)}`, node)
  }

  /** The message is shown only where it is written out: a computed one may hold secrets. */
  #throw(node: Expression & {typename: 'FunCall'}, scope: Scope): never {
    this.#given(node.args.children, scope)
    const [arg] = node.args.children
    const message = arg?.typename === 'KeywordArgs' ? arg.children[0]?.value : arg
    const text = message?.typename === 'Literal' ? `: ${literalText(String(message.value)).slice(0, 300)}` : ''
    throw this.#places.error(`the template ends with throw()${text}`, node)
  }
}

/** Says which filter or test found a mistake. */
function named<T>(what: string, apply: () => T): T {
  try {
    return apply()
  } catch (error) {
    if (!(error instanceof TemplateError) || error.offset !== undefined || error.message.startsWith(what)) throw error
    throw new TemplateError(`${what}: ${error.message}`)
  }
}

function keyOf(key: Expression): string {
  if (key.typename === 'Symbol') return key.value
  return key.typename === 'Literal' ? literalText(String(key.value)) : ''
}

const shortened = (name: string) => (/^\w{1,64}$/.test(name) ? name : '…')
