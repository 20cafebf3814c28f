import {TemplateError} from './value.ts'

/** Stands for a backslash inside a text of a template: the parser takes that for an escape, Tera has none. No file holds a NUL. */
const backslash = '\0'

/** What a text of the parser's tree says. */
export const literalText = (text: string): string => text.replaceAll(backslash, '\\')

/** Where the text that begins at `at` ends; undefined where nothing there begins a text, -1 where it has no end. */
export function textEnd(source: string, at: number): number | undefined {
  const quote = source[at]!
  return '"\'`'.includes(quote) ? source.indexOf(quote, at + 1) : undefined
}

/**
 * The code between delimiters as the parser reads it, each character at its place: texts in backticks, which Tera has too,
 * get other quotes, backslashes stand for themselves, and `self::name(…)`, Tera's way to call a macro, is Jinja's
 * `name(…)`. `offset` is the code's in the file. Throws a TemplateError.
 */
export function parserCode(code: string, offset: number): string {
  const parts: string[] = []
  let from = 0
  for (let at = 0; at < code.length; at++) {
    const end = textEnd(code, at)
    if (end === undefined || end < 0) continue
    const inner = code.slice(at + 1, end)
    const quote = code[at] !== '`' ? code[at]! : ["'", '"'].find((candidate) => !inner.includes(candidate))
    if (quote === undefined)
      throw new TemplateError('a text in backticks holds both other kinds of quotes', offset + at)
    parts.push(outside(code.slice(from, at)), quote, inner.replaceAll('\\', backslash), quote)
    from = end + 1
    at = end
  }
  return [...parts, outside(code.slice(from))].join('')
}

/** `{% endmacro name %}` is Tera's too. */
const outside = (code: string) =>
  code
    .replaceAll(/\bself::(?=\w)/g, '      ')
    .replace(/^(\{%-?\s*endmacro\s+)(\w+)/, (_, tag: string, name: string) => tag + ' '.repeat(name.length))
