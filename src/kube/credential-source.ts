import {readFile, realpath, rename, rm, stat, writeFile} from 'node:fs/promises'
import path from 'node:path'
import type {KubeConfig} from '@kubernetes/client-node'
import type {Environment} from '../config/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'
import {execCredential, type ExecCredential, type ExecCluster, type ExecPlugin} from './exec-credential.ts'
import type {Impersonation} from './impersonation.ts'
import {isEncoded, type KubeconfigText} from './kubeconfig-files.ts'
import {oidcCredential, type OidcConfig, type OidcTokens} from './oidc.ts'

/** Where a user's credentials come from: a file that is written anew when they change, a program, an OIDC issuer. */
export type CredentialSource =
  | {tokenFile: string}
  | {exec: ExecPlugin; clusterConfig: ReadonlyMap<string, unknown>}
  | {oidc: OidcConfig; keep: (tokens: OidcTokens) => Promise<void>}
  /** A provider that kubectl does not have any more either. */
  | {provider: string}

/** What of a user the library does not read. */
export interface UserEntry {
  source?: CredentialSource
  impersonation?: Impersonation
}

/** The name of a cluster's extension that is meant for the program (client-go credential plugins). */
const EXTENSION = 'client.authentication.k8s.io/exec'

interface RawUser extends Impersonation {
  tokenFile?: string
  exec?: ExecPlugin
  'auth-provider'?: {name?: string; config?: OidcConfig}
}

interface Raw {
  clusters?: {name?: string; cluster?: {extensions?: {name?: string; extension?: unknown}[]}}[]
  users?: {name?: string; user?: RawUser}[]
}

/**
 * The users of a kubeconfig, by name, as far as the library does not do. It passes over `tokenFile` (2.0.1 reads another key,
 * once) and over whom is impersonated besides the name, and runs programs without what they are promised. A command with a
 * slash is relative to the kubeconfig, as in kubectl.
 */
export async function userEntries(file: KubeconfigText): Promise<Map<string, UserEntry>> {
  const {text, directory} = file
  const entries = new Map<string, UserEntry>()
  // Most have none of it, and reading the text twice costs.
  if (!/\b(?:tokenFile|exec|auth-provider|as-uid|as-groups|as-user-extra)\b/.test(text)) return entries
  const {readKubeconfig} = await import('./kubeconfig-yaml.ts')
  const {users, clusters} = (readKubeconfig(text) ?? {}) as Raw
  const clusterConfig = new Map(
    (clusters ?? []).map(({name = '', cluster}) => [
      name,
      cluster?.extensions?.find((extension) => extension.name === EXTENSION)?.extension,
    ]),
  )
  for (const {name, user} of users ?? []) {
    if (name === undefined || !user || entries.has(name)) continue
    const {as, 'as-uid': uid, 'as-groups': groups, 'as-user-extra': extra} = user
    const impersonation = {as, 'as-uid': uid, 'as-groups': groups, 'as-user-extra': extra}
    entries.set(name, {source: sourceOf(user, {file, name, directory, clusterConfig}), impersonation})
  }
  return entries
}

interface Place {
  file: KubeconfigText
  name: string
  directory: string
  clusterConfig: ReadonlyMap<string, unknown>
}

function sourceOf(user: RawUser, {file, name, directory, clusterConfig}: Place): CredentialSource | undefined {
  if (user.tokenFile) return {tokenFile: path.resolve(directory, user.tokenFile)}
  if (user.exec) {
    const {command} = user.exec
    return {
      exec: {...user.exec, command: command?.includes('/') ? path.resolve(directory, command) : command},
      clusterConfig,
    }
  }
  const provider = user['auth-provider']
  if (!provider) return undefined
  if (provider.name !== 'oidc') return {provider: provider.name ?? ''}
  const authority = provider.config?.['idp-certificate-authority']
  const oidc = {
    ...provider.config,
    ...(authority ? {'idp-certificate-authority': path.resolve(directory, authority)} : {}),
  }
  return {oidc, keep: (tokens) => keepTokens(file, name, tokens)}
}

/**
 * Writes new tokens into the kubeconfig, as kubectl does: issuers that rotate refresh tokens take each only once, and the next
 * command needs the next one. One that cannot be written, or is a variable, stays as it is.
 */
