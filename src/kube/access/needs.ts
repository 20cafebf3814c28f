import type {Config} from '../../config/index.ts'
import {agentNamespaces} from '../orphans.ts'
import {workloadKinds} from '../workloads.ts'

/** A right without which a run with this configuration fails. */
export interface Need {
  verb: string
  /** API group; empty for the core group. */
  group: string
  /** Resource, with its subresource: `pods/portforward`. */
  resource: string
  /** Undefined for objects of the whole cluster. */
  namespace?: string
  /** What the run does with it, for people. */
  purpose: string
}

/** What of the cluster decides about rights. */
export interface ClusterFacts {
  /** Namespace of the context. */
  namespace: string
  /** Minor version of the server's Kubernetes 1.x, when it is known. */
  minor?: number
}

/** From Kubernetes 1.35 a WebSocket's upgrade is a create too (feature gate AuthorizePodWebsocketUpgradeCreatePermission). */
const UPGRADE_IS_CREATE = 35

/**
 * The rights that a run makes use of, exactly: with each of them it succeeds, without any one of them it fails (agent.md 6,
 * but only what our own calls need). What only makes errors more telling (events, logs, nodes, namespaces) is left out. With
 * `orphans` those of `ci stop --orphans` too.
 */
export function accessNeeds(config: Config, facts: ClusterFacts, options: {orphans?: boolean} = {}): Need[] {
  return unique([...runNeeds(config, facts), ...(options.orphans ? orphanNeeds(config, facts) : [])])
}

function runNeeds(config: Config, facts: ClusterFacts): Need[] {
  const {agent, target, profile} = config
  const {path} = target
  const targeted = path !== undefined && path.kind !== 'targetless'
  const there = target.namespace ?? facts.namespace
  const needs = targeted ? [...targetNeeds(path, there)] : []
  if (profile !== undefined) needs.push(profileNeed(profile))
  if (agent.ephemeral && targeted) {
    for (const verb of ['get', 'update'])
      needs.push({verb, group: '', resource: 'pods/ephemeralcontainers', namespace: there, purpose: 'add the agent'})
    return [...needs, ...podNeeds(there, facts)]
  }
  const namespace = targeted ? (agent.namespace ?? facts.namespace) : there
  return [
    ...needs,
    {verb: 'create', group: 'batch', resource: 'jobs', namespace, purpose: 'start the agent'},
    {verb: 'delete', group: 'batch', resource: 'jobs', namespace, purpose: 'end the agent'},
    ...podNeeds(namespace, facts),
  ]
}

/** The rights of `ci stop --orphans`, besides those of a run. */
function orphanNeeds(config: Config, facts: ClusterFacts): Need[] {
  return agentNamespaces(config, facts.namespace).flatMap((namespace) => {
    const purpose = 'find what dead runners left'
    return [
      {verb: 'list', group: 'batch', resource: 'jobs', namespace, purpose},
      {verb: 'list', group: '', resource: 'pods', namespace, purpose},
      {verb: 'delete', group: 'batch', resource: 'jobs', namespace, purpose: 'remove what dead runners left'},
    ]
  })
}

function* targetNeeds(path: NonNullable<Config['target']['path']>, namespace: string): Generator<Need> {
  const purpose = 'find the target'
  if (path.kind === 'pod') yield {verb: 'get', group: '', resource: 'pods', namespace, purpose}
  if (path.kind === 'pod' || path.kind === 'targetless') return
  if (path.kind !== 'label') {
    const {api, resource} = workloadKinds[path.kind]
    yield {verb: 'get', group: groupOf(api), resource, namespace, purpose}
  }
  yield {verb: 'list', group: '', resource: 'pods', namespace, purpose}
}

/** Following the agent's pod, reaching it, and waiting for its end. */
function podNeeds(namespace: string, {minor}: ClusterFacts): Need[] {
  const of = (verb: string, resource: string, purpose: string) => ({verb, group: '', resource, namespace, purpose})
  return [
    of('watch', 'pods', 'follow the agent'),
    of('list', 'pods', 'wait for the end of the agent'),
    of('get', 'pods/portforward', 'reach the agent'),
    ...(minor === undefined || minor >= UPGRADE_IS_CREATE
      ? [of('create', 'pods/portforward', 'reach the agent (from Kubernetes 1.35 on)')]
      : []),
  ]
}

/** `NAME` is a profile of the cluster, `NAMESPACE/NAME` one of a namespace (docs/profiles.md). */
function profileNeed(profile: string): Need {
  const [namespace, name] = profile.split('/')
  const group = 'profiles.mirrord.metalbear.co'
  const purpose = 'read the profile'
  return name === undefined
    ? {verb: 'get', group, resource: 'mirrordclusterprofiles', purpose}
    : {verb: 'get', group, resource: 'mirrordprofiles', namespace, purpose}
}

const groupOf = (api: string) => (api.includes('/') ? api.split('/')[0]! : '')

/** Two purposes of one right are one need. */
function unique(needs: readonly Need[]): Need[] {
  const found = new Map<string, Need>()
  for (const need of needs) {
    const key = [need.namespace, need.group, need.resource, need.verb].join('\0')
    const known = found.get(key)
    found.set(key, known ? {...known, purpose: `${known.purpose}; ${need.purpose}`} : need)
  }
  return [...found.values()]
}
