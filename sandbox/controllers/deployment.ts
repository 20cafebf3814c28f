import {createHash} from 'node:crypto'
import {isDeepStrictEqual} from 'node:util'

import {R} from '../api/resources.ts'
import {now} from '../api/store.ts'
import type {Condition, Deployment, ReplicaSet} from '../api/types.ts'
import {setCondition} from '../kubelet/pod-status.ts'
import type {Controller, ControllerContext} from './controller.ts'
import {controllerRef, ownedBy, ownerOf} from './pods.ts'
import {Queue, keyFor, splitKey} from './queue.ts'

const HASH = 'pod-template-hash'
const REVISION = 'deployment.kubernetes.io/revision'

/** A number or a percentage of `total`. */
function amount(value: number | string | undefined, total: number, round: (n: number) => number): number {
  if (typeof value === 'number') return value
  return round((Number.parseFloat(value ?? '0') / 100) * total)
}

const hash = (template: unknown) => createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, 10)
const revision = (set: ReplicaSet) => Number(set.metadata.annotations?.[REVISION] ?? 0)

function withoutHash(set: ReplicaSet): unknown {
  const template = structuredClone(set.spec.template)
  delete template.metadata?.labels?.[HASH]
  return template
}

/** Rolls pods from one ReplicaSet to the next within maxSurge and maxUnavailable. */
export function deployments({store, recorder}: ControllerContext): Controller {
  const events = recorder('deployment-controller')

  function newSet(deployment: Deployment, sets: ReplicaSet[]): ReplicaSet {
    const {template, selector} = deployment.spec
    const found = sets.find((set) => isDeepStrictEqual(withoutHash(set), template))
    const next = Math.max(0, ...sets.map(revision)) + 1
    if (found) {
      if (revision(found) === next - 1) return found
      return store.modify<ReplicaSet>(R.replicasets, found, (draft) => {
        draft.metadata.annotations = {...draft.metadata.annotations, [REVISION]: String(next)}
      })!
    }
    const id = hash(template)
    const labels = {...template.metadata?.labels, [HASH]: id}
    return store.create<ReplicaSet>(R.replicasets, {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name: `${deployment.metadata.name}-${id}`,
        namespace: deployment.metadata.namespace,
        labels,
        annotations: {
          [REVISION]: String(next),
          'deployment.kubernetes.io/desired-replicas': String(deployment.spec.replicas),
        },
        ownerReferences: [controllerRef(deployment)],
        uid: '',
        resourceVersion: '',
        creationTimestamp: '',
      },
      spec: {
        replicas: 0,
        selector: {...selector, matchLabels: {...selector.matchLabels, [HASH]: id}},
        template: {...template, metadata: {...template.metadata, labels}},
      },
      status: {replicas: 0},
    })
  }

  function scale(deployment: Deployment, set: ReplicaSet, replicas: number): void {
    if (set.spec.replicas === replicas) return
    const way = replicas > set.spec.replicas ? 'up' : 'down'
    events.record(
      deployment,
      'Normal',
      'ScalingReplicaSet',
      `Scaled ${way} replica set ${set.metadata.name} from ${set.spec.replicas} to ${replicas}`,
    )
    store.modify<ReplicaSet>(R.replicasets, set, (draft) => {
      draft.spec.replicas = replicas
    })
  }

  function roll(deployment: Deployment, current: ReplicaSet, old: ReplicaSet[]): void {
    const want = deployment.spec.replicas
    const {type, rollingUpdate} = deployment.spec.strategy
    const oldPods = old.reduce((sum, set) => sum + Math.max(set.spec.replicas, set.status?.replicas ?? 0), 0)
    if (type === 'Recreate') {
      for (const set of old) scale(deployment, set, 0)
      if (oldPods === 0) scale(deployment, current, want)
      return
    }
    let unavailable = amount(rollingUpdate?.maxUnavailable, want, Math.floor)
    const surge = amount(rollingUpdate?.maxSurge, want, Math.ceil)
    if (!unavailable && !surge) unavailable = 1
    const total = old.reduce((sum, set) => sum + set.spec.replicas, 0)
    if (current.spec.replicas > want) scale(deployment, current, want)
    else {
      const room = want + surge - total - current.spec.replicas
      scale(deployment, current, Math.min(want, current.spec.replicas + Math.max(0, room)))
    }
    const available =
      (current.status?.availableReplicas ?? 0) + old.reduce((sum, set) => sum + (set.status?.availableReplicas ?? 0), 0)
    let spare = available - (want - unavailable)
    for (const set of [...old].sort((a, b) => revision(a) - revision(b))) {
      if (!set.spec.replicas) continue
      // Pods that never became ready go first and cost nothing.
      const idle = set.spec.replicas - (set.status?.availableReplicas ?? 0)
      const go = Math.min(set.spec.replicas, idle + Math.max(0, spare))
      spare -= Math.max(0, go - idle)
      scale(deployment, set, set.spec.replicas - go)
    }
  }

  const queue = new Queue((key) => {
    const deployment = store.find<Deployment>(R.deployments, ...splitKey(key))
    if (!deployment || deployment.metadata.deletionTimestamp) return
    const sets = ownedBy<ReplicaSet>(store, R.replicasets, deployment)
    const current = newSet(deployment, sets)
    const old = sets.filter((set) => set.metadata.uid !== current.metadata.uid)
    if (!deployment.spec.paused) roll(deployment, current, old)
    const spent = old
      .filter((set) => !set.spec.replicas && !set.status?.replicas)
      .sort((a, b) => revision(a) - revision(b))
    for (const set of spent.slice(0, Math.max(0, spent.length - (deployment.spec.revisionHistoryLimit ?? 10))))
      store.remove(R.replicasets, set)
    publish(deployment, current)
  })

  function publish(deployment: Deployment, current: ReplicaSet): void {
    const sets = ownedBy<ReplicaSet>(store, R.replicasets, deployment)
    const sum = (field: 'replicas' | 'readyReplicas' | 'availableReplicas') =>
      sets.reduce((total, set) => total + (set.status?.[field] ?? 0), 0)
    const fresh = sets.find((set) => set.metadata.uid === current.metadata.uid)
    const want = deployment.spec.replicas
    const [replicas, ready, available] = [sum('replicas'), sum('readyReplicas'), sum('availableReplicas')]
    const updated = fresh?.status?.replicas ?? 0
    const least = want - amount(deployment.spec.strategy.rollingUpdate?.maxUnavailable, want, Math.floor)
    const complete = updated === want && available === want && replicas === want
    const set = (list: Condition[] | undefined, condition: Condition) => {
      const old = list?.find((c) => c.type === condition.type)
      const same =
        old?.status === condition.status && old.reason === condition.reason && old.message === condition.message
      return setCondition(list, {...condition, lastUpdateTime: same ? old.lastUpdateTime : now()})
    }
    store.modify<Deployment>(R.deployments, deployment, (draft) => {
      draft.metadata.annotations = {...draft.metadata.annotations, [REVISION]: String(revision(fresh ?? current))}
      let conditions = set(draft.status?.conditions, {
        type: 'Available',
        status: available >= least ? 'True' : 'False',
        reason: available >= least ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
        message:
          available >= least
            ? 'Deployment has minimum availability.'
            : 'Deployment does not have minimum availability.',
      })
      conditions = set(conditions, {
        type: 'Progressing',
        status: 'True',
        reason: complete ? 'NewReplicaSetAvailable' : 'ReplicaSetUpdated',
        message: `ReplicaSet "${current.metadata.name}" ${complete ? 'has successfully progressed.' : 'is progressing.'}`,
      })
      draft.status = {
        observedGeneration: draft.metadata.generation,
        ...(replicas && {replicas}),
        ...(updated && {updatedReplicas: updated}),
        ...(ready && {readyReplicas: ready}),
        ...(available && {availableReplicas: available}),
        ...(want > available && {unavailableReplicas: want - available}),
        conditions,
      }
    })
  }

  const stop = store.onChange(({resource, object}) => {
    if (resource === 'apps/deployments') queue.add(keyFor(object.metadata))
    const owner = resource === 'apps/replicasets' ? ownerOf(object) : undefined
    if (owner?.kind === 'Deployment') queue.add(`${object.metadata.namespace}/${owner.name}`)
  })
  return {
    close() {
      stop()
      queue.close()
    },
  }
}
