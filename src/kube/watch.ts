import {MirrordError} from '../errors/mirrord-error.ts'
import type {Cluster} from './cluster.ts'
import {apiError, isStatus} from './errors.ts'
import type {Status, WatchEvent} from './objects.ts'
import type {Operation} from './operation.ts'

/** What to watch. */
export interface WatchRequest {
  api: string
  resource: string
  namespace: string
  labelSelector?: string
  fieldSelector?: string
  /** Begin after this version of the collection instead of with what exists. */
  resourceVersion?: string
  signal: AbortSignal
}

/**
 * Begin with whatever state the server has at hand, then every change after it. Without a version the server first makes
 * sure that its state is the newest, which took up to 2.5 s on a busy Kubernetes 1.35; an older state does no harm where
 * the objects are found by a name that was just made up.
 */
const anyVersion = '0'

/**
 * Objects as they are and then as they change, until the signal. Begins with what exists (no separate list request, so
 * the verb `watch` suffices), and begins again when the server ends the stream, as it does every few minutes: the same
 * object may then be seen again. Throws what requests throw, and the signal's reason.
 */
export async function* watch<T>(
  cluster: Cluster,
  request: WatchRequest,
): AsyncGenerator<WatchEvent<T>, void, undefined> {
  const {signal, labelSelector, fieldSelector, resourceVersion, ...object} = request
  let from = resourceVersion ?? anyVersion
  const operation: Operation = {verb: 'watch', ...object}
  for (;;) {
    let received = false
    try {
      const query = {watch: true, labelSelector, fieldSelector, resourceVersion: from}
      for await (const line of cluster.client.lines({operation, query, signal})) {
        received = true
        const event = JSON.parse(line) as WatchEvent<T>
        if (event.type === 'ERROR') {
          const status = event.object as Status
          throw apiError(cluster, operation, status.code ?? 500, status)
        }
        if (event.type !== 'BOOKMARK') yield event
      }
    } catch (error) {
      signal.throwIfAborted()
      // The state to continue from is too old, or a load balancer cut a stream that worked: begin again.
      const cut = received && error instanceof MirrordError && error.report.code === 'CLUSTER_CUT'
      if (!isStatus(error, 410) && !cut) throw error
    }
    signal.throwIfAborted()
    from = anyVersion
  }
}
