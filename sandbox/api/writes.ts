import {randomInt} from 'node:crypto'

import {applyDefaults} from './defaults.ts'
import {applyPatch} from './patch.ts'
import {groupVersion, R} from './resources.ts'
import type {Resource} from './resources.ts'
import {badRequest, conflict, invalid, methodNotAllowed, notFound, refused, success} from './status.ts'
import type {StatusBody} from './status.ts'
import {now} from './store.ts'
import type {Store} from './store.ts'
import type {Target} from './request.ts'
import type {Deployment, Obj, Pod} from './types.ts'
import {validate} from './validate.ts'

/** What the API server asks of the rest of the cluster while it stores something. */
export interface Hooks {
  /** Completes an object at creation: cluster IPs, service account, job selectors. May throw an ApiError. */
  admit(resource: Resource, object: Obj): void
}

export interface WriteOptions {
  dryRun: boolean
}

const SUFFIX = 'bcdfghjklmnpqrstvwxz2456789'

/** Random characters of the alphabet that Kubernetes uses for generated names (no vowels). */
export const suffix = (length = 5): string => Array.from({length}, () => SUFFIX[randomInt(SUFFIX.length)]).join('')

function asObject(target: Target, body: unknown): Obj {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw badRequest('the request body is not an object')
  const object = structuredClone(body) as Obj
  const {resource} = target
  object.apiVersion ??= groupVersion(resource)
  object.kind ??= resource.kind
  if (object.kind !== resource.kind || object.apiVersion !== groupVersion(resource)) {
    throw badRequest(
      `${object.kind} in version "${object.apiVersion}" cannot be handled as a ${resource.kind}: expected ${groupVersion(resource)}, Kind=${resource.kind}`,
    )
  }
  object.metadata ??= {} as Obj['metadata']
  const given = object.metadata.namespace
  if (resource.namespaced && given && given !== target.namespace) {
    throw badRequest(`the namespace of the provided object does not match the namespace sent on the request`)
  }
  if (resource.namespaced) object.metadata.namespace = target.namespace
  return object
}

