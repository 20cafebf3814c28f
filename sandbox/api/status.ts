import type {JsonObject} from './types.ts'

/** Names of one resource, as error texts need them. */
export interface ResourceName {
  group: string
  plural: string
  kind: string
}

export interface Cause {
  reason: string
  message: string
  field: string
}

/** The body of a failed request: `Status` of meta/v1. */
export interface StatusBody {
  kind: 'Status'
  apiVersion: 'v1'
  metadata: JsonObject
  status: 'Success' | 'Failure'
  message?: string
  reason?: string
  details?: JsonObject
  code: number
}

/** A failure that has an answer: carries the HTTP code and the Status body that a real API server sends for it. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly body: StatusBody
  constructor(code: number, reason: string, message: string, details?: JsonObject) {
    super(message)
    this.body = {kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, details, code}
  }
  get code(): number {
    return this.body.code
  }
}

const qualified = (r: ResourceName) => (r.group ? `${r.plural}.${r.group}` : r.plural)
const details = (r: ResourceName, name: string, extra: JsonObject = {}): JsonObject => ({
  ...(name && {name}),
  ...(r.group && {group: r.group}),
  kind: r.plural,
  ...extra,
})

/** 404 for an object that does not exist. */
export const notFound = (r: ResourceName, name: string) =>
  new ApiError(404, 'NotFound', `${qualified(r)} "${name}" not found`, details(r, name))

/** 404 for a path that is no resource. */
export const noSuchPath = () => new ApiError(404, 'NotFound', 'the server could not find the requested resource', {})

/** 409 for a name that is taken. */
export const alreadyExists = (r: ResourceName, name: string) =>
  new ApiError(409, 'AlreadyExists', `${qualified(r)} "${name}" already exists`, details(r, name))

/** 409 for a write based on an old resourceVersion, or whatever `why` says. */
export const conflict = (
  r: ResourceName,
  name: string,
  why = 'the object has been modified; please apply your changes to the latest version and try again',
) =>
  new ApiError(409, 'Conflict', `Operation cannot be fulfilled on ${qualified(r)} "${name}": ${why}`, details(r, name))

/** 422 with one cause per field, in the wording of apimachinery's field errors. */
export const invalid = (r: ResourceName, name: string, causes: Cause[]) => {
  const list = causes.map((cause) => `${cause.field}: ${cause.message}`)
  const text = list.length === 1 ? list[0]! : `[${list.join(', ')}]`
  const kind = r.group ? `${r.kind}.${r.group}` : r.kind
  return new ApiError(422, 'Invalid', `${kind} "${name}" is invalid: ${text}`, {
    ...details(r, name),
    kind: r.kind,
    causes,
  })
}

/** A missing required field. */
export const required = (field: string, message = ''): Cause => ({
  reason: 'FieldValueRequired',
  message: message ? `Required value: ${message}` : 'Required value',
  field,
})

/** A field with a value that cannot be. */
export const invalidValue = (field: string, value: unknown, message: string): Cause => ({
  reason: 'FieldValueInvalid',
  message: `Invalid value: ${JSON.stringify(value)}: ${message}`,
  field,
})

/** A field that may not be set or changed. */
export const forbiddenField = (field: string, message: string): Cause => ({
  reason: 'FieldValueForbidden',
  message: `Forbidden: ${message}`,
  field,
})

/** 401: credentials were given and are not valid. */
export const unauthorized = () => new ApiError(401, 'Unauthorized', 'Unauthorized')

/** What a request wants to do, for authorisation and its error text. */
export interface Attributes {
  user: string
  verb: string
  group: string
  resource: string
  subresource?: string
  namespace?: string
  name?: string
  /** Set for paths outside the resources, for example `/version`. */
  path?: string
}

/** 403 in the words of the RBAC authoriser. */
export const forbidden = (a: Attributes, reason = '') => {
  if (a.path !== undefined) {
    return new ApiError(403, 'Forbidden', `forbidden: User "${a.user}" cannot ${a.verb} path "${a.path}"`, {})
  }
  const what = a.subresource ? `${a.resource}/${a.subresource}` : a.resource
  const scope = a.namespace ? ` in the namespace "${a.namespace}"` : ' at the cluster scope'
  const subject = a.group ? `${a.resource}.${a.group}` : a.resource
  const name = a.name ? ` "${a.name}"` : ''
  const text = `${subject}${name} is forbidden: User "${a.user}" cannot ${a.verb} resource "${what}" in API group "${a.group}"${scope}`
  return new ApiError(403, 'Forbidden', reason ? `${text}: ${reason}` : text, {
    ...(a.name && {name: a.name}),
    ...(a.group && {group: a.group}),
    kind: a.resource,
  })
}

/** 403 from admission, for example a namespace that is being deleted. */
export const refused = (r: ResourceName, name: string, why: string, causes: Cause[] = []) =>
  new ApiError(403, 'Forbidden', `${qualified(r)} "${name}" is forbidden: ${why}`, details(r, name, {causes}))

/** 400. */
export const badRequest = (message: string) => new ApiError(400, 'BadRequest', message)

/** 405. */
export const methodNotAllowed = () =>
  new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {})

/** 410: a watch or list asks for history that is no longer kept. */
export const expired = (message: string) => new ApiError(410, 'Expired', message)

/** 415. */
export const unsupportedMediaType = (accepted: string[]) =>
  new ApiError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
  )

/** The body of a delete that finished at once. */
export const success = (r: ResourceName, name: string, uid: string): StatusBody => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Success',
  details: {...details(r, name), uid},
  code: 200,
})
