import {isRecord} from './meta.ts'
import {nearest} from './nearest.ts'
import {longestKey, printable} from './syntax.ts'

/** Kinds of target that are objects with a name. */
export const namedKinds = [
  'pod',
  'deployment',
  'rollout',
  'replicaset',
  'statefulset',
  'daemonset',
  'job',
  'cronjob',
  'service',
] as const
type NamedKind = (typeof namedKinds)[number]

/** Where the local program belongs: a pod, one ready pod of a workload or of those with some labels, or nowhere in particular. */
export type TargetPath =
  | {kind: NamedKind; name: string; container?: string}
  | {kind: 'label'; labels: Record<string, string>; name?: undefined; container?: string}
  | {kind: 'targetless'; name?: undefined; container?: undefined}

/** A target as it was understood, or what is wrong with it. */
export type TargetReading = {target: TargetPath} | {problem: string}

/** The kinds with a name, by their spelling in a text. */
const kinds: Readonly<Record<string, NamedKind>> = {
  ...Object.fromEntries(namedKinds.map((kind) => [kind, kind])),
  deploy: 'deployment',
}
/** The kinds by their spelling as a key of an object. */
const keys: Readonly<Record<string, NamedKind>> = {
  pod: 'pod',
  deployment: 'deployment',
  rollout: 'rollout',
  job: 'job',
  cron_job: 'cronjob',
  stateful_set: 'statefulset',
  daemon_set: 'daemonset',
  service: 'service',
  replica_set: 'replicaset',
}
/** Keys of a target object, each with the name of such an object. */
export const targetKeys: readonly string[] = Object.keys(keys)
/** What Kubernetes allows in names; the longest form, DNS subdomains. It also keeps names from changing a request's path. */
export const objectName = /^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/
const labelPart = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/
const shape =
  'pod/<name>, deployment/<name> or another kind, each optionally with /container/<container>, or targetless'

/** Reads a target text of the grammar `targetless` | `<kind>/<name>[/container/<container>]` (config.md 3.2). */
export function readTargetText(text: string): TargetReading {
  if (text === 'targetless') return {target: {kind: 'targetless'}}
  if (text.startsWith('label/')) return readLabels(text.slice('label/'.length))
  const [kind = '', name, keyword, container, ...rest] = text.split('/')
  const known = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined
  if (name === undefined) {
    if (text === '') return {problem: `the target is empty; write ${shape}`}
    if (known || text === 'label') return {problem: `the target lacks a name; write ${kind}/<name>`}
    return {problem: 'the target has no kind; did you mean pod/<name> or deployment/<name>?'}
  }
  if (!known) {
    const [guess] = nearest(kind, Object.keys(kinds), 1)
    return {
      problem: `its first part is no kind of target; ${guess ? `did you mean ${guess}/<name>?` : `write ${shape}`}`,
    }
  }
  const excess = rest.length > 0 || (keyword !== undefined && (keyword !== 'container' || container === undefined))
  if (excess || name === '' || container === '') return {problem: `the target is malformed; write ${shape}`}
  return checked({kind: known, name, ...(container === undefined ? {} : {container})})
}

/** Labels `k=v,k2=v2`, each key once; a key may have a prefix with a slash. */
function readLabels(text: string): TargetReading {
  const [, list = '', container] = /^(.*?)(?:\/container\/([^/]*))?$/s.exec(text) ?? []
  const pairs = list.split(',').map((pair) => {
    const at = pair.indexOf('=')
    return at < 0 ? undefined : ([pair.slice(0, at), pair.slice(at + 1)] as const)
  })
  if (list === '' || pairs.includes(undefined)) {
    return {problem: 'a target by labels is written label/<key>=<value>, several separated by commas'}
  }
  const names = pairs.map((pair) => pair![0])
  const twice = names.some((name, index) => names.indexOf(name) !== index)
  if (twice) return {problem: 'a label stands twice in the target'}
  return checkedLabels(Object.fromEntries(pairs as [string, string][]), container)
}

