import {MirrordError} from '../errors/mirrord-error.ts'
import type {ErrorReport} from '../errors/mirrord-error.ts'
import type {Status} from './objects.ts'
import {describeOperation, type Operation} from './operation.ts'

/** What errors tell about a cluster; never credentials. */
export interface ClusterName {
  context: string
  server: string
  /** The proxy before it, without its password. */
  proxy?: string
}

/** An answer of the API server that is not a success, mapped for the user, with the HTTP status for the caller. */
export class ApiError extends MirrordError {
  readonly status: number
  readonly reason: string | undefined

  constructor(status: number, reason: string | undefined, report: ErrorReport) {
    super(report)
    this.status = status
    this.reason = reason
  }
}

/** Whether an error is the API server's answer with this HTTP status. */
export function isStatus(error: unknown, ...statuses: number[]): error is ApiError {
  return error instanceof ApiError && statuses.includes(error.status)
}

/** Maps an HTTP status and its body: 401 unauthorized, 403 forbidden with verb, resource and namespace, others by class. */
export function apiError(cluster: ClusterName, operation: Operation, httpStatus: number, body: Status): ApiError {
  const action = describeOperation(operation)
  const message = body.message?.trim()
  const build = (report: ErrorReport) => new ApiError(httpStatus, body.reason, report)
  // An identity that the server takes as anonymous has sent no credentials that it could read.
  if (httpStatus === 401 || (httpStatus === 403 && message?.includes('"system:anonymous"'))) {
    return build({
      code: 'UNAUTHORIZED',
      exit: 'unauthorized',
      what: `The cluster of the context "${cluster.context}" refused the credentials.`,
      why: `${
        httpStatus === 401
          ? 'The token or certificate is expired, revoked or of another cluster.'
          : 'The kubeconfig gives no credentials that the cluster accepts.'
      } They were to ${action}.`,
      next: ['Renew the credentials of the kubeconfig.', 'Check them with: kubectl auth whoami'],
    })
  }
  if (httpStatus === 403) {
    const subject = operation.namespace === undefined ? '' : ` -n ${operation.namespace}`
    const group = operation.api.includes('/') ? `.${operation.api.split('/')[0]}` : ''
    const [kind, subresource] = operation.resource.split('/')
    return build({
      code: 'FORBIDDEN',
      exit: 'forbidden',
      what: `The credentials may not ${action}.`,
      why: message,
      next: [
        `Grant the verb "${operation.verb}" on "${operation.resource}"${group ? ` of the group "${group.slice(1)}"` : ''}${operation.namespace === undefined ? '' : ` in the namespace "${operation.namespace}"`}.`,
        `Check with: kubectl auth can-i ${operation.verb} ${kind}${group}${subresource ? ` --subresource=${subresource}` : ''}${subject}`,
      ],
    })
  }
  const overloaded = httpStatus === 429 || httpStatus >= 500
  return build({
    code: overloaded ? 'CLUSTER_ERROR' : httpStatus === 404 ? 'NOT_FOUND' : 'REQUEST_REFUSED',
    exit: overloaded ? 'clusterUnreachable' : httpStatus === 404 ? 'targetNotFound' : 'unexpected',
    what: `The cluster refused to ${action}: HTTP ${httpStatus}${body.reason ? ` (${body.reason})` : ''}.`,
    why: message,
    next: overloaded
      ? [
          'Try again later: mirrord has repeated the request already.',
          `Check the cluster with: kubectl get --raw /readyz`,
        ]
      : [`Check the object with: kubectl, context "${cluster.context}".`],
  })
}

/** Node's error codes of a connection that failed, by what they mean for the user. */
const kinds: Record<string, keyof typeof explanations> = {
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  ECONNREFUSED: 'refused',
  ETIMEDOUT: 'timeout',
  EHOSTUNREACH: 'route',
  ENETUNREACH: 'route',
  ECONNRESET: 'cut',
  EPIPE: 'cut',
  ERR_TLS_CERT_ALTNAME_INVALID: 'tlsName',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'tlsAuthority',
  SELF_SIGNED_CERT_IN_CHAIN: 'tlsAuthority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'tlsAuthority',
  UNABLE_TO_GET_ISSUER_CERT: 'tlsAuthority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'tlsAuthority',
  CERT_SIGNATURE_FAILURE: 'tlsAuthority',
  CERT_HAS_EXPIRED: 'tlsTime',
  CERT_NOT_YET_VALID: 'tlsTime',
  ERR_SSL_WRONG_VERSION_NUMBER: 'notTls',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'notTls',
  EPROTO: 'notTls',
}

