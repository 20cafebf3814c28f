import {createScanner, parseTree, printParseErrorCode, type Node, type ParseError} from 'jsonc-parser'
import {FileSyntaxError, Lines, longestKey, maxDepth, printable, Reading, setKey, type Parsed} from './syntax.ts'

/**
 * Reads JSON; comments are accepted, trailing commas are not. Node's own parser is not used because it gives no place for
 * half of its errors, quotes the file's text in its messages, and knows no lines of keys. Throws a FileSyntaxError with
 * every mistake; a key that occurs twice is one.
 */
export function readJson(source: string): Parsed {
  const lines = new Lines(source)
  const positionAt = (offset: number) => lines.positionAt(offset)
  const reading = new Reading()
  const deep = tooDeepAt(source)
  if (deep !== undefined) {
    throw new FileSyntaxError([{message: `nested deeper than ${maxDepth} levels`, ...positionAt(deep)}])
  }
  const errors: ParseError[] = []
  const root = parseTree(source, errors)
  for (const error of causes(errors, (offset) => positionAt(offset).line)) {
    reading.problem(reason(error, source, root), positionAt(error.offset))
  }

  const valueOf = (node: Node, path: string): unknown => {
    if (node.type === 'array') {
      return (node.children ?? []).map((entry, index) =>
        valueOf(entry, reading.place(path, index, positionAt(entry.offset))),
      )
    }
    if (node.type === 'number') return reading.number(node.value as number, positionAt(node.offset))
    if (node.type !== 'object') return node.value
    const result: Record<string, unknown> = {}
    for (const {children = []} of node.children ?? []) {
      const [name, value] = children
      if (!name) continue
      const key = name.value as string
      const position = positionAt(name.offset)
      if (Object.hasOwn(result, key)) reading.problem(`the key "${printable(key, longestKey)}" occurs twice`, position)
      setKey(result, key, value && valueOf(value, reading.place(path, key, position)))
    }
    return result
  }
  return reading.done(root && valueOf(root, ''))
}

/** Where nesting passes the limit, if it does. The library's parser is recursive; its scanner is not. */
function tooDeepAt(source: string): number | undefined {
  const scanner = createScanner(source, true)
  let depth = 0
  for (scanner.scan(); scanner.getTokenOffset() < source.length; scanner.scan()) {
    // Strings begin with a quote, comments with a slash: brackets are themselves.
    const char = source[scanner.getTokenOffset()]
    if (char === '{' || char === '[') {
      if (++depth > maxDepth) return scanner.getTokenOffset()
    } else if (char === '}' || char === ']') depth--
  }
  return undefined
}

/** The mistakes without those that are only the consequence of the one before. */
function causes(errors: readonly ParseError[], lineAt: (offset: number) => number): ParseError[] {
  let openUntil = 0
  return errors.filter(({error: code, offset}, index) => {
    const error = printParseErrorCode(code)
    const before = errors[index - 1] && printParseErrorCode(errors[index - 1]!.error)
    // A string without its closing quote turns the next line inside out.
    if (lineAt(offset) <= openUntil) return false
    if (error === 'UnexpectedEndOfComment') openUntil = Infinity
    if (error === 'UnexpectedEndOfString') openUntil = lineAt(offset) + 1
    return before !== 'InvalidSymbol' || (error !== 'ValueExpected' && error !== 'PropertyNameExpected')
  })
}

function reason({error: code, offset}: ParseError, source: string, root: Node | undefined): string {
  const error = printParseErrorCode(code)
  const char = source[offset]
  const before = source.slice(0, offset).trimEnd().at(-1)
  if (char === undefined) {
    if (root === undefined) return 'the file is empty; write {} for no settings'
    if (error === 'CloseBraceExpected') return 'the file ends inside an object'
    if (error === 'CloseBracketExpected') return 'the file ends inside a list'
    return 'the file ends before a value'
  }
  switch (error) {
    case 'PropertyNameExpected':
    case 'ValueExpected':
      if (before === ',' && char === '}') return 'a comma before the closing brace'
      if (before === ',' && char === ']') return 'a comma before the closing bracket'
      return error === 'PropertyNameExpected' ? 'expected a key in double quotes' : 'expected a value'
    case 'InvalidSymbol':
      if (root && offset >= root.offset + root.length) return 'unexpected text after the end'
      if (char === "'") return 'strings need double quotes'
      if (before === '{') return 'expected a key in double quotes'
      return before === ',' ? 'expected a key or value in double quotes' : 'expected a value'
    case 'InvalidNumberFormat':
    case 'UnexpectedEndOfNumber':
      return 'this number is malformed'
    case 'ColonExpected':
      return 'expected ":" after the key'
    case 'CommaExpected':
      return 'expected "," or the end of the object or list'
    case 'EndOfFileExpected':
      return 'unexpected text after the end'
    case 'UnexpectedEndOfComment':
      return 'this comment has no end'
    case 'UnexpectedEndOfString':
      return 'this string has no end on its line; a line break in a string is written \\n'
    case 'InvalidUnicode':
    case 'InvalidEscapeCharacter':
      return 'an escape in this string is malformed'
    case 'InvalidCharacter':
      return 'a control character inside this string; write it as an escape'
    default:
      return 'the JSON is malformed'
  }
}