async function keepTokens({file, text}: KubeconfigText, user: string, tokens: OidcTokens): Promise<void> {
  if (isEncoded(file)) return
  const {withProviderConfig} = await import('./kubeconfig-yaml.ts')
  try {
    // Somebody else may have changed it since.
    const now = await readFile(file, 'utf8').catch(() => text)
    // A link stays one.
    const real = await realpath(file)
    const {mode} = await stat(real)
    const written = `${real}.mirrord-${process.pid}`
    await writeFile(written, withProviderConfig(now, user, tokens), {mode: mode & 0o777, flag: 'wx'})
    await rename(written, real).finally(() => rm(written, {force: true}))
  } catch (error) {
    if (!['EACCES', 'EROFS', 'EPERM', 'ENOSPC'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

/** Fills in what the source gives; the library takes it from there. */
export interface CredentialFiller {
  /** Throws what `execCredential` throws, and the error of reading the file. */
  fill(): Promise<void>
  /** Forgets what the program gave. */
  forget(): void
}

/** Before an expiry that is told, a new credential is asked for: a request takes its time, and clocks differ. */
const EARLY_MS = 10_000

/** Keeps the current user of a kubeconfig filled from its source: the file is read each time, the program run when it must be. */
export function createFiller(
  config: KubeConfig,
  source: CredentialSource | undefined,
  {context, env}: {context: string; env: Environment},
): CredentialFiller {
  let given: ExecCredential | undefined
  let refused = false
  return {
    async fill() {
      const user = config.users.find(({name}) => name === config.getContextObject(context)?.user)
      if (!user || !source) return
      const change = user as {
        token?: string
        certData?: string
        keyData?: string
        exec?: unknown
        authProvider?: unknown
      }
      if ('tokenFile' in source) {
        change.token = (await readFile(source.tokenFile, 'utf8')).trim()
        return
      }
      if ('provider' in source) throw unknownProvider(context, source.provider)
      // From here on the library must not do it as well.
      change.exec = undefined
      change.authProvider = undefined
      if (given && Date.now() < (given.expiresAt ?? Infinity) - EARLY_MS) return
      given =
        'oidc' in source
          ? await oidcCredential(source.oidc, context, source.keep, refused)
          : await execCredential(source.exec, await describeCluster(config, source), {context, env})
      refused = false
      change.token = given.token
      change.certData = given.certificate && base64(given.certificate)
      change.keyData = given.key && base64(given.key)
    },
    forget() {
      given = undefined
      refused = true
    },
  }
}

/** How users come away from the providers that client-go 1.26 has dropped. */
const replacements: Readonly<Record<string, string>> = {
  gcp: 'Write the kubeconfig anew, with the plugin: gcloud components install gke-gcloud-auth-plugin && gcloud container clusters get-credentials CLUSTER',
  azure: 'Convert the kubeconfig: az aks install-cli && kubelogin convert-kubeconfig -l azurecli',
}

function unknownProvider(context: string, provider: string): MirrordError {
  return new MirrordError({
    code: 'CREDENTIAL_PROVIDER',
    exit: 'unauthorized',
    what: `The credentials of the context "${context}" cannot be read.`,
    why: `They come from the auth-provider "${provider}"; only "oidc" is supported, as in kubectl.`,
    next: [
      ...(replacements[provider] ? [replacements[provider]] : []),
      "Use a kubeconfig with an exec plugin, or with a service account's token.",
    ],
  })
}

const base64 = (text: string) => Buffer.from(text).toString('base64')

async function describeCluster(
  config: KubeConfig,
  {exec, clusterConfig}: Extract<CredentialSource, {exec: ExecPlugin}>,
): Promise<ExecCluster> {
  const cluster = config.getCurrentCluster()!
  if (!exec.provideClusterInfo) return {server: cluster.server}
  const authority = cluster.caData ?? (cluster.caFile ? base64(await readFile(cluster.caFile, 'utf8')) : undefined)
  return {
    server: cluster.server,
    ...(cluster.tlsServerName ? {'tls-server-name': cluster.tlsServerName} : {}),
    ...(cluster.skipTLSVerify ? {'insecure-skip-tls-verify': true} : {}),
    ...(authority ? {'certificate-authority-data': authority} : {}),
    ...(cluster.proxyUrl ? {'proxy-url': cluster.proxyUrl} : {}),
    ...(clusterConfig.get(cluster.name) === undefined ? {} : {config: clusterConfig.get(cluster.name)}),
  }
}
