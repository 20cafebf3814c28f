import {R} from '../api/resources.ts'
import {now} from '../api/store.ts'
import {remove} from '../api/writes.ts'
import type {Condition, Job, Pod} from '../api/types.ts'
import type {Controller, ControllerContext} from './controller.ts'
import {createPod, isActive, isReady, ownedBy, ownerOf} from './pods.ts'
import {Queue, keyFor, splitKey} from './queue.ts'

/** The labels that a Job's pods carry; both generations, as current clusters write both. */
export const jobLabels = (job: Job): Record<string, string> => ({
  'batch.kubernetes.io/controller-uid': job.metadata.uid,
  'batch.kubernetes.io/job-name': job.metadata.name,
  'controller-uid': job.metadata.uid,
  'job-name': job.metadata.name,
})

const finished = (job: Job) =>
  job.status?.conditions?.some((c) => c.status === 'True' && ['Complete', 'Failed'].includes(c.type)) ?? false

/** Runs Jobs to completion or failure, and removes them after their time to live. */
export function jobs({store, recorder, admit}: ControllerContext): Controller {
  const events = recorder('job-controller')

  function expire(job: Job, key: string): void {
    const ttl = job.spec.ttlSecondsAfterFinished
    if (ttl === undefined || job.metadata.deletionTimestamp) return
    const end = job.status?.conditions?.find((c) => c.status === 'True' && ['Complete', 'Failed'].includes(c.type))
    const left = Date.parse(end?.lastTransitionTime ?? now()) + ttl * 1000 - Date.now()
    if (left > 0) queue.later(key, left)
    else remove(store, R.jobs, job, {dryRun: false, propagationPolicy: 'Background'})
  }

  const queue = new Queue((key) => {
    const job = store.find<Job>(R.jobs, ...splitKey(key))
    if (!job) return
    if (finished(job)) return expire(job, key)
    if (job.metadata.deletionTimestamp) return
    const pods = ownedBy<Pod>(store, R.pods, job)
    const succeeded = pods.filter((pod) => pod.status.phase === 'Succeeded').length
    const failed = pods.filter((pod) => pod.status.phase === 'Failed').length
    const active = pods.filter(isActive)
    const {completions, parallelism, backoffLimit, activeDeadlineSeconds} = job.spec
    const startTime = job.status?.startTime ?? now()
    const left =
      activeDeadlineSeconds === undefined ? Infinity : Date.parse(startTime) + activeDeadlineSeconds * 1000 - Date.now()
    let outcome: Condition | undefined
    if (left <= 0)
      outcome = {
        type: 'Failed',
        status: 'True',
        reason: 'DeadlineExceeded',
        message: 'Job was active longer than specified deadline',
      }
    else if (failed > backoffLimit)
      outcome = {
        type: 'Failed',
        status: 'True',
        reason: 'BackoffLimitExceeded',
        message: 'Job has reached the specified backoff limit',
      }
    else if (completions === undefined ? succeeded > 0 && !active.length : succeeded >= completions) {
      outcome = {
        type: 'Complete',
        status: 'True',
        reason: 'CompletionsReached',
        message: 'Reached expected number of succeeded pods',
      }
    }
    if (left > 0 && left !== Infinity) queue.later(key, left)
    if (outcome) for (const pod of active) remove(store, R.pods, pod, {dryRun: false})
    else if (!job.spec.suspend) {
      const open = completions === undefined ? (succeeded ? 0 : parallelism) : completions - succeeded
      const wanted = Math.min(parallelism, open) - active.length
      // After a failure the next pod waits: 10 s, doubled each time, as the real controller does.
      const last = Math.max(0, ...pods.filter((pod) => pod.status.phase === 'Failed').map((pod) => lastEnd(pod)))
      const pause = failed ? last + 10_000 * 2 ** (failed - 1) - Date.now() : 0
      if (wanted > 0 && pause > 0) queue.later(key, pause)
      else for (let i = 0; i < wanted; i++) active.push(createPod(store, events, admit, job, job.spec.template))
    }
    if (outcome)
      events.record(
        job,
        outcome.type === 'Complete' ? 'Normal' : 'Warning',
        outcome.type === 'Complete' ? 'Completed' : outcome.reason!,
        outcome.type === 'Complete' ? 'Job completed' : outcome.message!,
      )
    const time = now()
    store.modify<Job>(R.jobs, job, (draft) => {
      const ready = active.filter(isReady).length
      draft.status = {
        ...draft.status,
        startTime,
        active: outcome ? undefined : active.length || undefined,
        ready: outcome ? 0 : ready,
        terminating: 0,
        succeeded: succeeded || undefined,
        failed: failed || undefined,
        uncountedTerminatedPods: {},
        ...(outcome && {
          conditions: [
            ...(draft.status?.conditions ?? []),
            {...outcome, lastProbeTime: time, lastTransitionTime: time},
          ],
        }),
        ...(outcome?.type === 'Complete' && {completionTime: time}),
      }
    })
  })
  const stop = store.onChange(({resource, object}) => {
    if (resource === 'batch/jobs') queue.add(keyFor(object.metadata))
    const owner = resource === '/pods' ? ownerOf(object) : undefined
    if (owner?.kind === 'Job') queue.add(`${object.metadata.namespace}/${owner.name}`)
  })
  return {
    close() {
      stop()
      queue.close()
    },
  }
}

/** When the last container of a pod ended, in milliseconds. */
const lastEnd = (pod: Pod): number =>
  Math.max(
    0,
    ...(pod.status.containerStatuses ?? []).map((c) =>
      Date.parse(c.state.terminated?.finishedAt ?? '1970-01-01T00:00:00Z'),
    ),
  )