/** Reads a target object of a file: one of the kinds with a name, or `{labels}`, with an optional `container`. */
export function readTargetObject(value: Record<string, unknown>): TargetReading {
  const {container, ...named} = value
  const [key, ...others] = Object.keys(named)
  if (key === undefined || others.length > 0) {
    return {
      problem: `a target object names exactly one of ${[...targetKeys, 'labels'].join(', ')}, and optionally container`,
    }
  }
  const kind = Object.hasOwn(keys, key) ? keys[key] : undefined
  if (!kind && key !== 'labels') {
    const known = [...targetKeys, 'labels', 'container']
    const [guess] = nearest(key, known, 1)
    return {
      problem: `unknown key "${printable(key, longestKey)}"${guess ? `; did you mean "${guess}"?` : `; known: ${known.join(', ')}`}`,
    }
  }
  if (container !== undefined && container !== null && (typeof container !== 'string' || container === '')) {
    return {problem: '"container" must be the name of a container'}
  }
  const inside = container ?? undefined
  const name = named[key]
  if (!kind) {
    const texts = isRecord(name) && Object.values(name).every((entry) => typeof entry === 'string')
    if (!texts || Object.keys(name).length === 0) return {problem: '"labels" must be an object of labels, one at least'}
    return checkedLabels(name as Record<string, string>, inside)
  }
  if (typeof name !== 'string' || name === '') return {problem: `"${key}" must be the name of a ${kind}`}
  return checked({kind, name, ...(inside === undefined ? {} : {container: inside})})
}

/** Reads a target in either form. */
export function readTarget(value: unknown): TargetReading {
  if (typeof value === 'string') return readTargetText(value)
  if (isRecord(value)) return readTargetObject(value)
  return {problem: `expected a target: ${shape}`}
}

/** The target as text, in the grammar that `readTargetText` reads. */
export function formatTarget(target: TargetPath): string {
  if (target.kind === 'targetless') return 'targetless'
  const name = target.kind === 'label' ? labelText(target.labels) : target.name
  return `${target.kind}/${name}${target.container === undefined ? '' : `/container/${target.container}`}`
}

/** The target as a file writes it: the word targetless, or an object that `readTargetObject` reads. */
export function targetObject(target: TargetPath): unknown {
  if (target.kind === 'targetless') return 'targetless'
  const container = target.container ?? null
  if (target.kind === 'label') return {labels: target.labels, container}
  const key = Object.keys(keys).find((candidate) => keys[candidate] === target.kind)!
  return {[key]: target.name, container}
}

const labelText = (labels: Record<string, string>) =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')

function checked(target: Extract<TargetPath, {name: string}>): TargetReading {
  for (const key of ['name', 'container'] as const) {
    const name = target[key]
    if (name === undefined || objectName.test(name)) continue
    const what = key === 'name' ? target.kind : key
    return {
      problem: `the name of the ${what} cannot be a name in Kubernetes: small letters, digits, "-" and "." are allowed`,
    }
  }
  return {target}
}

function checkedLabels(labels: Record<string, string>, container: string | undefined): TargetReading {
  for (const [key, value] of Object.entries(labels)) {
    const [name = '', prefix, ...rest] = key.split('/').reverse()
    const fine = rest.length === 0 && labelPart.test(name) && (prefix === undefined || objectName.test(prefix))
    if (!fine) return {problem: 'the target has a name of a label that Kubernetes does not allow'}
    if (value !== '' && !labelPart.test(value)) {
      return {problem: 'the target has a value of a label that Kubernetes does not allow'}
    }
  }
  if (container !== undefined && !objectName.test(container)) {
    return {problem: 'the name of the container cannot be a name in Kubernetes'}
  }
  return {target: {kind: 'label', labels, ...(container === undefined ? {} : {container})}}
}
