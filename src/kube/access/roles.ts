import {createHash} from 'node:crypto'
import type {Need} from './needs.ts'

const api = 'rbac.authorization.k8s.io/v1'
const apiGroup = 'rbac.authorization.k8s.io'

/**
 * The roles that give these rights to a user, and nothing else, with their bindings: a Role in each namespace, and a
 * ClusterRole for what no namespace holds. The names follow from the content, so that applying one never takes away what an
 * earlier one gave.
 */
export function rolesFor(needs: readonly Need[], user: string): object[] {
  const namespaces = [...new Set(needs.map(({namespace}) => namespace))]
  return namespaces.flatMap((namespace) => {
    const rules = rulesOf(needs.filter((need) => need.namespace === namespace))
    const kind = namespace === undefined ? 'ClusterRole' : 'Role'
    const digest = createHash('sha256')
      .update(JSON.stringify([user, rules]))
      .digest('hex')
    const metadata = {name: `mirrord-ci-${digest.slice(0, 8)}`, ...(namespace === undefined ? {} : {namespace})}
    return [
      {apiVersion: api, kind, metadata, rules},
      {
        apiVersion: api,
        kind: `${kind}Binding`,
        metadata,
        roleRef: {apiGroup, kind, name: metadata.name},
        subjects: [subject(user)],
      },
    ]
  })
}

/** One rule a resource, its verbs together. */
function rulesOf(needs: readonly Need[]): {apiGroups: string[]; resources: string[]; verbs: string[]}[] {
  const byResource = Map.groupBy(needs, ({group, resource}) => `${group}/${resource}`)
  return [...byResource.values()].map((same) => ({
    apiGroups: [same[0]!.group],
    resources: [same[0]!.resource],
    verbs: same.map(({verb}) => verb),
  }))
}

/** `system:serviceaccount:NAMESPACE:NAME` is how the API server names a service account. */
function subject(user: string): object {
  const [, namespace, name] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(user) ?? []
  return name === undefined ? {kind: 'User', apiGroup, name: user} : {kind: 'ServiceAccount', namespace, name}
}
