import {MirrordError} from '../errors/mirrord-error.ts'
import type {Origin} from './assemble.ts'
import {isRecord} from './meta.ts'
import {nearest} from './nearest.ts'
import {formatProfile, type ProfileReference} from './profile-reference.ts'
import {recheck, type ResolvedConfig} from './resolve.ts'

/** The values that a change sets, by dotted path; undefined clears a key. */
type Change = Readonly<Record<string, unknown>>

const network = 'feature.network'
const incoming = (mode: string): Change => ({[`${network}.incoming.mode`]: mode})
const dns = (enabled: boolean): Change => ({
  [`${network}.dns.enabled`]: enabled,
  [`${network}.dns.filter`]: undefined,
})
const outgoing = (on: boolean): Change => ({
  [`${network}.outgoing.tcp`]: on,
  [`${network}.outgoing.udp`]: on,
  [`${network}.outgoing.filter`]: undefined,
  [`${network}.outgoing.unix_streams`]: on ? ['.*'] : undefined,
})

/** Every change that a profile can ask for, as its objects spell it (config.md 2.8). */
export const profileChanges: Readonly<Record<string, Change>> = {
  'incoming-mirror': incoming('mirror'),
  'incoming-steal': incoming('steal'),
  'incoming-off': incoming('off'),
  'dns-remote': dns(true),
  'dns-off': dns(false),
  'outgoing-remote': outgoing(true),
  'outgoing-off': outgoing(false),
}

/**
 * The configuration as the profile that it names changes it: its adjustments in their order, over every other source; the
 * namespace of a namespaced one becomes the target's. Also tells the changes by name. `spec` is the object's, as the cluster gave it. The result is checked
 * like any configuration. Throws a MirrordError: PROFILE_INVALID (exit configInvalid) for what is not known here, with
 * every place; CONFIG_INVALID and CONFIG_UNSUPPORTED as `resolveConfig`, with the origin `profile NAME`.
 */
export function applyProfile(
  resolved: ResolvedConfig,
  reference: ProfileReference,
  spec: unknown,
): {resolved: ResolvedConfig; changes: string[]} {
  const name = formatProfile(reference)
  const origin: Origin = `profile ${name}`
  const changes = readChanges(name, spec)
  const config = structuredClone(resolved.given)
  const origins = new Map([...resolved.origins].filter(([, origin]) => origin !== 'default'))
  const set = (path: string, value: unknown) => {
    const keys = path.split('.')
    const last = keys.pop()!
    const section = keys.reduce<Record<string, unknown>>((node, key) => node[key] as Record<string, unknown>, config)
    if (value === undefined) delete section[last]
    else section[last] = structuredClone(value)
    origins.set(path, origin)
  }
  if (reference.namespace !== undefined && config.target.namespace === undefined)
    set('target.namespace', reference.namespace)
  for (const change of changes) {
    for (const [path, value] of Object.entries(profileChanges[change]!)) set(path, value)
  }
  return {resolved: recheck(resolved, config, origins), changes}
}

/** The names of the changes of a profile's spec. Throws PROFILE_INVALID. */
function readChanges(name: string, spec: unknown): string[] {
  const problems: string[] = []
  const changes: string[] = []
  const unknown = (value: Record<string, unknown>, known: string, path: string) => {
    for (const key of Object.keys(value)) if (key !== known) problems.push(`${path}.${key}: is not known here`)
  }
  if (!isRecord(spec)) throw invalid(name, ['spec: expected an object'])
  unknown(spec, 'featureAdjustments', 'spec')
  const {featureAdjustments: list} = spec
  if (!Array.isArray(list)) throw invalid(name, [...problems, 'spec.featureAdjustments: expected a list'])
  for (const [index, adjustment] of (list as unknown[]).entries()) {
    const path = `spec.featureAdjustments[${index}]`
    if (!isRecord(adjustment)) {
      problems.push(`${path}: expected an object`)
      continue
    }
    unknown(adjustment, 'change', path)
    const {change} = adjustment
    if (typeof change === 'string' && Object.hasOwn(profileChanges, change)) changes.push(change)
    else problems.push(`${path}.change: ${unknownChange(change)}`)
  }
  if (problems.length > 0) throw invalid(name, problems)
  return changes
}

function unknownChange(change: unknown): string {
  const names = Object.keys(profileChanges)
  if (typeof change !== 'string') return `expected one of ${names.join(', ')}`
  const [near] = nearest(change, names, 1)
  return `"${change.slice(0, 60)}" is not known here; ${near ? `did you mean "${near}"?` : `known: ${names.join(', ')}`}`
}

function invalid(name: string, problems: readonly string[]): MirrordError {
  const resource = name.includes('/') ? `-n ${name.replace('/', ' mirrordprofile ')}` : `mirrordclusterprofile ${name}`
  return new MirrordError({
    code: 'PROFILE_INVALID',
    exit: 'configInvalid',
    what: `The profile "${name}" cannot be applied.`,
    why: problems.length === 1 ? `${problems[0]}${problems[0]!.endsWith('?') ? '' : '.'}` : undefined,
    next: [
      `Correct it with: kubectl edit ${resource}`,
      'Or install a newer mirrord: the profile may ask for something that this version does not know.',
    ],
    detail: problems.length === 1 ? undefined : problems.join('\n'),
  })
}
