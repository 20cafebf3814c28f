import * as z from 'zod'
import {later, section} from '../../meta.ts'
import {fancyRegex} from '../../regexes.ts'
import {numbersOf, oneOrMany, port, text} from '../../scalars.ts'

const common = {feature: 'incoming', what: 'HTTP filters'} as const
const body = () => z.strictObject({body: z.literal('json'), query: jsonPath(), matches: fancyRegex()})
const inner = () =>
  z.union(
    [
      z.strictObject({header: fancyRegex()}),
      z.strictObject({path: fancyRegex()}),
      z.strictObject({method: text()}),
      body(),
      z.strictObject({query: text()}),
    ],
    {error: 'expected exactly one of {header}, {path}, {method}, {query}, or {body: "json", query, matches}'},
  )
const inners = () => z.array(inner()).min(1).optional()

/** Keys of which a filter has at most one: each is a filter of its own (config.md 4.1, E3). */
export const filterKinds = [
  'header_filter',
  'path_filter',
  'method_filter',
  'body_filter',
  'header_filter_jq',
  'all_of',
  'any_of',
] as const

/** Section `feature.network.incoming.http_filter`: which requests are the program's (config.md 3.7, 5.3.2). */
export const httpFilterSection = section(
  {
    header_filter: later(fancyRegex().optional(), {
      ...common,
      doc: 'Pattern that is searched, without regard to case, in each header of a request, written "name: value" with a name in small letters.',
      env: 'MIRRORD_HTTP_HEADER_FILTER',
      examples: ['^x-ci: run-42$'],
    }),
    path_filter: later(fancyRegex().optional(), {
      ...common,
      doc: 'Pattern that is searched, without regard to case, in the path of a request, with and without its query.',
      env: 'MIRRORD_HTTP_PATH_FILTER',
      examples: ['^/health(?!/live)'],
    }),
    method_filter: later(text().optional(), {
      ...common,
      doc: 'Method of a request, without regard to case.',
      env: 'MIRRORD_HTTP_METHOD_FILTER',
      examples: ['GET'],
    }),
    body_filter: later(body().optional(), {
      ...common,
      doc: 'JSON body of a request: a value that the JSONPath "query" selects contains a match of the pattern "matches".',
      examples: [{body: 'json', query: '$.user.id', matches: '^ci-'}],
    }),
    header_filter_jq: later(text().optional(), {
      ...common,
      doc: 'Program of jq whose first result for a header is true. Its syntax is not verified here; the agent does that.',
      env: 'MIRRORD_HTTP_HEADER_FILTER_JQ',
      examples: ['.name == "x-ci"'],
    }),
    all_of: later(inners(), {
      ...common,
      doc: 'Filters that must all match: {header}, {path}, {method}, {query} (jq) or {body, query, matches} each.',
      examples: [[{header: '^x-ci: 1$'}, {path: '^/api/'}]],
    }),
    any_of: later(inners(), {
      ...common,
      doc: 'Filters of which one must match, as in all_of.',
      examples: [[{method: 'PUT'}, {body: 'json', query: '$.id', matches: '^ci-'}]],
    }),
    ports: later(oneOrMany(port(), 'a port').optional(), {
      ...common,
      doc: 'Ports of the target on which the filter applies; all by default. On others everything is taken.',
      env: 'MIRRORD_HTTP_FILTER_PORTS',
      fromText: numbersOf,
    }),
  },
  {
    doc: 'HTTP filter of incoming traffic: one kind of filter, and the ports for which it applies.',
    short: 'true, false',
    forms: z.boolean(),
    expand: (value) => (typeof value === 'boolean' ? {} : undefined),
  },
)

/** A JSONPath: verified here as far as quotes and brackets go, by the agent in full. */
function jsonPath() {
  return text().refine((query) => isJsonPath(query), {error: 'expected a JSONPath such as $.user.id or $["items"][0]'})
}

/** Begins with $, continues with steps, and closes what it opens. */
function isJsonPath(query: string): boolean {
  const bare = query.replace(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/g, 'x')
  if (!/^\$(?:[.[]|$)/.test(bare) || /['"]/.test(bare) || /\.$|\.\.\.|\[\]/.test(bare)) return false
  const open: string[] = []
  for (const character of bare) {
    if (character === '[' || character === '(') open.push(character)
    else if (character === ']' && open.pop() !== '[') return false
    else if (character === ')' && open.pop() !== '(') return false
  }
  return open.length === 0
}
