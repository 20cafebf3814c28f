import {formatProfile, nearest, type ProfileReference} from '../config/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'
import type {Cluster} from './cluster.ts'
import {isStatus} from './errors.ts'
import {didYouMean, existingNames, missingNamespace} from './namespace.ts'

/** Group and version of both kinds of profiles; the chart of upstream's operator installs their definitions. */
const api = 'profiles.mirrord.metalbear.co/v1alpha'

/**
 * The `spec` of a profile object, not looked at: MirrordProfile of a namespace, else MirrordClusterProfile. Throws a
 * MirrordError: PROFILE_NOT_FOUND or PROFILES_NOT_INSTALLED (exit configNotFound), NAMESPACE_NOT_FOUND (exit
 * targetNotFound), and those of requests (exit forbidden where it may not be read).
 */
export async function fetchProfile(
  cluster: Cluster,
  reference: ProfileReference,
  options: {signal?: AbortSignal} = {},
): Promise<unknown> {
  const {name, namespace} = reference
  const resource = namespace === undefined ? 'mirrordclusterprofiles' : 'mirrordprofiles'
  try {
    const operation = {verb: 'get', api, resource, namespace, name} as const
    const {spec} = await cluster.client.json<{spec?: unknown}>({operation, signal: options.signal})
    return spec
  } catch (error) {
    if (isStatus(error, 404)) throw await notFound(cluster, reference, resource)
    throw error
  }
}

/** A kind that is not installed answers 404 as well, but has no list either. */
async function notFound(cluster: Cluster, reference: ProfileReference, resource: string): Promise<MirrordError> {
  const {name, namespace} = reference
  const installed = await cluster.client
    .json({operation: {verb: 'list', api, resource, namespace}, query: {limit: 1}, timeoutMs: 5000})
    .then(() => true)
    .catch((error: unknown) => !isStatus(error, 404))
  if (!installed) {
    return new MirrordError({
      code: 'PROFILES_NOT_INSTALLED',
      exit: 'configNotFound',
      what: `The cluster of the context "${cluster.context}" has no profiles, and the configuration names "${formatProfile(reference)}".`,
      why: `The CustomResourceDefinition ${resource}.${api.split('/')[0]} is not installed.`,
      next: [
        "Install it: it comes with the chart of mirrord's operator, and is in docs/profiles.md.",
        'Or leave "profile" out of the configuration.',
      ],
    })
  }
  const noNamespace = namespace === undefined ? undefined : await missingNamespace(cluster, namespace)
  if (noNamespace) return noNamespace
  const existing = await existingNames(cluster, api, resource, namespace)
  const near = nearest(name, existing ?? []).map((found) => formatProfile({...reference, name: found}))
  const where = namespace === undefined ? '' : ` -n ${namespace}`
  return new MirrordError({
    code: 'PROFILE_NOT_FOUND',
    exit: 'configNotFound',
    what:
      namespace === undefined
        ? `There is no profile "${name}" in the cluster of the context "${cluster.context}".`
        : `There is no profile "${name}" in the namespace "${namespace}".`,
    why:
      existing === undefined
        ? undefined
        : existing.length === 0
          ? 'There is none at all.'
          : `There is: ${existing.slice(0, 10).join(', ')}${existing.length > 10 ? ', …' : ''}.`,
    next: [...didYouMean(near), `See what there is: kubectl get ${resource}${where}`],
  })
}