/** POST of a collection. Throws 400, 403 (namespace being deleted), 404 (no namespace), 409, 422. */
export function create(store: Store, hooks: Hooks, target: Target, body: unknown, options: WriteOptions): Obj {
  const {resource, namespace} = target
  if (target.name || (resource.namespaced && !namespace)) throw methodNotAllowed()
  const object = asObject(target, body)
  const meta = object.metadata
  if (meta.resourceVersion) throw badRequest('resourceVersion should not be set on objects to be created')
  if (!meta.name && meta.generateName) meta.name = meta.generateName + suffix()
  meta.uid = ''
  meta.creationTimestamp = ''
  delete meta.deletionTimestamp
  delete meta.deletionGracePeriodSeconds
  delete (meta as {managedFields?: unknown}).managedFields
  if (resource.namespaced) {
    const space = store.find(R.namespaces, undefined, namespace!)
    if (!space) throw notFound(R.namespaces, namespace!)
    if (space.metadata.deletionTimestamp) {
      const why = `unable to create new content in namespace ${namespace} because it is being terminated`
      throw refused(resource, meta.name, why, [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${namespace} is being terminated`,
          field: 'metadata.namespace',
        },
      ])
    }
  }
  if (resource.subresources?.status) delete object.status
  applyDefaults(resource, object)
  validate(resource, object)
  hooks.admit(resource, object)
  return options.dryRun
    ? {...object, metadata: {...meta, uid: meta.uid, creationTimestamp: now()}}
    : store.create(resource, object)
}

/** The parts of `next` that a write to `subresource` may change, on top of `current`. */
function scoped(current: Obj, next: Obj, subresource: string | undefined): Obj {
  const meta = {...next.metadata, namespace: current.metadata.namespace, name: current.metadata.name}
  delete (meta as {managedFields?: unknown}).managedFields
  const {deletionTimestamp, deletionGracePeriodSeconds} = current.metadata
  Object.assign(meta, {deletionTimestamp, deletionGracePeriodSeconds, uid: next.metadata.uid || current.metadata.uid})
  if (subresource === 'status')
    return {...current, metadata: {...current.metadata, resourceVersion: meta.resourceVersion}, status: next.status}
  if (subresource === 'ephemeralcontainers') {
    const {ephemeralContainers} = (next as Pod).spec
    return {
      ...current,
      metadata: {...current.metadata, resourceVersion: meta.resourceVersion},
      spec: {...(current as Pod).spec, ephemeralContainers},
    }
  }
  return {...next, metadata: meta, ...(current.status !== undefined && {status: current.status})}
}

function checkEphemeral(resource: Resource, current: Pod, next: Pod): void {
  const before = current.spec.ephemeralContainers ?? []
  const after = next.spec.ephemeralContainers ?? []
  const field = 'spec.ephemeralContainers'
  for (const old of before) {
    const kept = after.find((c) => c.name === old.name)
    if (!kept) {
      const message = `Forbidden: existing ephemeral containers ${JSON.stringify(old.name)} may not be removed`
      throw invalid(resource, current.metadata.name, [{reason: 'FieldValueForbidden', message, field}])
    }
  }
  for (const [i, container] of after.entries()) {
    const wanted = container.targetContainerName
    if (wanted && !current.spec.containers.some((c) => c.name === wanted)) {
      const message = `Not found: ${JSON.stringify(wanted)}`
      throw invalid(resource, current.metadata.name, [
        {reason: 'FieldValueNotFound', message, field: `${field}[${i}].targetContainerName`},
      ])
    }
  }
}

function commit(store: Store, target: Target, current: Obj, next: Obj, options: WriteOptions): Obj {
  const {resource, subresource} = target
  const object = scoped(current, next, subresource)
  if (object.metadata.resourceVersion && object.metadata.resourceVersion !== current.metadata.resourceVersion) {
    throw conflict(resource, current.metadata.name)
  }
  if (subresource === 'ephemeralcontainers') checkEphemeral(resource, current as Pod, object as Pod)
  else if (subresource !== 'status') {
    applyDefaults(resource, object)
    validate(resource, object, current)
  }
  if (options.dryRun) return object
  const stored = store.update(resource, object)
  const {deletionTimestamp, finalizers} = stored.metadata
  // The last finalizer of an object under deletion was taken away: now it goes.
  if (deletionTimestamp && current.metadata.finalizers?.length && !finalizers?.length && resource !== R.pods)
    store.remove(resource, stored)
  return stored
}

const scaleOf = (object: Deployment): Obj => ({
  kind: 'Scale',
  apiVersion: 'autoscaling/v1',
  metadata: object.metadata,
  spec: {replicas: object.spec.replicas},
  status: {
    replicas: object.status?.replicas ?? 0,
    selector: Object.entries(object.spec.selector.matchLabels ?? {})
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
  },
})

/** What GET of an object or a readable subresource answers. Throws 404. */
export function read(store: Store, target: Target): Obj {
  const object = store.get(target.resource, target.namespace, target.name!)
  return target.subresource === 'scale' ? scaleOf(object as Deployment) : object
}

function writeScale(store: Store, target: Target, current: Obj, scale: Obj, options: WriteOptions): Obj {
  const draft = structuredClone(current) as Deployment
  draft.spec.replicas = (scale.spec as {replicas?: number}).replicas ?? 0
  const {subresource: _, ...whole} = target
  return scaleOf(commit(store, whole, current, draft, options) as Deployment)
}

/** PUT. Throws 400, 404, 409, 422. */
export function replace(store: Store, target: Target, body: unknown, options: WriteOptions): Obj {
  const current = store.get(target.resource, target.namespace, target.name!)
  if (target.subresource === 'scale') return writeScale(store, target, current, body as Obj, options)
  const next = asObject(target, body)
  if (next.metadata.name && next.metadata.name !== target.name) {
    throw badRequest(
      `the name of the object (${next.metadata.name}) does not match the name on the URL (${target.name})`,
    )
  }
  return commit(store, target, current, next, options)
}

/** PATCH of the three classic kinds. Throws 400, 404, 409, 415, 422. */
export function patch(store: Store, target: Target, type: string, body: unknown, options: WriteOptions): Obj {
  const current = store.get(target.resource, target.namespace, target.name!)
  if (target.subresource === 'scale') {
    return writeScale(store, target, current, applyPatch(type, scaleOf(current as Deployment), body) as Obj, options)
  }
  return commit(store, target, current, applyPatch(type, current, body) as Obj, options)
}

export interface DeleteOptions extends WriteOptions {
  gracePeriodSeconds?: number
  propagationPolicy?: string
  orphanDependents?: boolean
  preconditions?: {uid?: string; resourceVersion?: string}
}

/**
 * DELETE of one object. Pods end gracefully (the kubelet removes them), namespaces through their controller, objects with
 * finalizers when the last one goes, everything else at once. Returns the object, or a Status when it is gone.
 */
export function remove(store: Store, resource: Resource, object: Obj, options: DeleteOptions): Obj | StatusBody {
  const {name, uid, resourceVersion} = object.metadata
  const wanted = options.preconditions
  if (wanted?.uid && wanted.uid !== uid) {
    throw conflict(
      resource,
      name,
      `Precondition failed: UID in precondition: ${wanted.uid}, UID in object meta: ${uid}`,
    )
  }
  if (wanted?.resourceVersion && wanted.resourceVersion !== resourceVersion) {
    throw conflict(
      resource,
      name,
      `Precondition failed: ResourceVersion in precondition: ${wanted.resourceVersion}, ResourceVersion in object meta: ${resourceVersion}`,
    )
  }
  if (options.dryRun) return object
  const policy = options.propagationPolicy ?? (options.orphanDependents ? 'Orphan' : 'Background')
  const grace =
    resource === R.pods ? (options.gracePeriodSeconds ?? (object as Pod).spec.terminationGracePeriodSeconds ?? 30) : 0
  const scheduled = resource === R.pods && Boolean((object as Pod).spec.nodeName)
  const finalizer = {Foreground: 'foregroundDeletion', Orphan: 'orphan'}[policy]
  const waits =
    (scheduled && grace > 0) ||
    resource === R.namespaces ||
    Boolean(object.metadata.finalizers?.length) ||
    Boolean(finalizer && resource !== R.pods)
  if (!waits) {
    store.remove(resource, object)
    return resource === R.pods ? object : success(resource, name, uid)
  }
  return store.modify(resource, object, (draft) => {
    const meta = draft.metadata
    const shorter = meta.deletionGracePeriodSeconds !== undefined && grace < meta.deletionGracePeriodSeconds
    if (!meta.deletionTimestamp || shorter) {
      meta.deletionTimestamp = new Date(Date.now() + grace * 1000).toISOString().replace(/\.\d+Z$/, 'Z')
      meta.deletionGracePeriodSeconds = grace
    }
    if (finalizer && resource !== R.pods) meta.finalizers = [...new Set([...(meta.finalizers ?? []), finalizer])]
    if (resource === R.namespaces) draft.status = {phase: 'Terminating'}
  })!
}

/** Reads delete options from a body and the query, which may both carry them. */
export function deleteOptions(body: unknown, query: URLSearchParams): DeleteOptions {
  const given = (body ?? {}) as DeleteOptions & {dryRun?: unknown}
  const seconds = query.get('gracePeriodSeconds')
  return {
    ...given,
    gracePeriodSeconds: given.gracePeriodSeconds ?? (seconds === null ? undefined : Number(seconds)),
    propagationPolicy: given.propagationPolicy ?? query.get('propagationPolicy') ?? undefined,
    dryRun: query.has('dryRun') || Array.isArray(given.dryRun),
  }
}
