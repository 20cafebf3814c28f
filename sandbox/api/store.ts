import {randomUUID} from 'node:crypto'
import {EventEmitter} from 'node:events'
import {isDeepStrictEqual} from 'node:util'

import {alreadyExists, conflict, expired, notFound} from './status.ts'
import type {ResourceName} from './status.ts'
import type {Obj} from './types.ts'

export interface Change {
  type: 'ADDED' | 'MODIFIED' | 'DELETED'
  /** `<group>/<plural>` */
  resource: string
  object: Obj
  previous?: Obj
  version: number
}

/** How many changes a watch may lie behind before it gets 410 and has to list again. */
const HISTORY = 20_000

export const keyOf = (r: {group: string; plural: string}) => `${r.group}/${r.plural}`
const rowKey = (namespace: string | undefined, name: string) => `${namespace ?? ''}/${name}`

/** Current time as the API writes it: whole seconds, UTC. */
export const now = (): string => new Date().toISOString().replace(/\.\d+Z$/, 'Z')

/**
 * All objects of the cluster, in memory. Objects are replaced, never changed: whoever got one may keep it. Every write
 * gets the next resourceVersion and is announced to the listeners of `onChange` in order.
 */
export class Store {
  private readonly tables = new Map<string, Map<string, Obj>>()
  private readonly emitter = new EventEmitter().setMaxListeners(0)
  private history: Change[] = []
  private counter = 1

  /** The newest resourceVersion. */
  get version(): number {
    return this.counter
  }

  private table(resource: string): Map<string, Obj> {
    let table = this.tables.get(resource)
    if (!table) this.tables.set(resource, (table = new Map<string, Obj>()))
    return table
  }

  /** Calls `listener` for every later change; returns the function that ends it. */
  onChange(listener: (change: Change) => void): () => void {
    this.emitter.on('change', listener)
    return () => this.emitter.off('change', listener)
  }

  /** Changes of one resource after `version`, oldest first. Throws 410 when they are no longer all known. */
  since(resource: string, version: number): Change[] {
    const oldest = this.history[0]?.version ?? this.counter
    if (version + 1 < oldest && this.history.length >= HISTORY) {
      throw expired(`too old resource version: ${version} (${oldest})`)
    }
    return this.history.filter((change) => change.version > version && change.resource === resource)
  }

  private announce(change: Change): void {
    this.history.push(change)
    if (this.history.length > HISTORY + 1000) this.history = this.history.slice(-HISTORY)
    this.emitter.emit('change', change)
  }

  /** The object, or undefined. */
  find<T extends Obj>(r: {group: string; plural: string}, namespace: string | undefined, name: string): T | undefined {
    return this.table(keyOf(r)).get(rowKey(namespace, name)) as T | undefined
  }

  /** The object. Throws 404. */
  get<T extends Obj>(r: ResourceName, namespace: string | undefined, name: string): T {
    const object = this.find<T>(r, namespace, name)
    if (!object) throw notFound(r, name)
    return object
  }

  /** All objects of a resource, of one namespace or of all, ordered by namespace and name as etcd orders them. */
  list<T extends Obj>(r: {group: string; plural: string}, namespace?: string): T[] {
    const all = [...this.table(keyOf(r)).entries()]
    const chosen = namespace ? all.filter(([, object]) => object.metadata.namespace === namespace) : all
    return chosen.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object as T)
  }

  /** Adds an object: uid, creationTimestamp and resourceVersion are set here. Throws 409. */
  create<T extends Obj>(r: ResourceName, object: T): T {
    const table = this.table(keyOf(r))
    const key = rowKey(object.metadata.namespace, object.metadata.name)
    if (table.has(key)) throw alreadyExists(r, object.metadata.name)
    const version = ++this.counter
    const made = JSON.parse(
      JSON.stringify({
        ...object,
        metadata: {
          ...object.metadata,
          uid: object.metadata.uid || randomUUID(),
          creationTimestamp: object.metadata.creationTimestamp || now(),
          resourceVersion: String(version),
          ...(object.spec !== undefined && {generation: 1}),
        },
      }),
    ) as T
    table.set(key, made)
    this.announce({type: 'ADDED', resource: keyOf(r), object: made, version})
    return made
  }

  /**
   * Replaces an object. A resourceVersion in it must be the current one (409 otherwise). Nothing happens when nothing
   * differs. The generation rises with the spec.
   */
  update<T extends Obj>(r: ResourceName, object: T): T {
    const current = this.get<T>(r, object.metadata.namespace, object.metadata.name)
    const given = object.metadata.resourceVersion
    if (given && given !== current.metadata.resourceVersion) throw conflict(r, object.metadata.name)
    if (object.metadata.uid && object.metadata.uid !== current.metadata.uid) {
      const why = `Precondition failed: UID in precondition: ${object.metadata.uid}, UID in object meta: ${current.metadata.uid}`
      throw conflict(r, object.metadata.name, why)
    }
    const {uid, creationTimestamp, generation, resourceVersion} = current.metadata
    const changedSpec = JSON.stringify(object.spec) !== JSON.stringify(current.spec)
    const metadata = {
      ...object.metadata,
      uid,
      creationTimestamp,
      resourceVersion,
      ...(generation !== undefined && {generation: changedSpec ? generation + 1 : generation}),
    }
    // Through JSON: an undefined field and an absent one are the same.
    const next = JSON.parse(JSON.stringify({...object, metadata})) as T
    if (isDeepStrictEqual(next, current)) return current
    const version = ++this.counter
    next.metadata.resourceVersion = String(version)
    this.table(keyOf(r)).set(rowKey(next.metadata.namespace, next.metadata.name), next)
    this.announce({type: 'MODIFIED', resource: keyOf(r), object: next, previous: current, version})
    return next
  }

  /** Reads, lets `change` edit a copy, writes. Returns undefined when the object is gone (or another with its name). */
  modify<T extends Obj>(r: ResourceName, object: Obj, change: (draft: T) => void): T | undefined {
    const current = this.find<T>(r, object.metadata.namespace, object.metadata.name)
    if (!current || current.metadata.uid !== object.metadata.uid) return undefined
    const draft = structuredClone(current)
    change(draft)
    return this.update(r, draft)
  }

  /** Removes an object for good and announces it. Returns its last form. */
  remove<T extends Obj>(r: ResourceName, object: T): T | undefined {
    const key = rowKey(object.metadata.namespace, object.metadata.name)
    const current = this.table(keyOf(r)).get(key) as T | undefined
    if (!current || current.metadata.uid !== object.metadata.uid) return undefined
    this.table(keyOf(r)).delete(key)
    const version = ++this.counter
    const last: T = {...current, metadata: {...current.metadata, resourceVersion: String(version)}}
    this.announce({type: 'DELETED', resource: keyOf(r), object: last, previous: current, version})
    return last
  }
}
