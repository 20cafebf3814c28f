import http from 'node:http'
import https from 'node:https'
import type {Environment} from '../config/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'
import {createFiller} from './credential-source.ts'
import type {ClusterName} from './errors.ts'
import {impersonationHeaders} from './impersonation.ts'
import type {SelectedConfig} from './kubeconfig.ts'

/** Options for a request or a WebSocket: authority, client certificate, headers, agent. */
export type ConnectionOptions = https.RequestOptions & {agent?: http.Agent; headers?: http.OutgoingHttpHeaders}

/** Supplies connection options; asks the kubeconfig's credential source again when they may have changed. */
export interface Credentials {
  /** Throws a MirrordError: exit kubeconfig when a file or program is missing, exit unauthorized when it fails. */
  options(): Promise<ConnectionOptions>
  /**
   * Forgets what was read, after the server has refused `refused`; once for all requests that were sent with it. Returns false
   * when that cannot give anything new.
   */
  renew(refused?: ConnectionOptions): boolean
  close(): void
}

/** Tokens live for minutes at least; asking the library on each request would read certificate files each time. */
const freshMs = 30_000

/** Credentials from the library, which knows client certificates, tokens and proxies, and from `credential-source.ts`. */
export function createCredentials(
  {config, credentials: source, impersonation}: Pick<SelectedConfig, 'config' | 'credentials' | 'impersonation'>,
  cluster: ClusterName,
  env: Environment,
): Credentials {
  const filler = createFiller(config, source, {context: cluster.context, env})
  let cached: {options: Promise<ConnectionOptions>; until: number} | undefined
  let agent: http.Agent | undefined
  let agentKey = ''
  /** What requests are sent with now. */
  let current: ConnectionOptions | undefined

  async function load(): Promise<ConnectionOptions> {
    const options: https.RequestOptions = {}
    try {
      await filler.fill()
      // It keeps a proxy's agent by the user's name, with the certificate that the user had then.
      ;(config as unknown as {agentCache?: Map<string, unknown>}).agentCache?.clear()
      await config.applyToHTTPSOptions(options)
    } catch (error) {
      throw credentialError(cluster, error)
    }
    const {ca, cert, key, rejectUnauthorized, servername} = options as https.RequestOptions & {servername?: string}
    const proxied = config.getCurrentCluster()?.proxyUrl !== undefined
    // The library's agents do not keep connections.
    const identity = [ca, cert, key, rejectUnauthorized, servername].map(String).join('\0')
    if (!agent || identity !== agentKey) {
      agent?.destroy()
      agentKey = identity
      const tls = {ca, cert, key, rejectUnauthorized, servername}
      agent = proxied
        ? keeping(options.agent as http.Agent)
        : cluster.server.startsWith('http:')
          ? new http.Agent({keepAlive: true})
          : new https.Agent({keepAlive: true, ...tls})
    }
    const headers = {
      ...(options.headers as http.OutgoingHttpHeaders),
      ...(impersonation && impersonationHeaders(impersonation, cluster.context)),
    }
    return (current = {...options, agent, headers})
  }

  return {
    options() {
      if (!cached || Date.now() > cached.until) {
        const entry = {options: load(), until: Date.now() + freshMs}
        // A failure is not kept: the next request asks again.
        entry.options.catch(() => cached === entry && (cached = undefined))
        cached = entry
      }
      return cached.options
    },
    renew(refused) {
      const renewable = source !== undefined
      if (refused && refused !== current) return renewable
      cached = undefined
      current = undefined
      filler.forget()
      return renewable
    },
    close() {
      agent?.destroy()
      agent = undefined
      cached = undefined
    },
  }
}

/** The library's proxy agents close nothing that they do not keep: its connections stayed half open (Node 22, TLS over a proxy). */
function keeping(agent: http.Agent): http.Agent {
  return Object.assign(agent, {keepAlive: true})
}

function credentialError(cluster: ClusterName, error: unknown): MirrordError {
  if (error instanceof MirrordError) return error
  const {code, path, message} = error as NodeJS.ErrnoException
  const what = `The credentials of the context "${cluster.context}" cannot be read.`
  if (code === 'ENOENT' || code === 'EACCES') {
    return new MirrordError(
      {
        code: 'KUBECONFIG_FILE_MISSING',
        exit: 'kubeconfig',
        what,
        why: `The kubeconfig names the file ${path}, which ${code === 'ENOENT' ? 'does not exist' : 'may not be read'}.`,
        next: ['Provide the file, or use a kubeconfig with embedded data (kubectl config view --flatten --minify).'],
      },
      {cause: error},
    )
  }
  return new MirrordError(
    {
      code: 'CREDENTIAL_SOURCE_FAILED',
      exit: 'unauthorized',
      what,
      why: 'The source of the credentials failed.',
      next: ['Sign in again, or provide what it needs in the CI job.', 'Check with: kubectl auth whoami'],
      // What it said helps, but it may hold a token: long unbroken words are cut out.
      detail: message.replace(/[\w+/=.-]{40,}/g, '…').slice(0, 1000),
    },
    {cause: error},
  )
}
