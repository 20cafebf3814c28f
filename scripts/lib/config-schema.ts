import * as z from 'zod'
import {rootSection} from '../../src/config/index.ts'
import {asSection, defaultOf, fieldMeta, type FieldMeta} from '../../src/config/meta.ts'
import {statusOf} from '../../src/config/status.ts'

/** A node of a JSON Schema. */
export type Node = Record<string, unknown>

/** What a file may say for a key, null apart. */
export function inputOf(schema: z.ZodType, meta: FieldMeta): Node {
  const {$schema: _, default: __, ...node} = z.toJSONSchema(meta.input ?? schema, jsonSchema) as Node
  return simplified(node) as Node
}

/** Draft 7 is what editors know best. What code checks beyond a type has no form in a schema. */
const jsonSchema = {io: 'input', unrepresentable: 'any', target: 'draft-7'} as const

/** The default as a file says it; undefined where a key is unset. */
export function fileDefault(schema: z.ZodType, meta: FieldMeta): unknown {
  const value = defaultOf(schema)
  return value === undefined || !meta.toFile ? value : meta.toFile(value)
}

/** The published JSON Schema of a configuration file: every key with its short forms, documentation and default. */
export function configSchema(): string {
  const root = sectionNode(rootSection, [])
  const properties = {$schema: {type: 'string', description: 'Address of this schema, for editors.'}, ...(root.properties as Node)}
  const [shared, definitions] = sharing({...root, properties})
  const head = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Configuration of mirrord for CI',
    $comment: 'Generated from src/config/schema by npm run docs.',
  }
  return `${JSON.stringify({...head, ...(shared), definitions}, undefined, 1)}\n`
}

function sectionNode(schema: z.ZodType, path: readonly string[]): Node {
  const {object, meta} = asSection(schema)!
  const properties: Node = {}
  for (const [key, child] of Object.entries(object.shape)) {
    const below = [...path, key]
    const inner = child as z.ZodType
    properties[key] = asSection(inner) ? sectionNode(inner, below) : leafNode(inner, below)
  }
  const node = {type: 'object', properties, additionalProperties: false}
  if (path.length === 0) return {...node, description: meta.doc}
  const {$schema: _, ...forms} = meta.forms ? (z.toJSONSchema(meta.forms, jsonSchema) as Node) : {}
  const described = {description: meta.doc}
  if (!meta.forms) return {...described, ...nullable(node)}
  return {...described, anyOf: [...alternatives(simplified(forms) as Node), node, {type: 'null'}]}
}

function leafNode(schema: z.ZodType, path: readonly string[]): Node {
  const meta = fieldMeta(schema, path)
  const value = fileDefault(schema, meta)
  const status = statusOf(meta)
  const note = status.word === 'same' || status.word === 'ours' ? '' : ` (${status.text})`
  const set = [
    ...(meta.env === undefined ? [] : [`variable \`${meta.env}\``]),
    ...Object.keys(meta.flags ?? {}).map((flag) => `flag \`--${flag}\``),
  ]
  return {
    description: `${meta.doc}${note}`,
    markdownDescription: [`**${path.join('.')}**: ${meta.doc}${note}`, ...(set.length > 0 ? [`Also: ${set.join(', ')}.`] : [])].join('\n\n'),
    ...nullable(inputOf(schema, meta)),
    ...(value === undefined ? {} : {default: value}),
    ...(meta.examples ? {examples: meta.examples} : {}),
  }
}

/** Bounds that only say that a number is exact are left out; a key that may be left out may be null (config.md 2.1). */
function simplified(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(simplified)
  if (typeof node !== 'object' || node === null) return node
  const result: Node = {}
  for (const [key, value] of Object.entries(node)) {
    if (key === 'maximum' && value === Number.MAX_SAFE_INTEGER) continue
    if (key === 'minimum' && value === Number.MIN_SAFE_INTEGER) continue
    if (key === 'propertyNames') continue
    result[key] = simplified(value)
  }
  const properties = result.properties as Record<string, Node> | undefined
  const required = (result.required as string[] | undefined) ?? []
  for (const key of Object.keys(properties ?? {})) {
    if (!required.includes(key)) properties![key] = nullable(properties![key]!)
  }
  return result
}

const alternatives = (node: Node): Node[] => {
  const {anyOf, ...rest} = node
  return Array.isArray(anyOf) && Object.keys(rest).length === 0 ? (anyOf as Node[]) : [node]
}

/** The node, or null. */
function nullable(node: Node): Node {
  const {description, default: value, ...rest} = node
  const kept = {...(description === undefined ? {} : {description}), ...(value === undefined ? {} : {default: value})}
  if (typeof rest.type === 'string' && rest.enum === undefined && rest.const === undefined) {
    return {...kept, ...rest, type: [rest.type, 'null']}
  }
  return {...kept, anyOf: [...alternatives(rest), {type: 'null'}]}
}

/** Large nodes that stand several times become definitions. */
function sharing(root: Node): [Node, Node] {
  const counts = new Map<string, number>()
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    const text = JSON.stringify(node)
    if (isLarge(node, text)) counts.set(text, (counts.get(text) ?? 0) + 1)
    Object.values(node).forEach(visit)
  }
  visit(root)
  const names = new Map<string, string>()
  const definitions: Node = {}
  const replace = (node: unknown): unknown => {
    if (typeof node !== 'object' || node === null) return node
    if (Array.isArray(node)) return node.map(replace)
    const text = JSON.stringify(node)
    const inside = () => Object.fromEntries(Object.entries(node).map(([key, value]) => [key, replace(value)]))
    if (!isLarge(node, text) || counts.get(text)! < 2) return inside()
    let name = names.get(text)
    if (name === undefined) {
      name = `shared${names.size + 1}`
      names.set(text, name)
      definitions[name] = inside()
    }
    return {$ref: `#/definitions/${name}`}
  }
  return [replace(root) as Node, definitions]
}

/** Whether it is worth a definition; a map of properties may have one called "type", and is no schema itself. */
const isLarge = ({type, anyOf, oneOf}: {type?: unknown; anyOf?: unknown; oneOf?: unknown}, text: string) =>
  text.length > 300 && [[type].flat()[0], anyOf, oneOf].some((mark) => typeof mark === 'string' || Array.isArray(mark))
