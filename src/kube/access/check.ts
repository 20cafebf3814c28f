import type {Config} from '../../config/index.ts'
import {MirrordError} from '../../errors/mirrord-error.ts'
import type {Cluster, ServerVersion} from '../cluster.ts'
import {minorVersion} from '../server-version.ts'
import {accessNeeds, type Need} from './needs.ts'
import {reviewAccess} from './review.ts'

/** The right in words: `create jobs.batch in the namespace "ci"`. */
export function describeNeed({verb, group, resource, namespace}: Need): string {
  return `${verb} ${resource}${group ? `.${group}` : ''}${namespace === undefined ? '' : ` in the namespace "${namespace}"`}`
}

/**
 * Refuses a run whose credentials lack a right, before anything is made. Throws FORBIDDEN (exit forbidden) with every missing
 * right at once, and what requests throw.
 */
export async function checkAccess(cluster: Cluster, config: Config, version: ServerVersion): Promise<void> {
  const needs = accessNeeds(config, {namespace: cluster.namespace, minor: minorVersion(version)})
  const missing = (await reviewAccess(cluster, needs)).filter(({verdict}) => verdict === 'denied')
  if (missing.length === 0) return
  throw accessMissing(missing)
}

/** The error FORBIDDEN (exit forbidden) that names these rights. */
export function accessMissing(missing: readonly Need[]): MirrordError {
  const [only] = missing
  const single = missing.length === 1
  return new MirrordError({
    code: 'FORBIDDEN',
    exit: 'forbidden',
    what: single
      ? `The credentials may not ${describeNeed(only!)}.`
      : `The credentials lack ${missing.length} rights that this run needs.`,
    why: single ? `It is needed to ${only!.purpose}.` : 'They are listed below.',
    next: [
      'See what is missing, and print a role that grants it: mirrord doctor --rbac, with the flags of this command.',
      "Give that to the cluster's administrator: mirrord doctor --rbac … | kubectl apply -f -",
    ],
    ...(single ? {} : {detail: missing.map((need) => `${describeNeed(need)}: to ${need.purpose}`).join('\n')}),
  })
}
