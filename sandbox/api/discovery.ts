import {groupVersion, reviews} from './resources.ts'
import type {Resource} from './resources.ts'
import type {JsonObject} from './types.ts'

/** The Kubernetes version that the sandbox speaks like; clients compare it, so it is a plain release. */
export const VERSION = {major: '1', minor: '32', gitVersion: 'v1.32.0'}

/** The versions of each group but the core's, by name. */
function versionsOf(stored: readonly Resource[]): Map<string, string[]> {
  const groups = new Map<string, Set<string>>()
  for (const {group, version} of [...stored, ...reviews]) {
    if (group) groups.set(group, (groups.get(group) ?? new Set()).add(version))
  }
  return new Map([...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([group, versions]) => [group, [...versions]]))
}

function group(name: string, versions: readonly string[]): JsonObject {
  const all = versions.map((version) => ({groupVersion: `${name}/${version}`, version}))
  return {name, versions: all, preferredVersion: all[0]}
}

function resourceList(all: readonly Resource[], name: string, version: string): JsonObject {
  const stored = all
    .filter((r) => r.group === name && r.version === version)
    .flatMap((r) => [
      {
        name: r.plural,
        singularName: r.singular,
        namespaced: r.namespaced,
        kind: r.kind,
        verbs: r.verbs,
        ...(r.shortNames && {shortNames: r.shortNames}),
        ...(r.categories && {categories: r.categories}),
      },
      ...Object.entries(r.subresources ?? {}).map(([sub, {kind, group, version, verbs}]) => ({
        name: `${r.plural}/${sub}`,
        singularName: '',
        namespaced: r.namespaced,
        ...(group && {group, version}),
        kind,
        verbs,
      })),
    ])
  const asked = reviews
    .filter((r) => r.group === name && r.version === version)
    .map((r) => ({
      name: r.plural,
      singularName: r.kind.toLowerCase(),
      namespaced: false,
      kind: r.kind,
      verbs: ['create'],
    }))
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: groupVersion({group: name, version}),
    resources: [...stored, ...asked],
  }
}

/**
 * OpenAPI v3 of one group: no schemas, only what kubectl asks before it applies something, namely whether a PATCH of the
 * kind takes `fieldValidation` (then kubectl leaves validation to the server).
 */
function openapi(all: readonly Resource[], name: string, version: string): JsonObject {
  const base = name ? `/apis/${name}/${version}` : '/api/v1'
  const query = {name: 'fieldValidation', in: 'query', schema: {type: 'string', uniqueItems: true}}
  const paths = all
    .filter((r) => r.group === name && r.version === version)
    .map((r) => [
      `${base}/${r.namespaced ? 'namespaces/{namespace}/' : ''}${r.plural}/{name}`,
      {
        patch: {
          operationId: `patch${r.kind}`,
          parameters: [query],
          responses: {'200': {description: 'OK'}},
          'x-kubernetes-action': 'patch',
          'x-kubernetes-group-version-kind': {group: r.group, kind: r.kind, version: r.version},
        },
      },
    ])
  return {
    openapi: '3.0.0',
    info: {title: 'mirrord sandbox', version: VERSION.gitVersion},
    paths: Object.fromEntries(paths) as JsonObject,
    components: {schemas: {}},
  }
}

/**
 * Answers of the fixed paths (/version, /api, /apis, /openapi/v3 and below), or undefined when the path is not one. `stored`
 * is every resource that there is now.
 */
export function staticAnswer(path: string, server: string, stored: readonly Resource[]): JsonObject | undefined {
  if (path === '/version') {
    return {
      ...VERSION,
      gitCommit: '',
      gitTreeState: 'clean',
      buildDate: '1970-01-01T00:00:00Z',
      goVersion: 'node',
      compiler: 'node',
      platform: 'linux/amd64',
    }
  }
  if (path === '/api') {
    return {
      kind: 'APIVersions',
      versions: ['v1'],
      serverAddressByClientCIDRs: [{clientCIDR: '0.0.0.0/0', serverAddress: server}],
    }
  }
  const groups = versionsOf(stored)
  if (path === '/apis') {
    return {
      kind: 'APIGroupList',
      apiVersion: 'v1',
      groups: [...groups].map(([name, versions]) => group(name, versions)),
    }
  }
  if (path === '/api/v1') return resourceList(stored, '', 'v1')
  if (path === '/openapi/v3') {
    const named = [...groups].flatMap(([name, versions]) => versions.map((version) => `apis/${name}/${version}`))
    const entries = ['api/v1', ...named].map((key) => [key, {serverRelativeURL: `/openapi/v3/${key}?hash=0`}])
    return {paths: Object.fromEntries(entries) as JsonObject}
  }
  if (path === '/openapi/v3/api/v1') return openapi(stored, '', 'v1')
  const match = /^(\/openapi\/v3)?\/apis\/([^/]+)(?:\/([^/]+))?$/.exec(path)
  const [, schemas, name = '', version] = match ?? []
  const versions = groups.get(name)
  if (!versions || (version !== undefined && !versions.includes(version))) return undefined
  if (schemas) return version === undefined ? undefined : openapi(stored, name, version)
  if (version === undefined) return {kind: 'APIGroup', apiVersion: 'v1', ...group(name, versions)}
  return resourceList(stored, name, version)
}
