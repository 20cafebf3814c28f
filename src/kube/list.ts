import type {Cluster} from './cluster.ts'
import {isStatus} from './errors.ts'
import type {List} from './objects.ts'

/** How many objects one answer holds (as upstream asks, agent.md 1.10). */
const PAGE = 500

/** Which objects to list. */
export interface ListRequest {
  api: string
  resource: string
  namespace?: string
  labelSelector?: string
  fieldSelector?: string
  signal?: AbortSignal
}

/**
 * What `pick` makes of every object of a collection, in the server's order. Asks page by page, so that no answer is large;
 * where the pages grow too old meanwhile (410 after some minutes), asks again for the whole. Throws what requests throw.
 */
export async function listAll<T, R>(
  cluster: Cluster,
  request: ListRequest,
  pick: (object: T) => readonly R[],
): Promise<R[]> {
  const {signal, labelSelector, fieldSelector, ...collection} = request
  const page = (query: {limit?: number; continue?: string}) =>
    cluster.client.json<List<T>>({
      operation: {verb: 'list', ...collection},
      query: {labelSelector, fieldSelector, ...query},
      signal,
    })
  const found: R[] = []
  let from: string | undefined
  try {
    do {
      const {items, metadata} = await page({limit: PAGE, continue: from})
      for (const item of items) found.push(...pick(item))
      from = metadata?.continue || undefined
    } while (from !== undefined)
    return found
  } catch (error) {
    if (from === undefined || !isStatus(error, 410)) throw error
    const {items} = await page({})
    return items.flatMap((item) => pick(item))
  }
}
