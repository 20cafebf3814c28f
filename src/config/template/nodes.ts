import parser from 'nunjucks/src/parser.js'
import {TemplateError} from './value.ts'
import {checkTags} from './tags.ts'
import type {Lines} from '../syntax.ts'

interface At {
  /** Both count from 0. */
  lineno: number
  colno: number
}
interface Binary extends At {
  left: Expression
  right: Expression
}
interface Listed extends At {
  children: Expression[]
}

/** What has a value. The names are those of the parser. */
export type Expression =
  | (At & {typename: 'Literal'; value: unknown})
  | Name
  | (Listed & {typename: 'Group' | 'Array'})
  | (At & {typename: 'Dict' | 'KeywordArgs'; children: Pair[]})
  | (At & {typename: 'LookupVal'; target: Expression; val: Expression})
  | (At & {typename: 'InlineIf'; cond: Expression; body: Expression; else_: Expression | null})
  | (At & {typename: 'FunCall'; name: Expression; args: Listed})
  | (At & {typename: 'Filter'; name: Name; args: Listed})
  | (At & {typename: 'Not' | 'Neg' | 'Pos'; target: Expression})
  | (Binary & {typename: 'Is'})
  | (Binary & {typename: 'In' | 'And' | 'Or' | 'Add' | 'Sub' | 'Mul' | 'Div' | 'FloorDiv' | 'Mod' | 'Pow' | 'Concat'})
  | (At & {typename: 'Compare'; expr: Expression; ops: (At & {expr: Expression; type: string})[]})
  | Capture
export type Name = At & {typename: 'Symbol'; value: string}
type Pair = At & {typename: 'Pair'; key: Expression; value: Expression}
/** A part of the template as a text: the body of a filter block or of `set`. */
type Capture = At & {typename: 'Capture'; body: Statement}

/** What is rendered. */
export type Statement =
  | (At & {typename: 'Root' | 'NodeList'; children: Statement[]})
  | (At & {typename: 'Output'; children: (Expression | (At & {typename: 'TemplateData'; value: string}))[]})
  | (At & {typename: 'If'; cond: Expression; body: Statement; else_: Statement | null})
  | (At & {
      typename: 'For'
      arr: Expression
      name: Name | (Listed & {typename: 'Array'})
      body: Statement
      else_: Statement | null
    })
  | (At & {typename: 'Set'; targets: Name[]; value: Expression | null; body: Capture | null})
  | Macro
export type Macro = At & {typename: 'Macro'; name: Name; args: Listed; body: Statement}

/** Parses a template. Throws a TemplateError with its place and no text of the template. */
export function parseTemplate(source: string, lines: Lines): Statement {
  const prepared = checkTags(source)
  try {
    return parser.parse(prepared) as unknown as Statement
  } catch (error) {
    if (error instanceof TemplateError) throw error
    const {lineno, colno} = error as {lineno?: number; colno?: number}
    const offset = typeof lineno === 'number' ? lines.offsetAt({line: lineno, column: colno ?? 1}) : undefined
    throw new TemplateError(reason((error as Error).message), offset, literal)
  }
}

const literal =
  'A literal "{{", "{%" or "{#", in a regular expression for example, stands between {% raw %} and {% endraw %}.'

/** The parser's messages may quote the template and speak of its own functions. */
function reason(message: string): string {
  const found = reasons.find(([pattern]) => pattern.test(message))
  return found?.[1] ?? 'the template is malformed here'
}

const reasons: readonly [RegExp, string][] = [
  [/unexpected end of comment/, '"#}" has no "{#"'],
  [/expected variable end/, 'expected "}}", a filter such as | upper, or an operator'],
  [/expected block end/, 'expected "%}"'],
  [/comma after expression/, 'expected a comma or the closing bracket'],
  [/colon after dict key/, 'expected ":" after the key of an object'],
  [/variable name expected for loop|expected "in" keyword/, 'expected {% for name in list %}'],
  [/expected = or block end in set/, 'expected {% set name = value %}'],
  [/expected arguments/, 'expected arguments in brackets'],
  [/unexpected token/, 'expected a name, a text in quotes or a number'],
]
