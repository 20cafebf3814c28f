import {randomBytes} from 'node:crypto'

import type {Access, User} from './auth.ts'
import {R} from './resources.ts'
import {badRequest, notFound} from './status.ts'
import type {Store} from './store.ts'
import type {Target} from './request.ts'
import type {JsonObject, Obj} from './types.ts'

interface ResourceAttributes {
  verb?: string
  group?: string
  resource?: string
  subresource?: string
  namespace?: string
  name?: string
}

function accessReview(access: Access, user: User, body: Obj): JsonObject {
  const spec = (body.spec ?? {}) as {
    resourceAttributes?: ResourceAttributes
    nonResourceAttributes?: {path?: string; verb?: string}
  }
  const asked = spec.resourceAttributes
  if (!asked && !spec.nonResourceAttributes)
    throw badRequest('exactly one of nonResourceAttributes or resourceAttributes must be specified')
  const allowed = asked
    ? access.allows({
        user: user.name,
        verb: asked.verb ?? '',
        group: asked.group ?? '',
        resource: asked.resource ?? '',
        subresource: asked.subresource || undefined,
        namespace: asked.namespace || undefined,
        name: asked.name || undefined,
      })
    : access.allows({
        user: user.name,
        verb: spec.nonResourceAttributes!.verb ?? '',
        group: '',
        resource: '',
        path: spec.nonResourceAttributes!.path ?? '',
      })
  return {allowed}
}

/** Answers a SelfSubject… review about the calling user. */
export function answerReview(access: Access, user: User, kind: string, body: Obj | undefined): Obj {
  const given = body ?? ({metadata: {}} as Obj)
  const status: Record<string, () => JsonObject> = {
    SelfSubjectAccessReview: () => accessReview(access, user, given),
    // Denials are exceptions to "everything": they cannot be written as rules, so the answer says that it is incomplete.
    SelfSubjectRulesReview: () => ({
      resourceRules: [{verbs: ['*'], apiGroups: ['*'], resources: ['*']}],
      nonResourceRules: [{verbs: ['*'], nonResourceURLs: ['*']}],
      incomplete: true,
    }),
    SelfSubjectReview: () => ({userInfo: {username: user.name, groups: user.groups}}),
  }
  const group = kind === 'SelfSubjectReview' ? 'authentication.k8s.io/v1' : 'authorization.k8s.io/v1'
  const metadata = {...given.metadata, creationTimestamp: null as unknown as string}
  return {...given, kind, apiVersion: group, metadata, status: status[kind]!()}
}

/** TokenRequest: a new bearer token for a service account, valid for the asked seconds (3600 when not asked). */
export function createToken(store: Store, access: Access, target: Target, body: unknown): Obj {
  const account = store.find(R.serviceaccounts, target.namespace, target.name!)
  if (!account) throw notFound(R.serviceaccounts, target.name!)
  const seconds =
    ((body as Obj | undefined)?.spec as {expirationSeconds?: number} | undefined)?.expirationSeconds ?? 3600
  const expires = new Date(Date.now() + seconds * 1000)
  const token = serviceAccountToken(access, target.namespace!, target.name!, expires)
  return {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: {...account.metadata},
    spec: {audiences: ['https://kubernetes.default.svc'], expirationSeconds: seconds},
    status: {token, expirationTimestamp: expires.toISOString().replace(/\.\d+Z$/, 'Z')},
  }
}

/** Registers and returns a token of a service account. */
export function serviceAccountToken(access: Access, namespace: string, name: string, expires?: Date): string {
  const token = `sandbox-${randomBytes(24).toString('base64url')}`
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`]
  access.addToken({name: `system:serviceaccount:${namespace}:${name}`, groups, token, expires})
  return token
}
