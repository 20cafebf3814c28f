import type {ServerResponse} from 'node:http'

import {groupVersion} from './resources.ts'
import type {Resource} from './resources.ts'
import {parseFieldSelector, parseLabelSelector} from './selectors.ts'
import {badRequest, expired} from './status.ts'
import {keyOf} from './store.ts'
import type {Change, Store} from './store.ts'
import {partial, toTable} from './tables.ts'
import type {JsonObject, KubeEvent, Obj} from './types.ts'

/** How answers are to be shaped, from the Accept header. */
export interface Shape {
  as: 'object' | 'table' | 'partial'
  include: string | null
}

/** Picks the first form of the Accept header that we have. */
export function shapeOf(accept: string | undefined, query: URLSearchParams): Shape {
  const include = query.get('includeObject')
  for (const entry of (accept ?? '').split(',')) {
    if (!/application\/json|\*\/\*/.test(entry)) continue
    if (/;\s*as=Table/.test(entry)) return {as: 'table', include}
    if (/;\s*as=PartialObjectMetadata(List)?/.test(entry)) return {as: 'partial', include}
    break
  }
  return {as: 'object', include}
}

/** events.k8s.io/v1 form of a core event. */
function toNewEvent(event: KubeEvent): Obj {
  const {involvedObject, message, source, firstTimestamp, lastTimestamp, count, ...rest} = event
  return {
    ...rest,
    apiVersion: 'events.k8s.io/v1',
    regarding: involvedObject,
    note: message,
    eventTime: null,
    deprecatedSource: source,
    deprecatedFirstTimestamp: firstTimestamp,
    deprecatedLastTimestamp: lastTimestamp,
    deprecatedCount: count,
  }
}

function convert(resource: Resource, object: Obj): Obj {
  if (resource.viewOf) return toNewEvent(object as KubeEvent)
  // The versions of a definition differ in their names only.
  return resource.schema ? {...object, apiVersion: groupVersion(resource)} : object
}
const stored = (resource: Resource) =>
  resource.viewOf ? {group: resource.viewOf.split('/')[0]!, plural: resource.viewOf.split('/')[1]!} : resource

/** One object in the asked shape. */
export function present(resource: Resource, object: Obj, shape: Shape): unknown {
  if (object.kind !== resource.kind) return object
  const converted = convert(resource, object)
  if (shape.as === 'table') {
    return toTable(resource, [converted], {resourceVersion: object.metadata.resourceVersion}, shape.include)
  }
  return shape.as === 'partial' ? partial(converted) : converted
}

/** The test that label and field selectors of a query make. Throws 400. */
export function filterOf(
  resource: Resource,
  namespace: string | undefined,
  query: URLSearchParams,
): (object: Obj) => boolean {
  const labels = parseLabelSelector(query.get('labelSelector') ?? '')
  const fields = parseFieldSelector(query.get('fieldSelector') ?? '', resource.fields ?? [])
  return (object) => {
    if (namespace && object.metadata.namespace !== namespace) return false
    return labels(object.metadata.labels ?? {}) && fields(convert(resource, object))
  }
}

