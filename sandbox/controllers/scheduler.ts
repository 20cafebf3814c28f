import {R} from '../api/resources.ts'
import type {Obj, Pod} from '../api/types.ts'
import {setCondition} from '../kubelet/pod-status.ts'
import type {Controller, ControllerContext} from './controller.ts'
import {Queue, keyFor, splitKey} from './queue.ts'

/** Binds pods to nodes whose labels their nodeSelector asks for. A pod that fits nowhere waits and is tried again. */
export function scheduler({store, recorder}: ControllerContext): Controller {
  const events = recorder('default-scheduler')
  const queue = new Queue((key) => {
    const [namespace, name] = splitKey(key)
    const pod = store.find<Pod>(R.pods, namespace, name)
    if (!pod || pod.spec.nodeName || pod.metadata.deletionTimestamp) return
    const wanted = Object.entries(pod.spec.nodeSelector ?? {})
    const nodes = store.list<Obj>(R.nodes)
    const node = nodes.find((n) => wanted.every(([label, value]) => n.metadata.labels?.[label] === value))
    if (!node) {
      const message = `0/${nodes.length} nodes are available: ${nodes.length} node(s) didn't match Pod's node affinity/selector. preemption: 0/${nodes.length} nodes are available: ${nodes.length} Preemption is not helpful for scheduling.`
      const current = pod.status.conditions?.find((c) => c.type === 'PodScheduled')
      if (current?.message === message) return
      events.record(pod, 'Warning', 'FailedScheduling', message)
      store.modify<Pod>(R.pods, pod, (draft) => {
        draft.status.conditions = setCondition(draft.status.conditions, {
          type: 'PodScheduled',
          status: 'False',
          reason: 'Unschedulable',
          message,
          lastProbeTime: null,
        })
      })
      return
    }
    store.modify<Pod>(R.pods, pod, (draft) => {
      draft.spec.nodeName = node.metadata.name
      draft.status.conditions = setCondition(draft.status.conditions, {
        type: 'PodScheduled',
        status: 'True',
        lastProbeTime: null,
      })
    })
    events.record(pod, 'Normal', 'Scheduled', `Successfully assigned ${namespace}/${name} to ${node.metadata.name}`)
  })
  const stop = store.onChange(({resource, object}) => {
    if (resource === '/pods' && !(object as Pod).spec.nodeName) queue.add(keyFor(object.metadata))
    if (resource === '/nodes')
      for (const pod of store.list<Pod>(R.pods)) if (!pod.spec.nodeName) queue.add(keyFor(pod.metadata))
  })
  return {
    close() {
      stop()
      queue.close()
    },
  }
}
