import {everyResource, resourceOfKind} from '../api/custom.ts'
import {R} from '../api/resources.ts'
import {now} from '../api/store.ts'
import {remove} from '../api/writes.ts'
import type {Obj} from '../api/types.ts'
import type {Controller, ControllerContext} from './controller.ts'
import {Queue} from './queue.ts'

/** Deletes what lost its last owner, finishes foreground and orphan deletions, and empties namespaces under deletion. */
export function garbage({store}: ControllerContext): Controller {
  const stored = () => everyResource(store).filter((resource) => !resource.viewOf)
  const dependents = (uid: string) =>
    stored().flatMap((resource) =>
      store
        .list<Obj>(resource)
        .filter((object) => object.metadata.ownerReferences?.some((ref) => ref.uid === uid))
        .map((object) => ({resource, object})),
    )

  const owners = new Queue((uid) => {
    for (const {resource, object} of dependents(uid)) {
      const alive = object.metadata.ownerReferences!.some((ref) => {
        const kind = resourceOfKind(store, ref.apiVersion, ref.kind)
        return (
          kind &&
          store.find(kind, kind.namespaced ? object.metadata.namespace : undefined, ref.name)?.metadata.uid === ref.uid
        )
      })
      if (!alive && !object.metadata.deletionTimestamp) remove(store, resource, object, {dryRun: false})
    }
  })

  const drop = (object: Obj, finalizer: string) => {
    const resource = resourceOfKind(store, object.apiVersion, object.kind)!
    const next = store.modify(resource, object, (draft) => {
      draft.metadata.finalizers = draft.metadata.finalizers?.filter((name) => name !== finalizer)
    })
    if (next && !next.metadata.finalizers?.length) store.remove(resource, next)
  }

  const finalizers = new Queue((uid) => {
    for (const resource of stored()) {
      const object = store.list<Obj>(resource).find((o) => o.metadata.uid === uid)
      if (!object?.metadata.deletionTimestamp) continue
      if (object.metadata.finalizers?.includes('orphan')) {
        for (const dependent of dependents(uid)) {
          store.modify(dependent.resource, dependent.object, (draft) => {
            draft.metadata.ownerReferences = draft.metadata.ownerReferences?.filter((ref) => ref.uid !== uid)
          })
        }
        drop(object, 'orphan')
      }
      if (!object.metadata.finalizers?.includes('foregroundDeletion')) continue
      const blocking = dependents(uid).filter(({object: o}) =>
        o.metadata.ownerReferences!.some((ref) => ref.uid === uid && ref.blockOwnerDeletion),
      )
      for (const dependent of blocking) {
        if (!dependent.object.metadata.deletionTimestamp)
          remove(store, dependent.resource, dependent.object, {dryRun: false, propagationPolicy: 'Foreground'})
      }
      if (!blocking.length) drop(object, 'foregroundDeletion')
    }
  })

  const spaces = new Queue((name) => {
    const space = store.find(R.namespaces, undefined, name)
    if (!space?.metadata.deletionTimestamp) return
    let left = 0
    for (const resource of stored().filter((r) => r.namespaced)) {
      for (const object of store.list<Obj>(resource, name)) {
        left++
        if (!object.metadata.deletionTimestamp) remove(store, resource, object, {dryRun: false})
      }
    }
    if (left) return
    store.remove(R.namespaces, space)
  })

  const stop = store.onChange(({type, resource, object, previous}) => {
    const {uid, namespace, deletionTimestamp} = object.metadata
    if (type === 'DELETED') {
      owners.add(uid)
      for (const ref of object.metadata.ownerReferences ?? []) finalizers.add(ref.uid)
      if (namespace && store.find(R.namespaces, undefined, namespace)?.metadata.deletionTimestamp) spaces.add(namespace)
    } else if (deletionTimestamp && object.metadata.finalizers?.length) finalizers.add(uid)
    else if (type === 'ADDED' && object.metadata.ownerReferences?.length)
      for (const ref of object.metadata.ownerReferences) owners.add(ref.uid)
    if (resource === '/namespaces' && deletionTimestamp && !previous?.metadata.deletionTimestamp)
      spaces.add(object.metadata.name)
    if (resource === '/namespaces' && type === 'ADDED') {
      const blank = {namespace: object.metadata.name, uid: '', resourceVersion: '', creationTimestamp: now()}
      setImmediate(() => {
        if (!store.find(R.serviceaccounts, object.metadata.name, 'default')) {
          store.create(R.serviceaccounts, {
            apiVersion: 'v1',
            kind: 'ServiceAccount',
            metadata: {name: 'default', ...blank},
          })
        }
      })
    }
  })
  return {
    close() {
      stop()
      owners.close()
      finalizers.close()
      spaces.close()
    },
  }
}
