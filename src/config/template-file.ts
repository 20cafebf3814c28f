import {isRecord} from './meta.ts'
import {FileSyntaxError, Lines, setKey, type Parsed} from './syntax.ts'
import {hasTemplate, renderTemplate, TemplateError, type TemplateInput} from './template/index.ts'
import type {Environment} from './meta.ts'

/** What the templates of a file are rendered with. */
export interface TemplateSources {
  /** What `get_env` reads. */
  env: Environment
  /** The branch; asked for only when a template names it. */
  branch: () => Promise<string | undefined>
  /** The key that a flag or variable gives: stronger than that of the file. */
  key?: string
  /** The key where nobody gives one. */
  generatedKey: string
}

const afterRendering =
  'The templates of the file were rendered before: a value that one of them fills in may hold a quote or a line break.'
const selfMade = "the key cannot be made of itself; git_branch, get_env(name='…') and text are available for it"

/**
 * Renders the templates of a file, then parses it; places are those of the file as it is written. The file's own key is
 * found first, because other templates use it. A module of its own, loaded only for files with templates. Throws a
 * TemplateError or a FileSyntaxError.
 */
export async function parseTemplated(
  source: string,
  parse: (text: string) => Parsed,
  sources: TemplateSources,
): Promise<Parsed> {
  const branch = /\bgit_branch\b/.test(source) ? await sources.branch() : undefined
  const variables = (key: {value: string} | {missing: string}): TemplateInput => ({
    env: sources.env,
    variables: {key, git_branch: branch === undefined ? {missing: noBranch} : {value: branch}},
  })
  const withKey = (value: string) => parseRendered(source, parse, variables({value}))
  if (sources.key !== undefined) return withKey(sources.key)
  const own = ownKey(source, parse, variables({missing: selfMade}), () => keyOf(withKey(sources.generatedKey)))
  if (own?.includes(sources.generatedKey)) throw new TemplateError(selfMade)
  const parsed = withKey(own ?? sources.generatedKey)
  // Rendered once for all: a random part must be the same everywhere.
  if (own !== undefined && isRecord(parsed.value)) setKey(parsed.value, 'key', own)
  return parsed
}

const noBranch =
  "the variable git_branch has no value: git names no branch here (none is checked out, or the folder is another user's), and MIRRORD_BRANCH_NAME is not set; say what holds then: {{ git_branch | default(value='…') }}"

/**
 * The root key of the file, rendered without `key`. Where the text can be parsed as it is written, as upstream does; else
 * (a template in place of a whole value, or with quotes inside of quotes) in the rendered text.
 */
function ownKey(
  source: string,
  parse: (text: string) => Parsed,
  input: TemplateInput,
  fromRendered: () => string | undefined,
): string | undefined {
  let written: Parsed
  try {
    written = parse(source)
  } catch (error) {
    if (error instanceof FileSyntaxError) return fromRendered()
    throw error
  }
  const key = keyOf(written)
  if (key === undefined || !hasTemplate(key)) return key
  try {
    return renderTemplate(key, input).text
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error
    const position = written.positions.get('key')
    throw new TemplateError(error.message, position && new Lines(source).offsetAt(position), error.advice)
  }
}

function keyOf({value, texts}: Parsed): string | undefined {
  if (!isRecord(value) || !Object.hasOwn(value, 'key')) return undefined
  return typeof value.key === 'string' ? value.key : texts?.get('key')
}

function parseRendered(source: string, parse: (text: string) => Parsed, input: TemplateInput): Parsed {
  const {text, placeOf} = renderTemplate(source, input)
  try {
    const {value, positions, texts} = parse(text)
    return {value, texts, positions: new Map([...positions].map(([key, position]) => [key, placeOf(position)]))}
  } catch (error) {
    if (!(error instanceof FileSyntaxError)) throw error
    const problems = error.problems.map(({message, line, column}) => ({
      message,
      ...(line === undefined ? {} : placeOf({line, column: column ?? 1})),
    }))
    throw new FileSyntaxError(problems, afterRendering)
  }
}
