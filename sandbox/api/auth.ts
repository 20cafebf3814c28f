import type {IncomingMessage} from 'node:http'
import type {TLSSocket} from 'node:tls'

import {forbidden, unauthorized} from './status.ts'
import type {Attributes} from './status.ts'

export interface User {
  name: string
  groups: string[]
}

export interface TokenUser extends User {
  token: string
  /** After this moment the token answers 401. */
  expires?: Date
}

/** A rule that refuses requests: every field given must match, `*` or absence matches anything. */
export interface Denial {
  user?: string
  verb?: string
  /** `pods`, `pods/log`; the API group is not part of it. */
  resource?: string
  namespace?: string
  name?: string
}

const ANONYMOUS: User = {name: 'system:anonymous', groups: ['system:unauthenticated']}
/** What everybody may ask, as the bootstrap role system:public-info-viewer allows it. */
const PUBLIC = /^\/(healthz|livez|readyz|version)(\/|$)/

/** Who may do what: tokens, client certificates of our authority, and a list of denials that can change at any time. */
export class Access {
  private readonly tokens = new Map<string, TokenUser>()
  private denials: Denial[] = []

  /** Accepts a bearer token from now on. */
  addToken(user: TokenUser): void {
    this.tokens.set(user.token, user)
  }

  /** Refuses matching requests from now on; returns the function that takes the rule back. */
  deny(denial: Denial): () => void {
    this.denials.push(denial)
    return () => {
      this.denials = this.denials.filter((other) => other !== denial)
    }
  }

  /** The user of a request; anonymous without credentials. Throws 401 for credentials that are not valid. */
  authenticate(request: IncomingMessage): User {
    const header = request.headers.authorization
    if (header !== undefined) {
      const token = /^Bearer\s+(\S+)$/i.exec(header)?.[1]
      const user = token === undefined ? undefined : this.tokens.get(token)
      if (!user || (user.expires && user.expires.getTime() <= Date.now())) throw unauthorized()
      return {name: user.name, groups: [...user.groups, 'system:authenticated']}
    }
    const socket = request.socket as TLSSocket
    const {subject} = socket.getPeerCertificate()
    if (!subject) return ANONYMOUS
    if (!socket.authorized) throw unauthorized()
    const groups = subject.O === undefined ? [] : [subject.O].flat()
    return {name: String(subject.CN), groups: [...groups, 'system:authenticated']}
  }

  /** Whether a request is allowed. */
  allows(a: Attributes): boolean {
    if (a.path !== undefined) return a.user !== ANONYMOUS.name || PUBLIC.test(a.path)
    if (a.user === ANONYMOUS.name) return false
    const resource = a.subresource ? `${a.resource}/${a.subresource}` : a.resource
    const fits = (wanted: string | undefined, value: string | undefined) =>
      wanted === undefined || wanted === '*' || wanted === value
    return !this.denials.some(
      (denial) =>
        fits(denial.user, a.user) &&
        fits(denial.verb, a.verb) &&
        fits(denial.resource, resource) &&
        fits(denial.namespace, a.namespace) &&
        fits(denial.name, a.name),
    )
  }

  /** Throws 403 in the words of the RBAC authoriser. */
  authorize(a: Attributes): void {
    if (!this.allows(a)) throw forbidden(a)
  }
}
