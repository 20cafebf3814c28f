import {isDeepStrictEqual} from 'node:util'

import {ApiError, badRequest, unsupportedMediaType} from './status.ts'
import type {Json} from './types.ts'

type Dict = Record<string, Json>
const isDict = (value: unknown): value is Dict => typeof value === 'object' && value !== null && !Array.isArray(value)

/** RFC 7396. */
export function mergePatch(target: Json, patch: Json): Json {
  if (!isDict(patch)) return patch
  const result: Dict = isDict(target) ? {...target} : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = mergePatch(result[key] ?? null, value)
  }
  return result
}

/**
 * Keys by which strategic merge finds the element of a list, by field name; the first key that both sides carry is used.
 * Source: `patchMergeKey` tags of the API types. A list not named here is replaced as a whole.
 */
const MERGE_KEYS: Record<string, string[]> = {
  containers: ['name'],
  initContainers: ['name'],
  ephemeralContainers: ['name'],
  ports: ['containerPort', 'port'],
  env: ['name'],
  volumes: ['name'],
  volumeMounts: ['mountPath'],
  volumeDevices: ['devicePath'],
  imagePullSecrets: ['name'],
  hostAliases: ['ip'],
  topologySpreadConstraints: ['topologyKey'],
  ownerReferences: ['uid'],
  conditions: ['type'],
  addresses: ['type'],
  taints: ['key'],
  secrets: ['name'],
  podIPs: ['ip'],
  hostIPs: ['ip'],
}
/** Lists of plain values that are merged as sets. */
const SETS = new Set(['finalizers'])

function mergeList(field: string, target: Json[], patch: Json[]): Json[] {
  const whole = patch.some((item) => isDict(item) && item.$patch === 'replace')
  const items = patch.filter((item) => !(isDict(item) && item.$patch === 'replace'))
  if (whole) return items
  if (SETS.has(field)) return [...new Set([...target, ...items])]
  const key = MERGE_KEYS[field]?.find((name) => items.every((item) => isDict(item) && name in item))
  if (!key) return items
  const result = [...target]
  for (const item of items as Dict[]) {
    const index = result.findIndex((old) => isDict(old) && isDeepStrictEqual(old[key], item[key]))
    if (item.$patch === 'delete') {
      if (index >= 0) result.splice(index, 1)
    } else if (index >= 0) result[index] = strategicMerge(result[index]!, item)
    else result.push(strategicMerge({}, item))
  }
  return result
}

/** Sorts a merged list into the order that the client asked for; elements it does not name keep their place behind. */
function reorder(field: string, list: Json[], order: Json[]): Json[] {
  const rank = (item: Json) => {
    const index = order.findIndex((wanted) => {
      if (!isDict(wanted)) return isDeepStrictEqual(wanted, item)
      return isDict(item) && Object.entries(wanted).every(([key, value]) => isDeepStrictEqual(item[key], value))
    })
    return index < 0 ? order.length : index
  }
  return list
    .map((item) => ({item, rank: rank(item)}))
    .sort((a, b) => a.rank - b.rank)
    .map(({item}) => item)
}

/** Strategic merge patch with its directives ($patch, $retainKeys, $deleteFromPrimitiveList, $setElementOrder). */
export function strategicMerge(target: Json, patch: Json): Json {
  if (!isDict(patch)) return patch
  if (patch.$patch === 'replace') {
    const {$patch: _, ...rest} = patch
    return rest
  }
  if (patch.$patch === 'delete') return {}
  const result: Dict = isDict(target) ? {...target} : {}
  const retain = patch.$retainKeys
  if (Array.isArray(retain)) for (const key of Object.keys(result)) if (!retain.includes(key)) delete result[key]
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$deleteFromPrimitiveList/')) {
      const field = key.slice(key.indexOf('/') + 1)
      const old = result[field]
      if (Array.isArray(old) && Array.isArray(value)) result[field] = old.filter((item) => !value.includes(item))
    } else if (key.startsWith('$')) continue
    else if (value === null) delete result[key]
    else if (Array.isArray(value)) {
      const old = result[key]
      result[key] = mergeList(key, Array.isArray(old) ? old : [], value)
    } else result[key] = strategicMerge(result[key] ?? {}, value)
  }
  for (const [key, value] of Object.entries(patch)) {
    if (!key.startsWith('$setElementOrder/') || !Array.isArray(value)) continue
    const field = key.slice(key.indexOf('/') + 1)
    const list = result[field]
    if (Array.isArray(list)) result[field] = reorder(field, list, value)
  }
  return result
}