/** GET of a collection: selectors, `limit` and `continue`. Throws 400 and, for a broken continue token, 410. */
export function list(
  store: Store,
  resource: Resource,
  namespace: string | undefined,
  query: URLSearchParams,
  shape: Shape,
): unknown {
  const matches = filterOf(resource, namespace, query)
  let objects = store.list(stored(resource), namespace).filter(matches)
  const metadata: JsonObject = {resourceVersion: String(store.version)}
  const limit = Number(query.get('limit') ?? 0)
  const token = query.get('continue')
  if (token) {
    const after = Buffer.from(token, 'base64url').toString()
    if (!after.startsWith('after ')) throw expired('The provided continue parameter is too old')
    objects = objects.filter((object) => `${object.metadata.namespace ?? ''}/${object.metadata.name}` > after.slice(6))
  }
  if (limit > 0 && objects.length > limit) {
    const last = objects[limit - 1]!.metadata
    metadata.continue = Buffer.from(`after ${last.namespace ?? ''}/${last.name}`).toString('base64url')
    metadata.remainingItemCount = objects.length - limit
    objects = objects.slice(0, limit)
  }
  const items = objects.map((object) => convert(resource, object))
  if (shape.as === 'table') return toTable(resource, items, metadata, shape.include)
  if (shape.as === 'partial') {
    return {kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1', metadata, items: items.map(partial)}
  }
  // Items of a typed list carry no kind of their own, as with a real server.
  const bare = items.map(({kind: _, apiVersion: __, ...rest}) => rest)
  // Those of custom resources do.
  const shown = resource.schema ? items : bare
  return {kind: `${resource.kind}List`, apiVersion: groupVersion(resource), metadata, items: shown}
}

/**
 * Watch: a stream of one JSON event a line. Starts after `resourceVersion`, or with all present objects when that is
 * absent, 0, or `sendInitialEvents` is asked. An object that leaves the selection is DELETED for this watcher, one that
 * enters it is ADDED. Ends at `timeoutSeconds` or when the client goes; a client that does not read is cut off.
 */
export function watch(
  store: Store,
  resource: Resource,
  namespace: string | undefined,
  query: URLSearchParams,
  shape: Shape,
  response: ServerResponse,
): void {
  const matches = filterOf(resource, namespace, query)
  const source = stored(resource)
  const key = keyOf(source)
  const from = query.get('resourceVersion') ?? ''
  const initial = query.get('sendInitialEvents') === 'true'
  if (from && !/^\d+$/.test(from))
    throw badRequest(`resourceVersion: Invalid value: "${from}": strconv.ParseUint: parsing "${from}": invalid syntax`)
  const replay = initial || from === '' || from === '0'
  const backlog = replay ? [] : store.since(key, Number(from))

  let first = true
  const send = (type: string, object: unknown) => {
    response.write(JSON.stringify({type, object}) + '\n')
    // A reader that has stopped would let the queue grow for ever; real servers end such a watch too.
    if (response.writableLength > 8 * 1024 * 1024) response.destroy()
  }
  const show = (type: string, object: Obj) => {
    const converted = convert(resource, object)
    if (shape.as === 'table') {
      const body = toTable(
        resource,
        [converted],
        {resourceVersion: object.metadata.resourceVersion},
        shape.include,
        first,
      )
      first = false
      send(type, body)
    } else send(type, shape.as === 'partial' ? partial(converted) : converted)
  }
  const bookmark = (annotations?: Record<string, string>) =>
    send('BOOKMARK', {
      kind: resource.kind,
      apiVersion: groupVersion(resource),
      metadata: {resourceVersion: String(store.version), creationTimestamp: null, ...(annotations && {annotations})},
    })
  const pass = (change: Change) => {
    const is = matches(change.object)
    const was = change.previous ? matches(change.previous) : false
    if (change.type === 'DELETED') {
      if (was) show('DELETED', change.object)
    } else if (is) show(was ? 'MODIFIED' : 'ADDED', change.object)
    else if (was)
      show('DELETED', {
        ...change.previous!,
        metadata: {...change.previous!.metadata, resourceVersion: change.object.metadata.resourceVersion},
      })
  }

  response.writeHead(200, {'content-type': 'application/json', 'cache-control': 'no-cache, private'})
  response.flushHeaders()
  if (replay) for (const object of store.list(source, namespace).filter(matches)) show('ADDED', object)
  for (const change of backlog) pass(change)
  if (initial) bookmark({'k8s.io/initial-events-end': 'true'})

  const stop = store.onChange((change) => {
    if (change.resource === key) pass(change)
  })
  const beat = query.get('allowWatchBookmarks') === 'true' ? setInterval(() => bookmark(), 60_000) : undefined
  const seconds = Number(query.get('timeoutSeconds') ?? 0) || 1800 + Math.random() * 1800
  const timer = setTimeout(() => response.end(), seconds * 1000)
  response.on('close', () => {
    stop()
    clearTimeout(timer)
    clearInterval(beat)
  })
}
