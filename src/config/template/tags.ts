import {hint} from './arguments.ts'
import {parserCode, textEnd} from './quotes.ts'
import {TemplateError} from './value.ts'

/** How deep expressions and tags may be nested: the parser is recursive. */
const maxNesting = 50
const maxTags = 300
/** Longest expression or tag, in characters. */
const maxLength = 4096

const ends: Readonly<Record<string, string>> = {if: 'endif', for: 'endfor', macro: 'endmacro', filter: 'endfilter'}
const known = [...Object.keys(ends), 'set', 'raw', 'elif', 'else', ...Object.values(ends), 'endset', 'endraw']
/** Tags of Jinja and Tera that reach other files, or that nothing here needs. */
const refused: Readonly<Record<string, string>> = {
  include: 'a configuration is one file',
  import: 'a configuration is one file',
  from: 'a configuration is one file',
  extends: 'a configuration is one file',
  block: 'a configuration is one file',
  set_global: 'use set outside of the loop',
  break: 'loops run to their end',
  continue: 'loops run to their end',
}
const rawAdvice =
  'A literal "{{", "{%" or "{#", in a regular expression for example, stands between {% raw %} and {% endraw %}.'

/**
 * Goes through the delimiters and tags of a template before it is parsed: what has no end or no beginning is told at its
 * place, which the parser cannot, and what would lead the parser too deep is refused. Throws a TemplateError. Returns the
 * text for the parser, in which everything is at the same place.
 */
export function checkTags(source: string): string {
  const open: {name: string; offset: number}[] = []
  let tags = 0
  let result = ''
  let copied = 0
  for (const start of delimiters(source)) {
    const {offset} = start
    if (start.kind === '#') {
      start.resume(endOf(source, offset, '#}', '{#'))
      continue
    }
    const end = codeEnd(source, offset, start.kind === '{' ? '}}' : '%}')
    const code = source.slice(offset, end)
    result += source.slice(copied, offset) + parserCode(code, offset)
    copied = end
    start.resume(end)
    if (start.kind === '{') continue
    if (++tags > maxTags) throw new TemplateError(`a template has at most ${maxTags} tags`, offset)
    const name = /^\{%-?\s*(\w*)/.exec(code)![1]!
    if (name === 'raw') start.resume(rawEnd(source, end, offset))
    else track(name, code, offset, open)
    if (open.length > maxNesting) throw new TemplateError(`tags are nested deeper than ${maxNesting} levels`, offset)
  }
  const left = open.at(-1)
  if (left) throw new TemplateError(`{% ${left.name} %} has no {% ${endOfTag(left.name)} %}`, left.offset, rawAdvice)
  return result + source.slice(copied)
}

interface Delimiter {
  kind: string
  offset: number
  /** Says where the search goes on. */
  resume: (offset: number) => void
}

function* delimiters(source: string): Generator<Delimiter> {
  const pattern = /\{[{%#]/g
  for (let match = pattern.exec(source); match; match = pattern.exec(source)) {
    const resume = (offset: number) => (pattern.lastIndex = offset)
    yield {kind: match[0][1]!, offset: match.index, resume}
  }
}

function track(name: string, code: string, offset: number, open: {name: string; offset: number}[]): void {
  const advice = rawAdvice
  if (Object.hasOwn(refused, name)) throw new TemplateError(`{% ${name} %} is not available: ${refused[name]}`, offset)
  if (!known.includes(name)) {
    throw new TemplateError(
      name === '' ? 'a tag without a name' : `{% ${name} %} is not a known tag${hint(name, known)}`,
      offset,
      advice,
    )
  }
  const around = open.at(-1)
  // `{% set x %}…{% endset %}` has an end, `{% set x = 1 %}` has none.
  if (Object.hasOwn(ends, name) || (name === 'set' && !code.includes('='))) open.push({name, offset})
  else if (name.startsWith('end')) {
    if (!around || endOfTag(around.name) !== name) {
      const wanted = around ? `; {% ${endOfTag(around.name)} %} is expected first` : ''
      throw new TemplateError(`{% ${name} %} has no beginning${wanted}`, offset)
    }
    open.pop()
  } else if (name === 'elif' && around?.name !== 'if') {
    throw new TemplateError('{% elif %} stands outside of {% if %}', offset)
  } else if (name === 'else' && around?.name !== 'if' && around?.name !== 'for') {
    throw new TemplateError('{% else %} stands outside of {% if %} and {% for %}', offset)
  }
}

const endOfTag = (name: string) => ends[name] ?? `end${name}`

function endOf(source: string, offset: number, end: string, start: string): number {
  const at = source.indexOf(end, offset + 2)
  if (at < 0) throw new TemplateError(`"${start}" has no "${end}"`, offset, rawAdvice)
  return at + 2
}

/** Behind the end of an expression or tag; quoted texts in it may hold anything. */
function codeEnd(source: string, offset: number, end: string): number {
  const limit = Math.min(source.length, offset + maxLength)
  let nesting = 0
  for (let at = offset + 2; at < limit; at++) {
    const char = source[at]!
    // A brace that closes an object comes first.
    if (source.startsWith(end, at) && (nesting === 0 || end === '%}')) return at + 2
    const closing = textEnd(source, at)
    if (closing !== undefined) {
      at = closing
      if (at < 0) break
    } else if ('([{'.includes(char)) {
      if (++nesting > maxNesting) throw new TemplateError(`nested deeper than ${maxNesting} levels`, at)
    } else if (')]}'.includes(char)) nesting--
    else if (char === '\\') {
      throw new TemplateError(
        `a backslash inside "${source.slice(offset, offset + 2)}"; its texts need single quotes`,
        at,
        rawAdvice,
      )
    }
  }
  const start = source.slice(offset, offset + 2)
  if (limit < source.length)
    throw new TemplateError(`"${start}" has no "${end}" within ${maxLength} characters`, offset, rawAdvice)
  throw new TemplateError(`"${start}" has no "${end}"`, offset, rawAdvice)
}

function rawEnd(source: string, from: number, offset: number): number {
  // The parser knows no "-" here.
  const pattern = /\{%\s*endraw\s*%\}/g
  pattern.lastIndex = from
  const end = pattern.exec(source)
  if (end) return end.index + end[0].length
  const dashed = /\{%-\s*endraw|endraw\s*-%\}/.test(source.slice(from))
  throw new TemplateError(`{% raw %} has no {% endraw %}${dashed ? ' without "-"' : ''}`, offset)
}
