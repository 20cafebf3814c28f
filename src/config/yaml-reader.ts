import {LineCounter, isMap, isScalar, isSeq, parseDocument} from 'yaml'
import {FileSyntaxError, type Parsed} from './json-reader.ts'

/** Reads one YAML document. Throws a FileSyntaxError. A module of its own, loaded only for YAML: the library is large. */
export function readYaml(source: string): Parsed {
  const counter = new LineCounter()
  const document = parseDocument(source, {lineCounter: counter, prettyErrors: false, merge: true})
  const [first] = document.errors
  if (first) {
    const {line, col} = counter.linePos(first.pos[0])
    throw new FileSyntaxError(yamlReason(first.code), line, col)
  }
  const positions: Parsed['positions'] = new Map()
  const visit = (node: unknown, place: string) => {
    const step = (key: string | number, child: unknown, start: number | undefined) => {
      const next = place === '' ? `${key}` : `${place}.${key}`
      if (start !== undefined) {
        const {line, col} = counter.linePos(start)
        positions.set(next, {line, column: col})
      }
      visit(child, next)
    }
    if (isMap(node)) {
      for (const {key, value} of node.items) if (isScalar(key)) step(String(key.value), value, key.range?.[0])
    } else if (isSeq(node)) {
      for (const [index, item] of node.items.entries()) {
        step(index, item, (item as {range?: readonly number[]} | null)?.range?.[0])
      }
    }
  }
  visit(document.contents, '')
  try {
    return {value: document.toJS({maxAliasCount: 100}) as unknown, positions}
  } catch {
    throw new FileSyntaxError('an alias cannot be resolved')
  }
}

/** The library's messages may quote the file, so the reason is told from its error code. */
function yamlReason(code: string): string {
  const reasons: Record<string, string> = {
    BAD_INDENT: 'the indentation is wrong',
    TAB_AS_INDENT: 'a tab is used as indentation; use spaces',
    DUPLICATE_KEY: 'a key occurs twice',
    MISSING_CHAR: 'a character is missing, for example a closing quote, bracket or colon',
    MULTIPLE_DOCS: 'the file holds several documents; one is expected',
    BAD_ALIAS: 'an alias or anchor is malformed',
    MULTILINE_IMPLICIT_KEY: 'a key runs over several lines; a colon or a quote is probably missing',
    BLOCK_AS_IMPLICIT_KEY: 'a value has a key inside; quote it if it contains ": "',
  }
  return reasons[code] ?? `the YAML is malformed (${code})`
}
