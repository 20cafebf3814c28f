import {isDeepStrictEqual} from 'node:util'
import type {Origin, Problem} from '../assemble.ts'
import {defaultOf, leaves, valueAt, type Feature, type Leaf} from '../meta.ts'
import {rootSection, type AnyConfig} from '../schema/root.ts'

/** Keys whose value asks for something that this version does not do. Those that need the operator are one problem. */
export function unavailable(config: AnyConfig, origins: ReadonlyMap<string, Origin>): Problem[] {
  const needs = [...leaves(rootSection)].flatMap((leaf) => {
    const value = valueAt(config, leaf.path)
    const need = leaf.meta.later?.find(({asks}) => asks(value))
    return need ? [{path: leaf.path.join('.'), value, need}] : []
  })
  const others = needs
    .filter(({need}) => need.feature !== 'operator')
    .map(({path, need}) => ({path, message: `not in this version yet: ${need.what}`, later: need.feature}))
  const operator = needs.filter(({need}) => need.feature === 'operator')
  return operator.length === 0 ? others : [...others, operatorProblem(operator, origins)]
}

/** One sentence that names them all: "feature.copy_target (file m.json:4) and feature.split_queues (file m.json:9) need …". */
function operatorProblem(needs: readonly {path: string}[], origins: ReadonlyMap<string, Origin>): Problem {
  const named = new Map<string, {path: string; text: string}>()
  for (const {path} of needs) {
    const subject = operatorSection(path)
    const origin = origins.get(path)
    if (!named.has(subject)) named.set(subject, {path: subject, text: origin ? `${subject} (${origin})` : subject})
  }
  const all = [...named.values()]
  return {
    path: all[0]!.path,
    paths: all.map(({path}) => path),
    sentence: `${listed(all.map(({text}) => text))} ${all.length === 1 ? 'needs' : 'need'} the operator, whose sessions come in a later version`,
    message: 'it needs the operator, whose sessions come in a later version',
    later: 'operator',
  }
}

/** The largest section around a key of which everything needs the operator: `feature.copy_target` for its keys. */
function operatorSection(path: string): string {
  const parent = path.slice(0, Math.max(0, path.lastIndexOf('.')))
  if (parent === '') return path
  const inside = [...leaves(rootSection)].filter((leaf) => leaf.path.join('.').startsWith(`${parent}.`))
  return inside.every((leaf) => waitsFor(leaf, 'operator')) ? operatorSection(parent) : path
}

const waitsFor = ({meta}: Leaf, feature: Feature) => meta.later?.some((need) => need.feature === feature) ?? false

/** One warning for each reason for which keys that a source sets, to something else than the default, change nothing here. */
export function inertWarnings(config: AnyConfig, origins: ReadonlyMap<string, Origin>): string[] {
  const byReason = new Map<string, string[]>()
  for (const {path, schema, meta} of leaves(rootSection)) {
    const name = path.join('.')
    const origin = origins.get(name)
    if (meta.inert === undefined || origin === undefined) continue
    if (isDeepStrictEqual(valueAt(config, path), defaultOf(schema))) continue
    byReason.set(meta.inert, [...(byReason.get(meta.inert) ?? []), `${name} (${origin})`])
  }
  return [...byReason].map(
    ([why, names]) => `${listed(names)} ${names.length === 1 ? 'has' : 'have'} no effect: ${why}.`,
  )
}

/** "a, b and c", each once. */
export function listed(names: readonly string[]): string {
  const unique = [...new Set(names)]
  return unique.length < 2 ? unique.join('') : `${unique.slice(0, -1).join(', ')} and ${unique.at(-1)}`
}
