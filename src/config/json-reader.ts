/** Where something stands in a file; both count from 1. */
export interface Position {
  line: number
  column: number
}

/** A value read from a file, with the position of every key and list entry, by path (`a.b.0`). */
export interface Parsed {
  value: unknown
  positions: Map<string, Position>
}

/** A syntax error with its place. The message holds no text of the file: files hold secrets. */
export class FileSyntaxError extends Error {
  override readonly name = 'FileSyntaxError'
  readonly line: number | undefined
  readonly column: number | undefined

  constructor(message: string, line?: number, column?: number) {
    super(message)
    this.line = line
    this.column = column
  }
}

const numberShape = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const words: [string, unknown][] = [
  ['true', true],
  ['false', false],
  ['null', null],
]
const maxDepth = 200

/**
 * Reads strict JSON. Node's own parser is not used because it gives no place for half of its errors, quotes the file's
 * text in its messages, and knows no lines of keys. Throws a FileSyntaxError; a key that occurs twice is one.
 */
export function readJson(source: string): Parsed {
  const positions = new Map<string, Position>()
  let at = source.charCodeAt(0) === 0xfeff ? 1 : 0
  let line = 1
  let lineStart = at

  const fail = (message: string, offset = at): never => {
    throw new FileSyntaxError(message, line, offset - lineStart + 1)
  }

  const skip = () => {
    for (;;) {
      const char = source[at]
      if (char === '\n') {
        line++
        lineStart = at + 1
      } else if (char === '/' && (source[at + 1] === '/' || source[at + 1] === '*')) {
        fail('comments are not allowed in JSON; YAML and TOML have them')
      } else if (char !== ' ' && char !== '\t' && char !== '\r') {
        return
      }
      at++
    }
  }

  const string = (): string => {
    const start = at++
    for (;;) {
      const code = source.charCodeAt(at)
      if (Number.isNaN(code)) fail('this string has no end', start)
      if (code < 0x20) fail('a line break or control character inside a string; write it as an escape')
      if (code === 0x22) break
      at += code === 0x5c ? 2 : 1
    }
    at++
    try {
      return JSON.parse(source.slice(start, at)) as string
    } catch {
      return fail('an escape in this string is malformed', start)
    }
  }

  const keyed = (path: string): unknown => {
    const result: Record<string, unknown> = {}
    at++
    skip()
    if (source[at] === '}') {
      at++
      return result
    }
    for (;;) {
      if (source[at] === '}') fail('a comma before the closing brace')
      if (source[at] !== '"') fail('expected a key in double quotes')
      const keyStart = at
      const key = string()
      if (Object.hasOwn(result, key)) fail(`the key "${key}" occurs twice`, keyStart)
      const place = path === '' ? key : `${path}.${key}`
      positions.set(place, {line, column: keyStart - lineStart + 1})
      skip()
      if (source[at] !== ':') fail('expected ":" after the key')
      at++
      // defineProperty: a key named __proto__ must become a key, not the prototype.
      Object.defineProperty(result, key, {value: any(place), enumerable: true, writable: true, configurable: true})
      skip()
      if (source[at] === ',') {
        at++
        skip()
      } else if (source[at] === '}') {
        at++
        return result
      } else fail(at >= source.length ? 'the file ends inside an object' : 'expected "," or "}"')
    }
  }

  const listed = (path: string): unknown => {
    const result: unknown[] = []
    at++
    skip()
    if (source[at] === ']') {
      at++
      return result
    }
    for (;;) {
      skip()
      if (source[at] === ']') fail('a comma before the closing bracket')
      const place = `${path}.${result.length}`
      positions.set(place, {line, column: at - lineStart + 1})
      result.push(any(place))
      skip()
      if (source[at] === ',') at++
      else if (source[at] === ']') {
        at++
        return result
      } else fail(at >= source.length ? 'the file ends inside a list' : 'expected "," or "]"')
    }
  }

  let depth = 0
  const any = (path: string): unknown => {
    skip()
    const char = source[at]
    if (char === undefined)
      fail(path === '' ? 'the file is empty; write {} for no settings' : 'the file ends before a value')
    if (char === '{' || char === '[') {
      if (++depth > maxDepth) fail('too many levels')
      const result = char === '{' ? keyed(path) : listed(path)
      depth--
      return result
    }
    if (char === '"') return string()
    numberShape.lastIndex = at
    const number = numberShape.exec(source)
    if (number) {
      at += number[0].length
      return Number(number[0])
    }
    for (const [word, value] of words) {
      if (source.startsWith(word, at) && !/[\w$]/.test(source[at + word.length] ?? '')) {
        at += word.length
        return value
      }
    }
    return fail(char === "'" ? 'strings need double quotes' : 'expected a value')
  }

  const value = any('')
  skip()
  if (at < source.length) fail('unexpected text after the end')
  return {value, positions}
}
