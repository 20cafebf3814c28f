import type * as z from 'zod'
import {rootSection} from '../../src/config/index.ts'
import {asSection, fieldMeta, leaves} from '../../src/config/meta.ts'
import {statusOf} from '../../src/config/status.ts'
import {fileDefault, inputOf, type Node} from './config-schema.ts'
import {quirks} from './quirks.ts'

const intro = `# Configuration

Generated from \`src/config/schema\` by \`npm run docs\`; editors get the same from \`schema/mirrord-schema.json\` (name it as \`$schema\` in the file).

A value comes from the flag, else from the environment variable, else from the file, else it is the default; for each key on its own.
\`mirrord verify-config --explain FILE\` shows every key with its value and where that came from. The file is the one of \`--config-file\` or
\`MIRRORD_CONFIG_FILE\`; a bare \`-f\` means \`./.mirrord/mirrord.json\`. There is no discovery.

- Formats by extension: \`.json\` or none (comments accepted), \`.yaml\`, \`.yml\`, \`.toml\`. Unknown keys are errors; a key that is null counts as left out.
- In YAML the key decides what a plain word or number is, as upstream: \`key: 0042\` is a text, \`operator: yes\` is true (also y, on; no, n, off).
- A file has at most 512 KiB, one of YAML or TOML 128 KiB, templates rendered.
- Variables: truth is exactly \`true\` or \`false\`, numbers are decimal, entries of a list are separated by \`;\`.
- Patterns have the syntax of Rust's \`regex\` crate; those of headers, paths and \`feature.env.mapping\` may look around.
- All problems are reported at once, each with key, origin and line.

How a key compares with upstream is said where it is not the same: **better**, **not yet** (refused by name, with the feature that brings it), **no effect** (accepted with a warning), **only here**.
`

/** The reference of the configuration. */
export function configurationPage(): string {
  return `${[intro, ...sections(rootSection, [])].join('\n')}`
}

function sections(schema: z.ZodType, path: readonly string[]): string[] {
  const {object, meta} = asSection(schema)!
  const children = Object.entries(object.shape) as [string, z.ZodType][]
  const own = children.filter(([, child]) => !asSection(child))
  const heading = path.length === 0 ? '## Top level' : `## \`${path.join('.')}\``
  const short = meta.short === undefined ? '' : ` Short forms: ${meta.short}.`
  const text = [heading, '', `${meta.doc}${short}`, '', ...(own.length > 0 ? table(own, path) : [])].join('\n')
  const below = children.filter(([, child]) => asSection(child)).flatMap(([key, child]) => sections(child, [...path, key]))
  return own.length > 0 || meta.short !== undefined ? [text, ...below] : below
}

function table(keys: readonly (readonly [string, z.ZodType])[], path: readonly string[]): string[] {
  const rows = keys.map(([key, schema]) => {
    const meta = fieldMeta(schema, [...path, key])
    const value = fileDefault(schema, meta)
    const set = [
      ...(meta.env === undefined ? [] : [`\`${meta.env}\``]),
      ...(meta.otherEnv ?? []).map((name) => `\`${name}\``),
      ...Object.entries(meta.flags ?? {}).map(([flag, meaning]) => `\`--${flag}\`${meaning === true ? '' : ` (${meaning})`}`),
    ]
    const {word, text} = statusOf(meta)
    const status = word === 'same' ? '' : ` _${text[0]!.toUpperCase()}${text.slice(1)}._`
    const example = meta.examples ? ` For example ${meta.examples.map((entry) => `\`${JSON.stringify(entry)}\``).join(', ')}.` : ''
    return [
      `\`${key}\``,
      typeText(inputOf(schema, meta)),
      value === undefined ? '' : `\`${JSON.stringify(value)}\``,
      set.join(', '),
      `${meta.doc}${example}${status}`,
    ]
      .map(escaped)
      .join(' | ')
  })
  return ['| key | type | default | variable, flag | meaning |', '| --- | --- | --- | --- | --- |', ...rows.map((row) => `| ${row} |`), '']
}

/** Text in a cell of a table. */
const escaped = (cell: string) => cell.replaceAll('|', '\\|').replaceAll('<', '&lt;')

/** The table of every key and how it compares with upstream. */
export function keysTable(): string {
  const rows = [...leaves(rootSection)].map(({path, meta}) => `| \`${path.join('.')}\` | ${escaped(statusOf(meta).text)} |`)
  return ['| key | here |', '| --- | --- |', ...rows].join('\n')
}

/** The table of the quirks of upstream and what became of them. */
export function quirksTable(): string {
  const rows = quirks.map(({id, quirk, decision, here}) => `| ${id} | ${escaped(quirk)} | ${decision} | ${escaped(here)} |`)
  return ['| | upstream | decision | here |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

/** The page with its generated parts renewed: what stands between `<!-- generated NAME -->` and `<!-- end NAME -->`. */
export function withGenerated(page: string, parts: Readonly<Record<string, () => string>>): string {
  return Object.entries(parts).reduce((text, [name, part]) => {
    const [from, to] = [`<!-- generated ${name} -->`, `<!-- end ${name} -->`]
    const [start, end] = [text.indexOf(from), text.indexOf(to)]
    if (start < 0 || end < start) throw new Error(`The page has no place for the generated part "${name}".`)
    return `${text.slice(0, start + from.length)}\n<!-- prettier-ignore-start -->\n\n${part()}\n\n<!-- prettier-ignore-end -->\n${text.slice(end)}`
  }, page)
}

/** A JSON Schema in words. */
export function typeText(node: Node): string {
  const options = (node.anyOf ?? node.oneOf) as Node[] | undefined
  if (options) {
    const texts = [...new Set(options.filter((option) => option.type !== 'null').map(typeText))]
    if (texts.length <= 4) return texts.join(' or ')
    return [...new Set(texts.map((text) => (text.startsWith('`{') ? 'object' : text)))].join(' or ')
  }
  if (node.const !== undefined) return `\`${JSON.stringify(node.const)}\``
  if (Array.isArray(node.enum)) return node.enum.map((value) => `\`${String(value)}\``).join(', ')
  const types = [node.type].flat().filter((type) => type !== 'null') as string[]
  return types.map((type) => simpleText(type, node)).join(' or ') || 'any'
}

function simpleText(type: string, node: Node): string {
  const {minimum, maximum} = node as {minimum?: number; maximum?: number}
  switch (type) {
    case 'boolean':
      return '`true`, `false`'
    case 'integer':
      if (maximum !== undefined) return `whole number ${minimum ?? 0} to ${maximum}`
      return minimum ? `whole number from ${minimum}` : 'whole number'
    case 'string':
      return 'text'
    case 'array': {
      if (Array.isArray(node.items)) return 'pair'
      const inner = typeText(node.items as Node)
      return `list of ${inner === 'text' ? 'texts' : inner.startsWith('whole number') ? inner.replace('number', 'numbers') : inner}`
    }
    case 'object': {
      const keys = Object.keys((node.properties as Node | undefined) ?? {})
      return keys.length > 0 ? `\`{${keys.join(', ')}}\`` : 'map'
    }
    default:
      return type
  }
}
