import {R} from '../api/resources.ts'
import {now} from '../api/store.ts'
import type {Store} from '../api/store.ts'
import type {KubeEvent, Obj, ObjectReference} from '../api/types.ts'

let last = 0n

/** Nanoseconds since 1970, never twice: listed by name, the events of an object are in order, as with client-go. */
function serial(): bigint {
  const time = BigInt(Date.now()) * 1_000_000n
  last = time > last ? time : last + 1n
  return last
}

/** A reference to an object, as events and endpoints carry it. */
export const reference = (object: Obj, fieldPath?: string): ObjectReference => ({
  kind: object.kind,
  apiVersion: object.apiVersion,
  name: object.metadata.name,
  namespace: object.metadata.namespace,
  uid: object.metadata.uid,
  resourceVersion: object.metadata.resourceVersion,
  ...(fieldPath && {fieldPath}),
})

/** Writes events; the same event again counts up, as the client-go recorder does it. */
export class Recorder {
  private readonly store: Store
  private readonly source: {component: string; host?: string}
  private readonly names = new Map<string, KubeEvent>()

  constructor(store: Store, component: string, host?: string) {
    this.store = store
    this.source = {component, ...(host && {host})}
  }

  /** Records that something happened to `object`; `fieldPath` names one of its containers. */
  record(object: Obj, type: 'Normal' | 'Warning', reason: string, message: string, fieldPath?: string): void {
    const namespace = object.metadata.namespace ?? 'default'
    const space = this.store.find(R.namespaces, undefined, namespace)
    if (!space || space.metadata.deletionTimestamp) return
    const key = [object.metadata.uid, type, reason, message, fieldPath].join('\n')
    const known = this.names.get(key)
    const time = now()
    const again =
      known &&
      this.store.modify<KubeEvent>(R.events, known, (draft) => {
        draft.count++
        draft.lastTimestamp = time
      })
    if (again) return
    const event: KubeEvent = {
      kind: 'Event',
      apiVersion: 'v1',
      metadata: {
        name: `${object.metadata.name}.${serial().toString(16)}`,
        namespace,
        uid: '',
        resourceVersion: '',
        creationTimestamp: '',
      },
      involvedObject: reference(object, fieldPath),
      reason,
      message,
      source: this.source,
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
      type,
      eventTime: null,
      reportingComponent: this.source.component,
      reportingInstance: this.source.host ?? '',
    }
    this.names.set(key, this.store.create(R.events, event))
  }
}
