import type {IncomingMessage} from 'node:http'

import {parse as parseYaml} from 'yaml'

import {PROTOBUF, decodeProtobuf} from './protobuf.ts'
import {ApiError, badRequest, methodNotAllowed, noSuchPath, unsupportedMediaType} from './status.ts'
import {findResource} from './custom.ts'
import type {Store} from './store.ts'
import type {Resource} from './resources.ts'

/** Real servers refuse larger bodies too (3 MiB). */
const MAX_BODY = 3 * 1024 * 1024

export interface Target {
  resource: Resource
  namespace?: string
  name?: string
  subresource?: string
}

/** A path below a group version. */
export interface GroupPath {
  group: string
  version: string
  rest: string[]
}

/** Reads `/api/v1/...` and `/apis/<group>/<version>/...` paths. Undefined when the path is not below a group version. */
export function parsePath(path: string): GroupPath | undefined {
  const match = /^\/(?:api\/(v1)|apis\/([^/]+)\/([^/]+))\/(.+)$/.exec(path)
  if (!match) return undefined
  const rest = match[4]!.replace(/\/$/, '').split('/').map(decodeURIComponent)
  return {group: match[2] ?? '', version: match[1] ?? match[3]!, rest}
}

/** The resource, namespace, name and subresource of a path below a group version. Throws 404. */
export function parseTarget(store: Store, {group, version, rest}: GroupPath): Target {
  let parts = rest
  let namespace: string | undefined
  if (
    parts[0] === 'namespaces' &&
    parts.length > 2 &&
    !(group === '' && ['status', 'finalize'].includes(parts[2]!) && parts.length === 3)
  ) {
    namespace = parts[1]
    parts = parts.slice(2)
  }
  const resource = findResource(store, group, version, parts[0]!)
  if (
    !resource ||
    parts.length > 3 ||
    resource.namespaced !== (namespace !== undefined || (resource.namespaced && parts.length === 1))
  ) {
    throw noSuchPath()
  }
  return {resource, namespace, name: parts[1], subresource: parts[2]}
}

/** The media type of a body, without parameters. */
export const contentType = (request: IncomingMessage): string =>
  (request.headers['content-type'] ?? 'application/json').split(';')[0]!.trim().toLowerCase()

/** Media types of an object in a body. */
export const BODIES = ['application/json', 'application/yaml', PROTOBUF]

/** Reads a JSON, YAML or protobuf body. An empty one is undefined. Throws 400, 413 and 415. */
export async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY) {
      throw new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${MAX_BODY}`)
    }
    chunks.push(chunk)
  }
  if (!size) return undefined
  const body = Buffer.concat(chunks)
  if (contentType(request) === PROTOBUF) {
    const object = decodeProtobuf(body)
    if (!object) throw unsupportedMediaType(BODIES)
    return object
  }
  const text = body.toString()
  try {
    return contentType(request).endsWith('yaml') ? parseYaml(text) : JSON.parse(text)
  } catch (error) {
    throw badRequest(`the object provided is unrecognized: ${(error as Error).message}`)
  }
}

/** What a request does, in the terms of permissions. Throws 405. */
export function verbOf(method: string, target: Target, query: URLSearchParams): string {
  const watching = ['true', '1'].includes(query.get('watch') ?? '')
  switch (method) {
    case 'GET':
    case 'HEAD':
      return watching ? 'watch' : target.name ? 'get' : 'list'
    case 'POST':
      return 'create'
    case 'PUT':
      return 'update'
    case 'PATCH':
      return 'patch'
    case 'DELETE':
      return target.name ? 'delete' : 'deletecollection'
    default:
      throw methodNotAllowed()
  }
}
