import {isStatus, type Cluster} from '../kube/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'

/** What was found out about the operator of a cluster. */
export type Discovery =
  {present: false} | {present: true; version: string; licence?: {organization?: string; expireAt?: string}}

interface OperatorObject {
  spec?: {
    operator_version?: unknown
    license?: {organization?: string; expire_at?: string}
  }
}

const api = 'operator.metalbear.co/v1'

/**
 * Looks for the operator: its status object, and when that is refused, the list of its API's resources (operator.md 1.3).
 * With `required` (configuration `operator: true`) everything but a definite absence is an error; without it an API whose
 * list of resources does not answer either counts as absent. Throws what requests throw, and OPERATOR_UNREADABLE (exit
 * operator) for a status object that is not understood.
 */
export async function discoverOperator(
  cluster: Cluster,
  options: {required?: boolean; signal?: AbortSignal} = {},
): Promise<Discovery> {
  const {signal} = options
  const operation = {verb: 'get', api, resource: 'mirrordoperators', name: 'operator'} as const
  try {
    const {spec} = await cluster.client.json<OperatorObject>({operation, signal})
    if (typeof spec?.operator_version !== 'string') throw unreadable()
    const {organization, expire_at: expireAt} = spec.license ?? {}
    return {present: true, version: spec.operator_version, licence: {organization, expireAt}}
  } catch (error) {
    if (!(await absent(cluster, error, options))) throw error
    return {present: false}
  }
}

/** Whether a refused status object means that there is no operator. A connection that failed never means that. */
async function absent(
  cluster: Cluster,
  refusal: unknown,
  options: {required?: boolean; signal?: AbortSignal},
): Promise<boolean> {
  if (!isApiRefusal(refusal)) return false
  try {
    const {resources = []} = await cluster.client.json<{resources?: {kind?: string; name?: string}[]}>({
      operation: {verb: 'get', api, resource: 'mirrordoperators'},
      path: `/apis/${api}`,
      signal: options.signal,
    })
    const served = resources.some(({kind, name}) => kind === 'MirrordOperator' && !name?.includes('/'))
    return !served && options.required !== true
  } catch (error) {
    options.signal?.throwIfAborted()
    return isStatus(error, 404) || options.required !== true
  }
}

function isApiRefusal(error: unknown): boolean {
  return error instanceof MirrordError && 'status' in error
}

function unreadable(): MirrordError {
  return new MirrordError({
    code: 'OPERATOR_UNREADABLE',
    exit: 'operator',
    what: 'The operator of this cluster answered something that is not understood.',
    next: [
      'Set "operator": false in the configuration to run without it.',
      'Check the operator with: kubectl get --raw /apis/operator.metalbear.co/v1/mirrordoperators/operator',
    ],
  })
}
