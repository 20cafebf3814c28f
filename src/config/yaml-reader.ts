import {
  Composer,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  Parser,
  type Document,
  type YAMLError,
} from 'yaml'
import {
  FileSyntaxError,
  Lines,
  longestKey,
  maxDepth,
  printable,
  Reading,
  refuseLong,
  type Parsed,
  type Position,
} from './syntax.ts'

/** Reads one YAML 1.2 document. Throws a FileSyntaxError. A module of its own, loaded only for YAML: the library is large. */
export function readYaml(source: string): Parsed {
  refuseLong(source, 'YAML')
  const deep = tooDeepAt(source)
  if (deep !== undefined) {
    throw new FileSyntaxError([
      {message: `nested deeper than ${maxDepth} levels`, ...new Lines(source).positionAt(deep)},
    ])
  }
  const counter = new LineCounter()
  const composer = new Composer({merge: true, prettyErrors: false, uniqueKeys: false, version: '1.2'})
  const documents = [...composer.compose(new Parser(counter.addNewLine).parse(source), true, source.length)]
  const [document, second] = documents
  const reading = new Reading()
  const positionAt = (offset: number | undefined): Position | undefined => {
    if (offset === undefined) return undefined
    const {line, col} = counter.linePos(offset)
    // An offset behind the last line is the end of the file.
    return line === 0 ? undefined : {line, column: col}
  }
  if (!document) return reading.done(undefined)
  // What is missing at the end is missing on the last line that has a text.
  const end = source.trimEnd().length
  const complain = ({code, pos}: YAMLError) => reading.problem(yamlReason(code), positionAt(Math.min(pos[0], end)))
  for (const error of [...document.errors, ...document.warnings]) complain(error)
  if (second) reading.problem('the file holds several documents; one is expected', positionAt(second.range[0]))
  check(document.contents, '', positionAt, reading)
  if (reading.problems.length === 0 && source.includes('*')) copyTexts(document, reading.texts)
  return reading.done(reading.problems.length > 0 ? undefined : toPlain(document))
}

/** Notes the place of every key and entry, and what no configuration can hold. */
function check(node: unknown, path: string, positionAt: (offset?: number) => Position | undefined, reading: Reading) {
  const start = (item: unknown) => positionAt((item as {range?: readonly number[] | null} | null)?.range?.[0])
  if (isMap(node)) {
    const seen = new Set<string>()
    for (const {key, value} of node.items) {
      if (isMergeKey(key)) check(value, path, positionAt, reading)
      else if (isScalar(key) && typeof key.value === 'string') {
        // The library's own check compares every key with every other.
        if (seen.has(key.value)) {
          reading.problem(`the key "${printable(key.value, longestKey)}" occurs twice`, start(key))
        }
        seen.add(key.value)
        check(value, reading.place(path, key.value, start(key)), positionAt, reading)
      } else reading.problem('a key that is no string; put it in quotes', start(key) ?? start(value))
    }
  } else if (isSeq(node)) {
    for (const [index, item] of node.items.entries()) {
      check(item, reading.place(path, index, start(item)), positionAt, reading)
    }
  } else if (isScalar(node)) {
    const {value} = node
    const text = node.source ?? value
    if (typeof text === 'string' && value !== null) reading.texts.set(path, text)
    if (typeof value === 'number') reading.number(value, start(node))
    else if (value !== null && !['string', 'boolean'].includes(typeof value)) {
      reading.problem('a value that no key holds; write it as a string in quotes', start(node))
    }
  } else if (node !== null && !isAlias(node)) reading.problem('a value that no key holds', start(node))
}

/** How many values are looked at for their texts, those behind aliases as often as they are named ("billion laughs"). */
const maxCopies = 100_000

/** The texts of what aliases and merged keys stand for, at the paths where they stand. A key that is written there wins. */
function copyTexts(document: Document, texts: Map<string, string>): void {
  let copies = 0
  // The library looks through the whole document for each alias.
  const anchors = new Map<string, unknown>()
  const copy = (node: unknown, path: string, through: readonly unknown[]): void => {
    if (through.includes(node) || through.length > maxDepth || ++copies > maxCopies) return
    const within = [...through, node]
    const at = (key: string | number) => (path === '' ? `${key}` : `${path}.${key}`)
    if (isAlias(node)) return copy(anchors.get(node.source), path, within)
    if (isNode(node) && node.anchor !== undefined) anchors.set(node.anchor, node)
    if (isSeq(node)) for (const [index, item] of node.items.entries()) copy(item, at(index), within)
    else if (isMap(node)) {
      for (const {key, value} of node.items) {
        if (isMergeKey(key)) copy(value, path, within)
        else if (isScalar(key)) copy(value, at(String(key.value)), within)
      }
    } else if (isScalar(node) && node.value !== null && !texts.has(path)) {
      const text = node.source ?? node.value
      if (typeof text === 'string') texts.set(path, text)
    }
  }
  copy(document.contents, '', [])
}

