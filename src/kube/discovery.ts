import type {Cluster} from './cluster.ts'
import {isStatus} from './errors.ts'

/**
 * Whether the server does not serve a group and version (`argoproj.io/v1alpha1`); false when it cannot be asked. Every
 * authenticated user may ask (role system:discovery), while a list of what is not served is forbidden before it is missing.
 */
export function missingApi({client}: Cluster, api: string): Promise<boolean> {
  return client.json({operation: {verb: 'get', api, resource: ''}, path: `/apis/${api}`}).then(
    () => false,
    (error: unknown) => isStatus(error, 404),
  )
}
