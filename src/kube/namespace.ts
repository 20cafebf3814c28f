import {nearest} from '../config/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'
import type {Cluster} from './cluster.ts'
import {isStatus} from './errors.ts'
import type {List, ObjectMeta} from './objects.ts'

/** Questions that only make an error more telling have this long, in milliseconds. */
const HINT_MS = 5000
/** How many names a hint looks at. */
const HINT_NAMES = 500

/** Names of the objects of a collection, for a hint; undefined where they cannot be listed. */
export async function existingNames(
  cluster: Cluster,
  api: string,
  resource: string,
  namespace?: string,
): Promise<string[] | undefined> {
  try {
    const {items} = await cluster.client.json<List<{metadata?: ObjectMeta}>>({
      operation: {verb: 'list', api, resource, namespace},
      query: {limit: HINT_NAMES},
      timeoutMs: HINT_MS,
    })
    return items.map(({metadata}) => metadata?.name ?? '')
  } catch {
    return undefined // Only a hint is lost: the error that is being explained counts.
  }
}

/**
 * The error NAMESPACE_NOT_FOUND (exit targetNotFound) when a namespace does not exist; undefined when it does, or when the
 * credentials may not look. Collections of a namespace that does not exist answer as empty ones, single objects as missing.
 */
export async function missingNamespace(cluster: Cluster, namespace: string): Promise<MirrordError | undefined> {
  const exists = await cluster.client
    .json({operation: {verb: 'get', api: 'v1', resource: 'namespaces', name: namespace}, timeoutMs: HINT_MS})
    .then(() => true)
    .catch((error: unknown) => !isStatus(error, 404))
  if (exists) return undefined
  const near = nearest(namespace, (await existingNames(cluster, 'v1', 'namespaces')) ?? [])
  return new MirrordError({
    code: 'NAMESPACE_NOT_FOUND',
    exit: 'targetNotFound',
    what: `There is no namespace "${namespace}" in the cluster of the context "${cluster.context}".`,
    next: [...didYouMean(near), 'Choose it with --target-namespace, or choose another cluster with --context.'],
  })
}

/** A hint with the names that may have been meant; none when there are none. */
export function didYouMean(names: readonly string[]): string[] {
  return names.length === 0 ? [] : [`Did you mean ${names.map((name) => `"${name}"`).join(' or ')}?`]
}
