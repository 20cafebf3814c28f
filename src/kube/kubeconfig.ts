import {readFile} from 'node:fs/promises'
import type {Cluster as LibraryCluster, KubeConfig} from '@kubernetes/client-node'
import {nearest, type Environment} from '../config/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'
import {userEntries, type CredentialSource, type UserEntry} from './credential-source.ts'
import type {Impersonation} from './impersonation.ts'
import {malformed, missing, readKubeconfigs, type KubeconfigText} from './kubeconfig-files.ts'
import {proxyFor, proxyProblem} from './proxy.ts'

/** Which kubeconfig and context to use; keys of the configuration. */
export interface KubeconfigChoice {
  kubeconfig?: string
  kube_context?: string
  accept_invalid_certificates?: boolean
  use_proxy?: boolean
}

/** A kubeconfig with its context chosen and checked. */
export interface SelectedConfig {
  config: KubeConfig
  context: string
  cluster: LibraryCluster
  /** Namespace of the context, `default` when it has none. */
  namespace: string
  /** Where it was read from, for messages. */
  source: string
  /** Where the user's credentials come from when they are not in the kubeconfig itself. */
  credentials?: CredentialSource
  /** Whom the requests shall count as, where the library does not know of it. */
  impersonation?: Impersonation
}

const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount'
const serviceAccountToken = `${serviceAccount}/token`
const inPod = new Map<string, UserEntry>([['in-cluster', {source: {tokenFile: serviceAccountToken}}]])
/** The name of the user of a context that names none. */
const nobody = 'nobody (mirrord)'

/** Begins to load the Kubernetes library (0.15 s bundled, 0.45 s from node_modules), so that other work can overlap it. */
export function loadLibrary() {
  return import('@kubernetes/client-node')
}

/**
 * Finds, reads and merges kubeconfigs as kubectl does (the first file that names a thing wins), and selects the context.
 * Order: the configuration's `kubeconfig`, `MIRRORD_KUBECONFIG_B64`, `KUBECONFIG`, `~/.kube/config`, the pod's own service
 * account. Throws a
 * MirrordError of exit kubeconfig: KUBECONFIG_MISSING, KUBECONFIG_MALFORMED, KUBECONFIG_CONTEXT, KUBECONFIG_INCOMPLETE.
 */
export async function selectConfig(choice: KubeconfigChoice, env: Environment): Promise<SelectedConfig> {
  const library = loadLibrary()
  // The files are read meanwhile; without this a failure to load it could go unnoticed when they fail first.
  library.catch(() => undefined)
  const files = await readKubeconfigs(choice.kubeconfig, env)
  const {KubeConfig} = await library
  const config = new KubeConfig()
  let entries: ReadonlyMap<string, UserEntry> = inPod
  if (files.found.length > 0) entries = await merge(config, files.found, KubeConfig)
  else if (choice.kube_context === undefined && (await inCluster(config, env)))
    files.source = 'the service account of this pod'
  else throw missing(files.looked)
  return choose(config, choice, {source: files.source, entries, env})
}

/** The library refuses duplicate names where kubectl takes the first, so the lists are merged here. */
async function merge(
  config: KubeConfig,
  files: readonly KubeconfigText[],
  Reader: typeof KubeConfig,
): Promise<ReadonlyMap<string, UserEntry>> {
  const options = {clusters: [], users: [], contexts: [], currentContext: ''} as {
    clusters: {name: string}[]
    users: {name: string}[]
    contexts: {name: string}[]
    currentContext: string
  }
  const entries = new Map<string, UserEntry>()
  for (const file of files) {
    const one = new Reader()
    try {
      one.loadFromString(file.text)
      one.makePathsAbsolute(file.directory)
    } catch (error) {
      throw malformed(file.file, error)
    }
    for (const [name, entry] of await userEntries(file)) if (!entries.has(name)) entries.set(name, entry)
    for (const list of ['clusters', 'users', 'contexts'] as const) {
      const known = new Set(options[list].map(({name}) => name))
      options[list].push(...one[list].filter(({name}) => !known.has(name)))
    }
    options.currentContext ||= one.getCurrentContext() ?? ''
  }
  config.loadFromOptions(options)
  return entries
}

async function inCluster(config: KubeConfig, env: Environment): Promise<boolean> {
  const {KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port} = env
  if (!host || !port) return false
  const readable = await readFile(serviceAccountToken, 'utf8').catch(() => undefined)
  if (readable === undefined) return false
  const namespace = await readFile(`${serviceAccount}/namespace`, 'utf8').catch(() => undefined)
  config.loadFromOptions({
    clusters: [
      {
        name: 'in-cluster',
        server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
        caFile: `${serviceAccount}/ca.crt`,
      },
    ],
    users: [{name: 'in-cluster'}],
    contexts: [{name: 'in-cluster', cluster: 'in-cluster', user: 'in-cluster', namespace: namespace?.trim()}],
    currentContext: 'in-cluster',
  })
  return true
}

