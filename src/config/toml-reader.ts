import {parseTOML, ParseError, type AST} from 'toml-eslint-parser'
import {FileSyntaxError, Lines, maxDepth, Reading, refuseLong, setKey, type Parsed, type Position} from './syntax.ts'

/** Reads TOML 1.0. Throws a FileSyntaxError. A module of its own, loaded only for TOML. */
export function readToml(source: string): Parsed {
  refuseLong(source, 'TOML')
  const lines = new Lines(source)
  const positionAt = (offset: number) => lines.positionAt(offset)
  const deep = tooDeepAt(source)
  if (deep !== undefined) {
    throw new FileSyntaxError([{message: `nested deeper than ${maxDepth} levels`, ...positionAt(deep)}])
  }
  const reading = new Reading()
  const root: Record<string, unknown> = {}
  for (const node of parse(source, positionAt).body[0].body) {
    if (node.type === 'TOMLKeyValue') assign(root, '', node, 1, reading)
    else {
      const {table, path, depth} = open(root, node, reading)
      if (table) for (const entry of node.body) assign(table, path, entry, depth + 1, reading)
    }
  }
  return reading.done(root)
}

function parse(source: string, positionAt: (offset: number) => Position): AST.TOMLProgram {
  try {
    return parseTOML(source, {tomlVersion: '1.0'})
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    const message = reasons[error.message] ?? 'the TOML is malformed'
    // What is missing at the start of a line is missing at the end of the one before.
    const missing = error.column === 0 && /value|equals|newline|string|line/.test(message)
    const offset = missing ? source.slice(0, error.index).trimEnd().length : error.index
    throw new FileSyntaxError([{message, ...positionAt(offset)}])
  }
}

/** The table that a header such as `[a.b]` or `[[list]]` opens, with its path. */
function open(root: Record<string, unknown>, node: AST.TOMLTable, reading: Reading) {
  const names = [...node.key.keys]
  let table: unknown = root
  let path = ''
  let depth = 0
  for (const step of node.resolvedKey) {
    // Numbers are places in lists of tables; they have no name of their own in the header.
    const name = typeof step === 'string' ? names.shift() : undefined
    const position = positionOf(name ?? node)
    path = reading.place(path, step, position)
    if (reading.tooDeep(++depth, position)) return {path, depth}
    const next = node.resolvedKey[depth]
    table = child(table as Record<string, unknown>, String(step), () => (typeof next === 'number' ? [] : {}))
  }
  return {table: table as Record<string, unknown>, path, depth}
}

function assign(table: Record<string, unknown>, path: string, node: AST.TOMLKeyValue, depth: number, reading: Reading) {
  let target = table
  for (const [index, key] of node.key.keys.entries()) {
    const name = key.type === 'TOMLBare' ? key.name : key.value
    const position = positionOf(key)
    path = reading.place(path, name, position)
    if (reading.tooDeep(depth + index, position)) return
    if (index < node.key.keys.length - 1) target = child(target, name, () => ({})) as Record<string, unknown>
    else setKey(target, name, valueOf(node.value, path, depth + index, reading))
  }
}

function child(table: Record<string, unknown>, key: string, make: () => unknown): unknown {
  if (!Object.hasOwn(table, key)) setKey(table, key, make())
  return table[key]
}

function valueOf(node: AST.TOMLContentNode, path: string, depth: number, reading: Reading): unknown {
  if (reading.tooDeep(depth, positionOf(node))) return undefined
  switch (node.type) {
    case 'TOMLArray':
      return node.elements.map((entry, index) =>
        valueOf(entry, reading.place(path, index, positionOf(entry)), depth + 1, reading),
      )
    case 'TOMLInlineTable': {
      const table: Record<string, unknown> = {}
      for (const entry of node.body) assign(table, path, entry, depth + 1, reading)
      return table
    }
    case 'TOMLValue':
      if (node.kind === 'string' || node.kind === 'boolean') return node.value
      if (node.kind === 'integer' || node.kind === 'float') return reading.number(node.value, positionOf(node))
      reading.problem('a date or time; no key holds one, so write it as a string in quotes', positionOf(node))
      return undefined
  }
}

function positionOf({loc}: {loc: AST.SourceLocation}): Position {
  return {line: loc.start.line, column: loc.start.column + 1}
}

/** Where brackets outside of strings and comments are nested past the limit. The library's parser is recursive. */
function tooDeepAt(source: string): number | undefined {
  let depth = 0
  for (let at = 0; at < source.length; at++) {
    const char = source[at]!
    if (char === '[' || char === '{') {
      if (++depth > maxDepth) return at
    } else if (char === ']' || char === '}') depth--
    else if (char === '#' || char === '"' || char === "'") {
      at = skipped(source, at, char)
      // A string without an end: the parser says so.
      if (at < 0) return undefined
    }
  }
  return undefined
}

/** The offset of the last character of a comment or string; -1 where it has no end. */
function skipped(source: string, start: number, quote: string): number {
  if (quote === '#') {
    const end = source.indexOf('\n', start)
    return end < 0 ? source.length : end
  }
  const long = source.startsWith(quote.repeat(3), start)
  const close = long ? quote.repeat(3) : quote
  for (let at = start + close.length; at < source.length; at++) {
    if (quote === '"' && source[at] === '\\') at++
    else if (source.startsWith(close, at)) return at + close.length - 1
    else if (!long && source[at] === '\n') return -1
  }
  return -1
}

/** The library's messages, which are fixed texts, in the words of the other formats. */
const reasons: Readonly<Record<string, string>> = {
  'Unterminated string constant': 'this string has no end on its line',
  'Unterminated table-key': 'the name of this table has no closing bracket on its line',
  'Unterminated array': 'the file ends inside a list',
  'Unterminated inline table': 'the file ends inside an inline table',
  'Empty bare keys are not allowed': 'a key is missing',
  'Must be a newline': 'expected the end of the line',
  'Expected equal (=) token': 'expected "=" after the key on its line',
  'Unspecified values are invalid': 'expected a value; strings need quotes',
  'Expected comma (,) token': 'expected ","',
  'Defining a key multiple times is invalid': 'a key occurs twice',
  'Unexpected character': 'unexpected character',
  'Unexpected token': 'expected a key or a table such as [agent]',
  'Control characters (codes < 0x1f and 0x7f) are not allowed': 'a control character; write it as an escape',
  'The key, equals sign, and value must be on the same line':
    'a key with its value, and the name of a table, must each stand on one line',
  'No newlines are allowed between the curly braces unless they are valid within a value':
    'an inline table must stand on one line',
  'Underscores are allowed between digits': 'an underscore must stand between digits',
  'Unexpected spaces': 'a space where none may be',
  'Three or more quotes are not permitted': 'too many quotes',
  'Unexpected invalid date': 'this date is malformed',
  'Unexpected invalid time': 'this time is malformed',
  'Leading zeros are not allowed': 'a number must not begin with 0',
  'Trailing comma is not permitted in an inline table': 'a comma before the closing brace',
  'Invalid character in escape sequence': 'an escape in this string is malformed',
  'Consecutive dots are not permitted in keys': 'a key has two dots in sequence',
  'Keys cannot end with a dot': 'a key ends with a dot',
  'Keys cannot start with a dot': 'a key begins with a dot',
}
