/** What a request does, in the terms of Kubernetes permissions: one description gives the path and the words of errors. */
export interface Operation {
  verb: 'get' | 'list' | 'watch' | 'create' | 'update' | 'delete'
  /** API group with version, for example `apps/v1`; `v1` for the core group. */
  api: string
  /** Resource, with its subresource: `pods`, `pods/log`. */
  resource: string
  namespace?: string
  name?: string
}

/** The path of the request below the server's address. Names are escaped: they come from users. */
export function pathOf({api, resource, namespace, name}: Operation): string {
  const [kind, subresource] = resource.split('/') as [string, string?]
  const parts = [api.includes('/') ? `/apis/${api}` : `/api/${api}`]
  if (namespace !== undefined) parts.push('namespaces', encodeURIComponent(namespace))
  parts.push(kind)
  if (name !== undefined) parts.push(encodeURIComponent(name))
  if (subresource !== undefined) parts.push(subresource)
  return parts.join('/')
}

/** The operation in words, for example `create jobs.batch in the namespace "ci"`. */
export function describeOperation({verb, api, resource, namespace, name}: Operation): string {
  const group = api.includes('/') ? `.${api.split('/')[0]}` : ''
  const object = name === undefined ? '' : ` "${name}"`
  return `${verb} ${resource}${group}${object}${namespace === undefined ? '' : ` in the namespace "${namespace}"`}`
}
