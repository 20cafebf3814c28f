import type {OutgoingHttpHeaders} from 'node:http'
import {MirrordError} from '../errors/mirrord-error.ts'

/** The keys of a kubeconfig's user that make requests count as somebody else's. */
export interface Impersonation {
  as?: string
  'as-uid'?: string
  'as-groups'?: string[]
  'as-user-extra'?: Record<string, string[]>
}

/**
 * The headers for them, as client-go sends them. The library sends only the name, so that the groups would be those that the
 * cluster gives every user. Throws KUBECONFIG_INCOMPLETE (exit kubeconfig) where groups, uid or extra stand without a name.
 */
export function impersonationHeaders(user: Impersonation, context: string): OutgoingHttpHeaders {
  const {as, 'as-uid': uid, 'as-groups': groups = [], 'as-user-extra': extra = {}} = user
  if (!as) {
    if (!uid && groups.length === 0 && Object.keys(extra).length === 0) return {}
    throw new MirrordError({
      code: 'KUBECONFIG_INCOMPLETE',
      exit: 'kubeconfig',
      what: `The context "${context}" of the kubeconfig cannot be used.`,
      why: 'Its user has as-uid, as-groups or as-user-extra, and no "as".',
      next: ['Name the user to impersonate as "as", or leave the others out.'],
    })
  }
  return {
    'Impersonate-User': as,
    ...(uid ? {'Impersonate-Uid': uid} : {}),
    ...(groups.length > 0 ? {'Impersonate-Group': groups} : {}),
    ...Object.fromEntries(
      Object.entries(extra).map(([key, values]) => [`Impersonate-Extra-${headerKey(key)}`, values]),
    ),
  }
}

/** Percent-encodes what no header's name may hold (client-go, headerKeyEscape). */
function headerKey(key: string): string {
  return key.replace(/[^\w!#$&'*+.^`|~-]/gu, (character) =>
    [...Buffer.from(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )
}
