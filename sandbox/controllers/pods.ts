import {R} from '../api/resources.ts'
import {applyDefaults} from '../api/defaults.ts'
import {suffix, remove} from '../api/writes.ts'
import type {Store} from '../api/store.ts'
import type {Obj, OwnerReference, Pod, PodTemplate} from '../api/types.ts'
import type {Recorder} from '../kubelet/events.ts'

/** The owner reference that makes `owner` the controller of what carries it. */
export const controllerRef = (owner: Obj): OwnerReference => ({
  apiVersion: owner.apiVersion,
  kind: owner.kind,
  name: owner.metadata.name,
  uid: owner.metadata.uid,
  controller: true,
  blockOwnerDeletion: true,
})

/** The controlling owner's uid, if any. */
export const ownerOf = (object: Obj): OwnerReference | undefined =>
  object.metadata.ownerReferences?.find((ref) => ref.controller)

/** Objects of a resource that `owner` controls. */
export const ownedBy = <T extends Obj>(store: Store, r: {group: string; plural: string}, owner: Obj): T[] =>
  store.list<T>(r, owner.metadata.namespace).filter((object) => ownerOf(object)?.uid === owner.metadata.uid)

/** Pods that count: not ended, not being deleted. */
export const isActive = (pod: Pod): boolean =>
  !pod.metadata.deletionTimestamp && !['Succeeded', 'Failed'].includes(pod.status.phase)

/** Whether the Ready condition holds. */
export const isReady = (pod: Pod): boolean =>
  pod.status.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false

/** Creates a pod from a template for its controller, with the events that real controllers write. Throws what admission throws. */
export function createPod(
  store: Store,
  recorder: Recorder,
  admit: (pod: Pod) => void,
  owner: Obj,
  template: PodTemplate,
): Pod {
  const prefix = `${owner.metadata.name}-`
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: prefix + suffix(),
      generateName: prefix,
      namespace: owner.metadata.namespace,
      labels: {...template.metadata?.labels},
      annotations: template.metadata?.annotations,
      ownerReferences: [controllerRef(owner)],
      uid: '',
      resourceVersion: '',
      creationTimestamp: '',
    },
    spec: structuredClone(template.spec),
    status: {phase: 'Pending'},
  }
  applyDefaults(R.pods, pod)
  try {
    admit(pod)
  } catch (error) {
    recorder.record(owner, 'Warning', 'FailedCreate', `Error creating: ${(error as Error).message}`)
    throw error // the controller tries again
  }
  const made = store.create(R.pods, pod)
  recorder.record(owner, 'Normal', 'SuccessfulCreate', `Created pod: ${made.metadata.name}`)
  return made
}

/** Deletes a pod gracefully for its controller. */
export function deletePod(store: Store, recorder: Recorder, owner: Obj, pod: Pod): void {
  remove(store, R.pods, pod, {dryRun: false})
  recorder.record(owner, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`)
}
