import {resources, reviews} from './resources.ts'
import type {JsonObject} from './types.ts'

/** The Kubernetes version that the sandbox speaks like; clients compare it, so it is a plain release. */
export const VERSION = {major: '1', minor: '32', gitVersion: 'v1.32.0'}

const groups = [...new Set([...resources, ...reviews].map((r) => r.group).filter(Boolean))].sort()

function group(name: string): JsonObject {
  const version = {groupVersion: `${name}/v1`, version: 'v1'}
  return {name, versions: [version], preferredVersion: version}
}

function resourceList(name: string): JsonObject {
  const stored = resources
    .filter((r) => r.group === name)
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
    .filter((r) => r.group === name)
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
    groupVersion: name ? `${name}/v1` : 'v1',
    resources: [...stored, ...asked],
  }
}

/**
 * OpenAPI v3 of one group: no schemas, only what kubectl asks before it applies something, namely whether a PATCH of the
 * kind takes `fieldValidation` (then kubectl leaves validation to the server).
 */
function openapi(name: string): JsonObject {
  const base = name ? `/apis/${name}/v1` : '/api/v1'
  const query = {name: 'fieldValidation', in: 'query', schema: {type: 'string', uniqueItems: true}}
  const paths = resources
    .filter((r) => r.group === name)
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

/** Answers of the fixed paths (/version, /api, /apis, /openapi/v3 and below), or undefined when the path is not one. */
export function staticAnswer(path: string, server: string): JsonObject | undefined {
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
  if (path === '/apis') return {kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map(group)}
  if (path === '/api/v1') return resourceList('')
  if (path === '/openapi/v3') {
    const entries = ['', ...groups].map((name) => {
      const key = name ? `apis/${name}/v1` : 'api/v1'
      return [key, {serverRelativeURL: `/openapi/v3/${key}?hash=0`}]
    })
    return {paths: Object.fromEntries(entries) as JsonObject}
  }
  const match = /^(\/openapi\/v3)?\/(?:api\/v1|apis\/([^/]+)(\/v1)?)$/.exec(path)
  const name = match?.[2] ?? ''
  if (!match || (name && !groups.includes(name))) return undefined
  if (match[1]) return match[2] && !match[3] ? undefined : openapi(name)
  return match[3] ? resourceList(name) : {kind: 'APIGroup', apiVersion: 'v1', ...group(name)}
}
