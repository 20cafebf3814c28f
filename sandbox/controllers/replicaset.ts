import {R} from '../api/resources.ts'
import type {Pod, ReplicaSet} from '../api/types.ts'
import type {Controller, ControllerContext} from './controller.ts'
import {createPod, deletePod, isActive, isReady, ownedBy, ownerOf} from './pods.ts'
import {Queue, keyFor, splitKey} from './queue.ts'

/** Which pods go first when there are too many: unscheduled, not ready, youngest. */
const rank = (pod: Pod) => (pod.spec.nodeName ? 2 : 0) + (isReady(pod) ? 1 : 0)

/** Keeps the number of pods of a ReplicaSet. */
export function replicaSets(context: ControllerContext): Controller {
  const {store, recorder, admit} = context
  const events = recorder('replicaset-controller')
  const queue = new Queue((key) => {
    const set = store.find<ReplicaSet>(R.replicasets, ...splitKey(key))
    if (!set) return
    const pods = ownedBy<Pod>(store, R.pods, set)
    const active = pods.filter(isActive)
    const missing = set.spec.replicas - active.length
    if (!set.metadata.deletionTimestamp) {
      for (let i = 0; i < missing; i++) active.push(createPod(store, events, admit, set, set.spec.template))
      if (missing < 0) {
        const order = [...active].sort(
          (a, b) => rank(a) - rank(b) || (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? 1 : -1),
        )
        for (const pod of order.slice(0, -missing)) deletePod(store, events, set, pod)
      }
    }
    const counted = ownedBy<Pod>(store, R.pods, set).filter(isActive)
    const ready = counted.filter(isReady).length
    store.modify<ReplicaSet>(R.replicasets, set, (draft) => {
      draft.status = {
        replicas: counted.length,
        ...(counted.length && {fullyLabeledReplicas: counted.length}),
        ...(ready && {readyReplicas: ready, availableReplicas: ready}),
        observedGeneration: draft.metadata.generation,
      }
    })
  })
  const stop = store.onChange(({resource, object}) => {
    if (resource === 'apps/replicasets') queue.add(keyFor(object.metadata))
    const owner = resource === '/pods' ? ownerOf(object) : undefined
    if (owner?.kind === 'ReplicaSet') queue.add(`${object.metadata.namespace}/${owner.name}`)
  })
  return {
    close() {
      stop()
      queue.close()
    },
  }
}