/** `<<`, which merges the keys of an anchor. */
function isMergeKey(key: unknown): boolean {
  return isScalar(key) && (key.value === '<<' || typeof key.value === 'symbol')
}

/** The document as plain values. The number of nodes that aliases may stand for is limited ("billion laughs"). */
function toPlain(document: Document): unknown {
  let value: unknown
  try {
    value = document.toJS({maxAliasCount: 100})
  } catch (error) {
    const excessive = error instanceof ReferenceError && error.message.startsWith('Excessive')
    throw new FileSyntaxError([
      {
        message: excessive
          ? 'its aliases stand for too many values'
          : 'an alias has no anchor before it, or one that cannot be merged',
      },
    ])
  }
  if (isCyclic(value)) throw new FileSyntaxError([{message: 'an anchor contains an alias of itself'}])
  return value
}

function isCyclic(value: unknown, around: ReadonlySet<unknown> = new Set(), done = new Set<unknown>()): boolean {
  if (typeof value !== 'object' || value === null || done.has(value)) return false
  if (around.has(value)) return true
  const within = new Set(around).add(value)
  const found = Object.values(value).some((inner) => isCyclic(inner, within, done))
  done.add(value)
  return found
}

/** Marks of the lexer that stand for no text: a document, the end of a flow, a scalar. */
const marks = new Set(['\u0002', '\u0018', '\u001f'])

/**
 * Where nesting passes the limit, if it does. The library's composer is recursive, and deep enough it takes the process
 * down instead of throwing; its lexer is not. Block levels are counted by their indentation, one each.
 */
function tooDeepAt(source: string): number | undefined {
  let offset = 0
  let column = 0
  let flow = 0
  let compact = 0
  let lineStart = true
  let indents: number[] = []
  for (const token of new Lexer().lex(source)) {
    if (marks.has(token)) continue
    if (token === '\n' || token === '\r\n') {
      column = 0
      compact = 0
      lineStart = true
    } else {
      if (lineStart && !/^ +$/.test(token)) {
        lineStart = false
        if (flow === 0) indents = [...indents.filter((indent) => indent < column), column]
      }
      if (token === '[' || token === '{') flow++
      else if (token === ']' || token === '}') flow = Math.max(0, flow - 1)
      else if (token === '-' || token === '?') compact++
      column += token.length
    }
    if (flow + compact + indents.length > maxDepth) return offset
    offset += token.length
  }
  return undefined
}

/** The library's messages may quote the file, so the reason is told from its error code. */
function yamlReason(code: string): string {
  return reasons[code] ?? 'the YAML is malformed'
}

const reasons: Readonly<Record<string, string>> = {
  ALIAS_PROPS: 'an alias must not have an anchor or tag',
  BAD_ALIAS: 'an alias or anchor is malformed',
  BAD_COLLECTION_TYPE: 'a tag does not fit its value',
  BAD_DIRECTIVE: 'a line that begins with % is malformed',
  BAD_DQ_ESCAPE: 'an escape in this string is malformed',
  BAD_INDENT: 'the indentation is wrong, or a bracket or quote has no end',
  BAD_PROP_ORDER: 'an anchor or tag stands at the wrong place',
  BAD_SCALAR_START: 'a value begins with a character that is reserved; put it in quotes',
  BLOCK_AS_IMPLICIT_KEY: 'a value has a key inside; quote it if it contains ": "',
  BLOCK_IN_FLOW: 'an indented value inside brackets',
  DUPLICATE_KEY: 'a key occurs twice',
  KEY_OVER_1024_CHARS: 'a key is longer than 1024 characters; a quote or colon is probably missing',
  MISSING_CHAR: 'a character is missing, for example a closing quote, bracket or colon',
  MULTILINE_IMPLICIT_KEY: 'a key runs over several lines; a colon or a quote is probably missing',
  MULTIPLE_ANCHORS: 'a value has several anchors',
  MULTIPLE_DOCS: 'the file holds several documents; one is expected',
  MULTIPLE_TAGS: 'a value has several tags',
  NON_STRING_KEY: 'a key that is no string; put it in quotes',
  RESOURCE_EXHAUSTION: 'nested too deeply',
  TAB_AS_INDENT: 'a tab is used as indentation; use spaces',
  TAG_RESOLVE_FAILED: 'a tag that is not known here, or does not fit its value',
  UNEXPECTED_TOKEN: 'something stands where it may not, for example a bracket or quote too many',
}
