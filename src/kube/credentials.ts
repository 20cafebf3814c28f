import http from 'node:http'
import https from 'node:https'
import type {KubeConfig} from '@kubernetes/client-node'
import {MirrordError} from '../errors/mirrord-error.ts'
import type {ClusterName} from './errors.ts'

/** Options for a request or a WebSocket: authority, client certificate, headers, agent. */
export type ConnectionOptions = https.RequestOptions & {agent?: http.Agent; headers?: Record<string, string>}

/** Supplies connection options; asks the kubeconfig's credential source again when they may have changed. */
export interface Credentials {
  /** Throws a MirrordError: exit kubeconfig when a file or program is missing, exit unauthorized when it fails. */
  options(): Promise<ConnectionOptions>
  /** Forgets what was read. Returns false when that cannot give anything new. */
  renew(): boolean
  close(): void
}

/** Tokens live for minutes at least; asking the library on each request would read certificate files each time. */
const freshMs = 30_000

/** Credentials from the library, which knows client certificates, tokens, token files, exec and OIDC plugins, proxies. */
export function createCredentials(config: KubeConfig, cluster: ClusterName): Credentials {
  let cached: {options: Promise<ConnectionOptions>; until: number} | undefined
  let agent: http.Agent | undefined
  let agentKey = ''

  async function load(): Promise<ConnectionOptions> {
    const options: https.RequestOptions = {}
    try {
      await config.applyToHTTPSOptions(options)
    } catch (error) {
      throw credentialError(cluster, error, config.getCurrentUser()?.exec as {command?: string} | undefined)
    }
    const {ca, cert, key, rejectUnauthorized, servername} = options as https.RequestOptions & {servername?: string}
    const proxied = config.getCurrentCluster()?.proxyUrl !== undefined
    // The library's agent does not keep connections; its proxy agents are used as they are.
    const identity = [ca, cert, key, rejectUnauthorized, servername].map(String).join('\0')
    if (!agent || identity !== agentKey) {
      agent?.destroy()
      agentKey = identity
      const tls = {ca, cert, key, rejectUnauthorized, servername}
      agent = proxied
        ? (options.agent as http.Agent)
        : cluster.server.startsWith('http:')
          ? new http.Agent({keepAlive: true})
          : new https.Agent({keepAlive: true, ...tls})
    }
    return {...options, agent, headers: options.headers as Record<string, string>}
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
    renew() {
      const user = config.getCurrentUser()
      const renewable = Boolean(user?.exec ?? user?.authProvider)
      cached = undefined
      return renewable
    },
    close() {
      agent?.destroy()
      agent = undefined
      cached = undefined
    },
  }
}

function credentialError(cluster: ClusterName, error: unknown, exec?: {command?: string}): MirrordError {
  const {code, path, message} = error as NodeJS.ErrnoException
  const missing = code === 'ENOENT' || code === 'EACCES'
  const what = `The credentials of the context "${cluster.context}" cannot be read.`
  if (missing && !exec) {
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
  if (missing) {
    return new MirrordError(
      {
        code: 'CREDENTIAL_PROGRAM_MISSING',
        exit: 'kubeconfig',
        what,
        why: `The kubeconfig gets them from the program "${exec?.command}", which is not installed here or not executable.`,
        next: [`Install ${exec?.command} in the CI job, or use a kubeconfig with a service account's token.`],
      },
      {cause: error},
    )
  }
  return new MirrordError(
    {
      code: 'CREDENTIAL_PROGRAM_FAILED',
      exit: 'unauthorized',
      what,
      why: exec ? `The program "${exec.command}" failed.` : 'The source of the credentials failed.',
      next: ['Sign in again, or provide what the program needs in the CI job.', 'Check with: kubectl auth whoami'],
      // What the program printed helps, but it may hold a token: long unbroken words are cut out.
      detail: message.replace(/[\w+/=.-]{40,}/g, '…').slice(0, 1000),
    },
    {cause: error},
  )
}
