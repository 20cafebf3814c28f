import {MirrordError} from '../errors/mirrord-error.ts'
import {isRecord} from './meta.ts'
import {nearest} from './nearest.ts'

/** Where the local program belongs: a pod, one ready pod of a deployment, or nowhere in particular. */
export type TargetPath =
  | {kind: 'pod' | 'deployment'; name: string; container?: string}
  | {kind: 'targetless'; name?: undefined; container?: undefined}

/** A target as it was understood, or what is wrong with it. `later`: valid upstream, not available in this version. */
export type TargetReading = {target: TargetPath} | {problem: string; later?: boolean}

const kinds: Record<string, 'pod' | 'deployment'> = {pod: 'pod', deployment: 'deployment', deploy: 'deployment'}
/** Kinds of upstream's grammar that come later; each in its spelling in a text and as an object key. */
const laterKinds: Record<string, string> = {
  rollout: 'rollout',
  job: 'job',
  cronjob: 'cron_job',
  statefulset: 'stateful_set',
  service: 'service',
  replicaset: 'replica_set',
  label: 'labels',
}
/** What Kubernetes allows in names; the longest form, DNS subdomains. It also keeps names from changing a request's path. */
export const objectName = /^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/
const shape = 'pod/<name>, deployment/<name>, each optionally with /container/<container>, or targetless'

/** Reads a target text of the grammar `targetless` | `<kind>/<name>[/container/<container>]` (agent.md 1.1). */
export function readTargetText(text: string): TargetReading {
  if (text === 'targetless') return {target: {kind: 'targetless'}}
  const [kind = '', name, keyword, container, ...rest] = text.split('/')
  if (name === undefined) {
    if (text === '') return {problem: `the target is empty; write ${shape}`}
    if (kind in kinds || kind in laterKinds) return {problem: `the target "${text}" lacks a name; write ${kind}/<name>`}
    return {problem: `the target "${text}" has no kind; did you mean pod/${text} or deployment/${text}?`}
  }
  if (kind in laterKinds) return laterKind(kind)
  if (!(kind in kinds)) {
    const [guess] = nearest(kind, Object.keys(kinds), 1)
    return {
      problem: `"${kind}" in the target "${text}" is no kind of target; ${guess ? `did you mean ${guess}/${name}?` : `write ${shape}`}`,
    }
  }
  const excess = rest.length > 0 || (keyword !== undefined && (keyword !== 'container' || container === undefined))
  if (excess || name === '' || container === '') return {problem: `the target "${text}" is malformed; write ${shape}`}
  return checked({kind: kinds[kind]!, name, ...(container === undefined ? {} : {container})})
}

/** Reads a target object of a file: `{pod: name}` or `{deployment: name}`, with an optional `container`. */
export function readTargetObject(value: Record<string, unknown>): TargetReading {
  const {container, ...named} = value
  const keys = Object.keys(named)
  const key = keys[0]
  if (keys.length !== 1 || key === undefined) {
    return {problem: 'a target object names exactly one of pod and deployment, and optionally container'}
  }
  const later = Object.entries(laterKinds).find(([, objectKey]) => objectKey === key)
  if (later) return laterKind(later[0])
  if (key !== 'pod' && key !== 'deployment') {
    const [guess] = nearest(key, ['pod', 'deployment', 'container'], 1)
    return {
      problem: `unknown key "${key}"${guess ? `; did you mean "${guess}"?` : '; known: pod, deployment, container'}`,
    }
  }
  const name = named[key]
  if (typeof name !== 'string' || name === '') return {problem: `"${key}" must be the name of a ${key}`}
  if (container === undefined || container === null) return checked({kind: key, name})
  if (typeof container !== 'string' || container === '') return {problem: '"container" must be the name of a container'}
  return checked({kind: key, name, container})
}

/** Reads a target in either form. */
export function readTarget(value: unknown): TargetReading {
  if (typeof value === 'string') return readTargetText(value)
  if (isRecord(value)) return readTargetObject(value)
  return {problem: `expected a target: ${shape}`}
}

/**
 * Reads a target text. Throws a MirrordError: TARGET_INVALID (exit configInvalid) when it is malformed, with the likely
 * meaning; TARGET_KIND_UNSUPPORTED (exit configUnsupported) for a kind that comes later.
 */
export function parseTarget(text: string): TargetPath {
  const reading = readTargetText(text)
  if ('target' in reading) return reading.target
  throw new MirrordError({
    code: reading.later ? 'TARGET_KIND_UNSUPPORTED' : 'TARGET_INVALID',
    exit: reading.later ? 'configUnsupported' : 'configInvalid',
    what: 'The target cannot be used.',
    why: `${reading.problem[0]!.toUpperCase()}${reading.problem.slice(1)}${/[.?]$/.test(reading.problem) ? '' : '.'}`,
    next: [`Name the target as ${shape}.`],
  })
}

/** The target as text, in the grammar that `parseTarget` reads. */
export function formatTarget(target: TargetPath): string {
  if (target.kind === 'targetless') return 'targetless'
  return `${target.kind}/${target.name}${target.container === undefined ? '' : `/container/${target.container}`}`
}

function checked(target: Exclude<TargetPath, {kind: 'targetless'}>): TargetReading {
  for (const name of [target.name, target.container]) {
    if (name === undefined || objectName.test(name)) continue
    return {problem: `"${name}" cannot be a name in Kubernetes: small letters, digits, "-" and "." are allowed`}
  }
  return {target}
}

function laterKind(kind: string): TargetReading {
  return {problem: `targets of the kind "${kind}" come in a later version; use a pod or a deployment`, later: true}
}