interface Found {
  source: string
  entries: ReadonlyMap<string, UserEntry>
  env: Environment
}

function choose(config: KubeConfig, choice: KubeconfigChoice, {source, entries, env}: Found): SelectedConfig {
  const names = config.getContexts().map(({name}) => name)
  const context = choice.kube_context ?? config.getCurrentContext()
  if (!context || !names.includes(context))
    throw unknownContext(context, names, source, choice.kube_context !== undefined)
  config.setCurrentContext(context)
  const {cluster: clusterName, user: userName, namespace} = config.getContextObject(context)!
  const cluster = config.getCluster(clusterName)
  if (!cluster) throw incomplete(context, 'cluster', clusterName, source)
  if (userName && !config.getUser(userName)) throw incomplete(context, 'user', userName, source)
  if (!URL.canParse(cluster.server) || !/^https?:/.test(cluster.server)) {
    throw malformed(source, new Error(`the server of the cluster "${clusterName}" is no http(s) address`))
  }
  const proxyUrl = cluster.proxyUrl ?? (choice.use_proxy === false ? undefined : proxyFor(cluster.server, env))
  const problem = proxyUrl === undefined ? undefined : proxyProblem(proxyUrl)
  if (problem) throw badProxy(context, cluster.proxyUrl === undefined, problem)
  const settled = {
    ...cluster,
    // Data goes before a file, as in kubectl; the library has it the other way round.
    caFile: cluster.caData ? undefined : cluster.caFile,
    // The library accepts plain http (kubectl proxy) only together with this.
    skipTLSVerify:
      cluster.skipTLSVerify || choice.accept_invalid_certificates === true || cluster.server.startsWith('http:'),
    proxyUrl,
  }
  config.clusters = config.getClusters().map((one) => (one.name === clusterName ? settled : one))
  if (!userName) {
    // For a context without a user the library leaves the authority out too.
    config.contexts = config.contexts.map((one) => (one.name === context ? {...one, user: nobody} : one))
    config.users = [...config.users, {name: nobody}]
  }
  config.users = config.users.map((user) => ({
    ...user,
    certFile: user.certData ? undefined : user.certFile,
    keyFile: user.keyData ? undefined : user.keyFile,
  }))
  const {source: credentials, impersonation} = entries.get(userName) ?? {}
  return {config, context, cluster: settled, namespace: namespace || 'default', source, credentials, impersonation}
}

function unknownContext(
  name: string | undefined,
  names: readonly string[],
  source: string,
  asked: boolean,
): MirrordError {
  const [near] = name ? nearest(name, names, 1) : []
  return new MirrordError({
    code: 'KUBECONFIG_CONTEXT',
    exit: 'kubeconfig',
    what: name ? `The kubeconfig has no context "${name}".` : 'The kubeconfig names no current context.',
    why: names.length > 0 ? `${source} has: ${names.join(', ')}.` : `${source} has no context at all.`,
    next: [
      near ? `Did you mean "${near}"?` : undefined,
      asked
        ? 'Correct --context or kube_context.'
        : 'Choose one with --context, or with: kubectl config use-context NAME',
    ].filter((line) => line !== undefined),
  })
}

function incomplete(context: string, kind: string, name: string | undefined, source: string): MirrordError {
  return new MirrordError({
    code: 'KUBECONFIG_INCOMPLETE',
    exit: 'kubeconfig',
    what: `The context "${context}" of the kubeconfig cannot be used.`,
    why: name ? `It names the ${kind} "${name}", which ${source} does not define.` : `It names no ${kind}.`,
    next: ['Complete the kubeconfig, or choose another context with --context.'],
  })
}

function badProxy(context: string, ofEnvironment: boolean, problem: string): MirrordError {
  return new MirrordError({
    code: 'KUBECONFIG_PROXY',
    exit: 'kubeconfig',
    what: `The proxy of the context "${context}" cannot be used.`,
    why: `It comes from ${ofEnvironment ? 'the environment (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY)' : 'the proxy-url of the kubeconfig'}: ${problem}.`,
    next: [
      ofEnvironment
        ? 'Correct the variable, except the cluster with NO_PROXY, or set use_proxy: false.'
        : 'Correct the proxy-url, or leave it out.',
    ],
  })
}
