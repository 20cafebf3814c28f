import {MirrordError} from '../errors/mirrord-error.ts'
import {compareTexts} from '../util/compare-texts.ts'
import type {Cluster} from './cluster.ts'
import type {KubeEvent, List} from './objects.ts'

const limitMs = 3000

/** Options of look-ups that only enrich an error: they never fail, and take little time. */
export interface LookUp {
  signal?: AbortSignal
}

/**
 * The events of one object as lines `Warning FailedCreate: …`, oldest first, repeated ones once. Empty when there are
 * none or the credentials may not read events.
 */
export async function eventLines(
  cluster: Cluster,
  namespace: string,
  name: string,
  options: LookUp = {},
): Promise<string[]> {
  try {
    const {items} = await cluster.client.json<List<KubeEvent>>({
      operation: {verb: 'list', api: 'v1', resource: 'events', namespace},
      query: {fieldSelector: `involvedObject.name=${name}`},
      timeoutMs: limitMs,
      signal: options.signal,
    })
    const time = (event: KubeEvent) => event.lastTimestamp ?? event.eventTime ?? ''
    const lines = items
      .sort((a, b) => compareTexts(time(a), time(b)))
      .map(({type, reason, message}) => `${type} ${reason}: ${message?.trim()}`)
    return [...new Set(lines)]
  } catch {
    return []
  }
}

/** The last lines of a container's log, and why there are no more of them (it is gone, missing rights). Never throws. */
export async function logTail(
  cluster: Cluster,
  at: {namespace: string; pod: string; container: string},
  count = 20,
  options: LookUp = {},
): Promise<{lines: string[]; failure?: string}> {
  const lines: string[] = []
  const signal = options.signal
    ? AbortSignal.any([options.signal, AbortSignal.timeout(limitMs)])
    : AbortSignal.timeout(limitMs)
  try {
    const operation = {verb: 'get', api: 'v1', resource: 'pods/log', namespace: at.namespace, name: at.pod} as const
    const query = {container: at.container, tailLines: count}
    for await (const line of cluster.client.lines({operation, query, timeoutMs: limitMs, signal})) lines.push(line)
    return {lines}
  } catch (error) {
    // What arrived before is worth showing.
    return {lines, failure: error instanceof MirrordError ? error.report.what : (error as Error).message}
  }
}
