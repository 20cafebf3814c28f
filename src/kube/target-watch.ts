import {setTimeout as pause} from 'node:timers/promises'
import {MirrordError} from '../errors/mirrord-error.ts'
import {deferred} from '../util/time.ts'
import type {Cluster} from './cluster.ts'
import {isStatus} from './errors.ts'
import {listAll} from './list.ts'
import type {Pod} from './objects.ts'
import {resolveTarget, type ResolvedTarget} from './target.ts'
import type {NamedTarget} from './target-refusals.ts'
import {watch} from './watch.ts'

/** What makes a pod of a workload ready is an event of the pod; what makes a workload have other pods may be none. */
const lookAgainMs = 2000
/** Changes come in bursts: one look for all of them. */
const gatherMs = 50

/**
 * Resolves when the target's pod begins to go away, or has gone, with why in words. Rejects with the signal's reason, and with
 * what requests throw: a 403 where pods of the target's namespace may not be watched.
 */
export async function podLeaves(
  cluster: Cluster,
  {name, namespace, uid}: Pick<ResolvedTarget, 'name' | 'namespace' | 'uid'>,
  signal: AbortSignal,
): Promise<string> {
  const pods = {api: 'v1', resource: 'pods', namespace, fieldSelector: `metadata.name=${name}`, signal}
  let seen = uid === undefined
  for await (const {type, object: pod} of watch<Pod>(cluster, pods)) {
    const {metadata, status} = pod
    if (uid !== undefined && metadata?.uid !== uid) {
      // A watch may begin at a state of long ago, with the pod that had the name before.
      if (seen) return 'another pod has its name now'
      continue
    }
    seen = true
    if (type === 'DELETED') return 'it was deleted'
    if (metadata?.deletionTimestamp) return 'it is being deleted'
    if (status?.phase === 'Failed' || status?.phase === 'Succeeded')
      return ['it has ended', status.reason, status.message].filter(Boolean).join(': ')
  }
  throw new Error('The watch ended.')
}

/**
 * Whether the target's container still runs in its pod, ready or not: the rules of an agent that was killed keep the probes from
 * the program, so that waiting for a ready pod could be for ever. False also where pods may not be listed. Throws what requests throw.
 */
export async function stillRuns(
  cluster: Cluster,
  {name, namespace, uid, container, containerId}: ResolvedTarget,
  signal: AbortSignal,
): Promise<boolean> {
  const pods = {api: 'v1', resource: 'pods', namespace, fieldSelector: `metadata.name=${name}`, signal}
  const [pod] = await listAll(cluster, pods, (found: Pod): Pod[] => [found]).catch((error: unknown) => {
    if (isStatus(error, 403)) return []
    throw error
  })
  if (!pod || pod.metadata?.uid !== uid || pod.metadata?.deletionTimestamp) return false
  const status = pod.status?.containerStatuses?.find((found) => found.name === container)
  return status?.state?.running !== undefined && (status.containerID ?? '').endsWith(`://${containerId}`)
}

/**
 * Waits until the target has a ready pod, none of those to avoid. Rejects with the signal's reason, and with what
 * `resolveTarget` throws for a target that does not exist any more, except for a pod: one of the same name may follow.
 */
export async function awaitTarget(
  cluster: Cluster,
  target: NamedTarget,
  namespace: string | undefined,
  {signal, avoid}: {signal: AbortSignal; avoid?: readonly string[]},
): Promise<ResolvedTarget> {
  const stop = new AbortController()
  const ended = AbortSignal.any([signal, stop.signal])
  let changed = deferred<void>()
  const pods = {api: 'v1', resource: 'pods', namespace: namespace ?? cluster.namespace, signal: ended}
  const watching = (async () => {
    for await (const _ of watch<Pod>(cluster, pods)) changed.resolve()
  })()
  // Without the right to watch, and after what broke the stream, the clock is left.
  watching.catch(() => undefined)
  try {
    for (;;) {
      changed = deferred<void>()
      try {
        return await resolveTarget(cluster, target, namespace, {signal, avoid})
      } catch (error) {
        if (!mayFollow(error, target)) throw error
      }
      await Promise.race([changed.promise, pause(lookAgainMs, undefined, {signal: ended})])
      await pause(gatherMs, undefined, {signal})
    }
  } finally {
    stop.abort()
  }
}

function mayFollow(error: unknown, target: NamedTarget): boolean {
  if (!(error instanceof MirrordError)) return false
  const {code} = error.report
  return code === 'TARGET_NOT_READY' || (code === 'TARGET_NOT_FOUND' && target.kind === 'pod')
}
