import type {Cluster} from '../cluster.ts'
import {ApiError} from '../errors.ts'
import type {Need} from './needs.ts'

/** Whether the credentials have a right; `unknown` where the cluster does not tell. */
export type Verdict = 'allowed' | 'denied' | 'unknown'

/** A right with the cluster's word on it. */
export interface Reviewed extends Need {
  verdict: Verdict
}

interface Rules {
  status?: {
    incomplete?: boolean
    resourceRules?: {verbs?: string[]; apiGroups?: string[]; resources?: string[]; resourceNames?: string[]}[]
  }
}

/**
 * Asks the cluster which of these rights the credentials have: the rules of each namespace in one question
 * (SelfSubjectRulesReview), and one question each (SelfSubjectAccessReview) for those that no rule gives, because an
 * authorizer other than RBAC tells no rules. Throws what requests throw; a cluster that refuses reviews makes `unknown`.
 */
export async function reviewAccess(
  cluster: Cluster,
  needs: readonly Need[],
  signal?: AbortSignal,
): Promise<Reviewed[]> {
  const namespaces = new Set(needs.flatMap(({namespace}) => namespace ?? []))
  const rules = new Map(
    await Promise.all([...namespaces].map(async (name) => [name, await rulesOf(cluster, name, signal)] as const)),
  )
  return Promise.all(
    needs.map(async (need) => {
      const known = need.namespace === undefined ? undefined : rules.get(need.namespace)
      const given = known?.some((rule) => gives(rule, need)) ?? false
      return {...need, verdict: given ? ('allowed' as const) : await ask(cluster, need, signal)}
    }),
  )
}

type Rule = NonNullable<NonNullable<Rules['status']>['resourceRules']>[number]

async function rulesOf(cluster: Cluster, namespace: string, signal: AbortSignal | undefined): Promise<Rule[]> {
  const kind = 'SelfSubjectRulesReview'
  const answer = await review<Rules>(cluster, kind, {namespace}, signal)
  return answer?.status?.resourceRules ?? []
}

/** Rules for named objects alone do not count: the need is for any. */
function gives({verbs = [], apiGroups = [], resources = [], resourceNames = []}: Rule, need: Need): boolean {
  const [, subresource] = need.resource.split('/')
  const names = ['*', need.resource, ...(subresource === undefined ? [] : [`*/${subresource}`])]
  return (
    resourceNames.length === 0 &&
    (verbs.includes('*') || verbs.includes(need.verb)) &&
    (apiGroups.includes('*') || apiGroups.includes(need.group)) &&
    names.some((name) => resources.includes(name))
  )
}

async function ask(cluster: Cluster, need: Need, signal: AbortSignal | undefined): Promise<Verdict> {
  const {verb, group, namespace} = need
  const [resource, subresource] = need.resource.split('/')
  const resourceAttributes = {verb, group, resource, ...(subresource === undefined ? {} : {subresource}), namespace}
  const kind = 'SelfSubjectAccessReview'
  const answer = await review<{status?: {allowed?: boolean}}>(cluster, kind, {resourceAttributes}, signal)
  return answer?.status === undefined ? 'unknown' : answer.status.allowed === true ? 'allowed' : 'denied'
}

/** Undefined where the cluster refuses the review itself: every user may ask (role system:basic-user), unless somebody took that away. */
async function review<T>(
  {client}: Cluster,
  kind: string,
  spec: object,
  signal: AbortSignal | undefined,
): Promise<T | undefined> {
  const api = 'authorization.k8s.io/v1'
  try {
    return await client.json<T>({
      operation: {verb: 'create', api, resource: `${kind.toLowerCase()}s`},
      body: {apiVersion: api, kind, spec},
      signal,
    })
  } catch (error) {
    if (error instanceof ApiError && [403, 404, 405].includes(error.status)) return undefined
    throw error
  }
}

/** Who the credentials say that we are (SelfSubjectReview, Kubernetes 1.28); undefined where the cluster does not tell. */
export async function whoAmI({client}: Cluster, signal?: AbortSignal): Promise<string | undefined> {
  const api = 'authentication.k8s.io/v1'
  try {
    const answer = await client.json<{status?: {userInfo?: {username?: string}}}>({
      operation: {verb: 'create', api, resource: 'selfsubjectreviews'},
      body: {apiVersion: api, kind: 'SelfSubjectReview'},
      signal,
    })
    return answer.status?.userInfo?.username
  } catch (error) {
    if (error instanceof ApiError && [403, 404, 405].includes(error.status)) return undefined
    throw error
  }
}