const explanations = {
  dns: {
    code: 'CLUSTER_DNS',
    why: 'Its name cannot be resolved.',
    next: 'Check the server of the kubeconfig and the DNS of this machine.',
  },
  refused: {
    code: 'CLUSTER_REFUSED',
    why: 'The connection was refused: nothing listens there.',
    next: 'Check that the cluster runs and that the port is right.',
  },
  timeout: {
    code: 'CLUSTER_TIMEOUT',
    why: 'It did not answer in time.',
    next: 'Check firewall, VPN and proxy between this machine and the cluster.',
  },
  route: {
    code: 'CLUSTER_ROUTE',
    why: 'There is no route to it.',
    next: 'Check the network and the VPN of this machine.',
  },
  cut: {
    code: 'CLUSTER_CUT',
    why: 'The connection was cut.',
    next: 'Check proxies and load balancers between this machine and the cluster.',
  },
  tlsName: {
    code: 'CLUSTER_TLS_NAME',
    why: 'Its certificate is for other names than the one in the kubeconfig.',
    next: 'Use a name that the certificate holds, or set tls-server-name in the kubeconfig.',
  },
  tlsAuthority: {
    code: 'CLUSTER_TLS_AUTHORITY',
    why: 'Its certificate is not signed by the authority in the kubeconfig.',
    next: 'Check certificate-authority-data of the kubeconfig: it may belong to another cluster.',
  },
  tlsTime: {
    code: 'CLUSTER_TLS_TIME',
    why: 'Its certificate is expired or not valid yet.',
    next: "Check the clock of this machine and renew the cluster's certificate.",
  },
  notTls: {
    code: 'CLUSTER_NOT_TLS',
    why: 'It does not speak TLS as expected.',
    next: 'Check scheme and port of the server in the kubeconfig.',
  },
  other: {
    code: 'CLUSTER_UNREACHABLE',
    why: undefined,
    next: 'Check the connection to the cluster with: kubectl version',
  },
} as const

/** Marks a request that ran into its own deadline. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError'
  readonly code = 'ETIMEDOUT'
}

/**
 * Maps a failed connection to exit clusterUnreachable, telling DNS, refusal, timeout, routing and TLS apart. `operation`: what
 * it was asked.
 */
export function transportError(cluster: ClusterName, error: unknown, operation?: Operation): MirrordError {
  if (error instanceof MirrordError) return error
  const {code = '', message} = rootCause(error)
  const alert =
    /alert (?:certificate required|bad certificate|unknown ca|certificate (?:expired|unknown|revoked))/i.test(message)
  if (alert || /SSL.*ALERT.*CERTIFICATE/.test(code)) {
    return new MirrordError(
      {
        code: 'UNAUTHORIZED',
        exit: 'unauthorized',
        what: `The cluster of the context "${cluster.context}" refused the client certificate.`,
        next: ['Renew the client certificate of the kubeconfig.'],
      },
      {cause: error},
    )
  }
  const proxied = cluster.proxy === undefined ? '' : ` through the proxy ${cluster.proxy}`
  const refusal = /^Bad response: (\d+)$/.exec(message)?.[1]
  if (proxied && (refusal || ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN'].includes(code)))
    return proxyError(cluster, refusal, error)
  const kind = kinds[code] ?? (code.startsWith('ERR_SSL') ? 'notTls' : 'other')
  const {code: stable, why = `The system answered: ${code || message}.`, next} = explanations[kind]
  const told = operation && ['cut', 'timeout', 'other'].includes(kind)
  return new MirrordError(
    {
      code: stable,
      exit: 'clusterUnreachable',
      what: `The cluster at ${cluster.server} (context "${cluster.context}") cannot be reached${proxied}.`,
      why: told ? `${why} It was asked to ${describeOperation(operation)}.` : why,
      next: [next, `Check the context: it is "${cluster.context}".`],
    },
    {cause: error},
  )
}

/** The proxy itself was not reached, or refused to go on: what it does after that is the cluster's. */
function proxyError({context, server, proxy}: ClusterName, refusal: string | undefined, cause: unknown): MirrordError {
  const {code} = rootCause(cause)
  return new MirrordError(
    {
      code: 'CLUSTER_PROXY',
      exit: 'clusterUnreachable',
      what: `The cluster at ${server} (context "${context}") cannot be reached through the proxy ${proxy}.`,
      why:
        refusal === undefined
          ? `The proxy itself cannot be reached (${code}).`
          : `The proxy refused to connect to it: HTTP ${refusal}${refusal === '407' ? ' (it wants a user and a password)' : ''}.`,
      next: [
        'Check the proxy: proxy-url of the kubeconfig, else HTTPS_PROXY, HTTP_PROXY or ALL_PROXY.',
        'If the cluster is reached without it: name the cluster in NO_PROXY, or set use_proxy: false.',
      ],
    },
    {cause},
  )
}

/** An answer that is no JSON, although it says that all is well: exit clusterUnreachable. */
export function notKubernetes(
  cluster: ClusterName,
  operation: Operation,
  contentType: string | undefined,
  text: string,
): MirrordError {
  const page = /^\s*</.test(text)
    ? 'a page'
    : `what is no JSON (${contentType ?? 'of no type'}, ${text.length} characters)`
  return new MirrordError({
    code: 'CLUSTER_NOT_KUBERNETES',
    exit: 'clusterUnreachable',
    what: `What answers at ${cluster.server} (context "${cluster.context}") is no Kubernetes API.`,
    why: `It was asked to ${describeOperation(operation)} and sent ${page}.`,
    next: [
      'Check the server of the kubeconfig: it may be a web page, a login of a proxy, or another service.',
      `Check it with: kubectl get --raw /version`,
    ],
  })
}

/** An AggregateError (all addresses of a name failed) is as telling as its first part. */
function rootCause(error: unknown): {code?: string; message: string} {
  if (error instanceof AggregateError && error.errors.length > 0) return rootCause(error.errors[0])
  if (error instanceof Error) return {code: (error as NodeJS.ErrnoException).code, message: error.message}
  return {message: String(error)}
}