const unescape = (token: string) => token.replaceAll('~1', '/').replaceAll('~0', '~')

interface Operation {
  op: string
  path: string
  from?: string
  value?: Json
}

/** RFC 6902. Throws 422 when an operation does not apply, as the real server does. */
export function jsonPatch(target: Json, operations: Json): Json {
  if (!Array.isArray(operations))
    throw badRequest('error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch')
  let root = structuredClone(target)
  const fail = (operation: Operation, why: string) =>
    new ApiError(
      422,
      'Invalid',
      `the server rejected our request due to an error in our request: ${operation.op} operation does not apply: ${why}`,
      {},
    )
  const walk = (operation: Operation, path: string) => {
    const tokens = path.split('/').slice(1).map(unescape)
    const last = tokens.pop()
    let holder: Json = root
    for (const token of tokens) {
      const next: Json | undefined = Array.isArray(holder)
        ? holder[Number(token)]
        : isDict(holder)
          ? holder[token]
          : undefined
      if (next === undefined) throw fail(operation, `doc is missing path: "${path}"`)
      holder = next
    }
    return {holder, last}
  }
  const read = (operation: Operation, path: string): Json => {
    const {holder, last} = walk(operation, path)
    if (last === undefined) return root
    const value = Array.isArray(holder) ? holder[Number(last)] : isDict(holder) ? holder[last] : undefined
    if (value === undefined) throw fail(operation, `doc is missing key: ${path}`)
    return value
  }
  const remove = (operation: Operation, path: string) => {
    read(operation, path)
    const {holder, last} = walk(operation, path)
    if (Array.isArray(holder)) holder.splice(Number(last), 1)
    else delete (holder as Dict)[last!]
  }
  const add = (operation: Operation, path: string, value: Json) => {
    const {holder, last} = walk(operation, path)
    if (last === undefined) root = value
    else if (Array.isArray(holder)) {
      const index = last === '-' ? holder.length : Number(last)
      if (!(index >= 0 && index <= holder.length)) throw fail(operation, `index ${last} is out of bounds`)
      holder.splice(index, 0, value)
    } else if (isDict(holder)) holder[last] = value
    else throw fail(operation, `doc is missing path: "${path}"`)
  }
  for (const operation of operations as unknown as Operation[]) {
    const value = operation.value ?? null
    switch (operation.op) {
      case 'add':
        add(operation, operation.path, value)
        break
      case 'remove':
        remove(operation, operation.path)
        break
      case 'replace':
        remove(operation, operation.path)
        add(operation, operation.path, value)
        break
      case 'move':
      case 'copy': {
        const moved = structuredClone(read(operation, operation.from ?? ''))
        if (operation.op === 'move') remove(operation, operation.from ?? '')
        add(operation, operation.path, moved)
        break
      }
      case 'test':
        if (!isDeepStrictEqual(read(operation, operation.path), value))
          throw fail(operation, `testing path ${operation.path} failed`)
        break
      default:
        throw badRequest(`unexpected kind of patch operation: ${operation.op}`)
    }
  }
  return root
}

const PATCHES: Record<string, (target: Json, patch: Json) => Json> = {
  'application/json-patch+json': jsonPatch,
  'application/merge-patch+json': mergePatch,
  'application/strategic-merge-patch+json': strategicMerge,
}

/** Applies a patch body of the given content type. Throws 415 for server-side apply and unknown types. */
export function applyPatch(contentType: string, target: unknown, patch: unknown): unknown {
  const apply = PATCHES[contentType]
  if (!apply) throw unsupportedMediaType(Object.keys(PATCHES))
  return apply(target as Json, patch as Json)
}
