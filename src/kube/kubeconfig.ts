import {readFile} from 'node:fs/promises'
import path from 'node:path'
import type {Cluster as LibraryCluster, KubeConfig} from '@kubernetes/client-node'
import {nearest, type Environment} from '../config/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'

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
}

const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount'

/** Begins to load the Kubernetes library (0.15 s bundled, 0.45 s from node_modules), so that other work can overlap it. */
export function loadLibrary() {
  return import('@kubernetes/client-node')
}

/**
 * Finds, reads and merges kubeconfigs as kubectl does (the first file that names a thing wins), and selects the context.
 * Order: the configuration's `kubeconfig`, `KUBECONFIG`, `~/.kube/config`, the pod's own service account. Throws a
 * MirrordError of exit kubeconfig: KUBECONFIG_MISSING, KUBECONFIG_MALFORMED, KUBECONFIG_CONTEXT, KUBECONFIG_INCOMPLETE.
 */
export async function selectConfig(choice: KubeconfigChoice, env: Environment): Promise<SelectedConfig> {
  const library = loadLibrary()
  // The files are read meanwhile; without this a failure to load it could go unnoticed when they fail first.
  library.catch(() => undefined)
  const files = await readFiles(choice, env)
  const {KubeConfig} = await library
  const config = new KubeConfig()
  if (files.found.length > 0) merge(config, files.found, KubeConfig)
  else if (choice.kube_context === undefined && (await inCluster(config, env)))
    files.source = 'the service account of this pod'
  else throw missing(files.looked)
  return choose(config, choice, files.source, env)
}

interface Files {
  found: {file: string; text: string}[]
  looked: string[]
  source: string
}

async function readFiles(choice: KubeconfigChoice, env: Environment): Promise<Files> {
  const home = env.HOME
  const explicit = choice.kubeconfig !== undefined
  const named = explicit ? expand(choice.kubeconfig!, env) : env.KUBECONFIG
  const names = named
    ? named.split(path.delimiter).filter((name) => name !== '')
    : home
      ? [path.join(home, '.kube', 'config')]
      : []
  const result: Files = {found: [], looked: [], source: ''}
  for (const file of names) {
    try {
      result.found.push({file, text: await readFile(file, 'utf8')})
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      const reason =
        code === 'ENOENT' ? 'no such file' : code === 'EACCES' ? 'not readable for this user' : (code ?? 'unreadable')
      result.looked.push(
        `${file} (${explicit ? 'kubeconfig of the configuration' : named ? 'KUBECONFIG' : 'default'}): ${reason}`,
      )
      // kubectl passes over missing files of a list; a file that was named on purpose must be there.
      if (explicit || code !== 'ENOENT') throw missing(result.looked)
    }
  }
  if (!home && !named) result.looked.push('~/.kube/config: HOME is not set')
  result.source = result.found.map(({file}) => file).join(path.delimiter)
  return result
}

/** `~` and variables, as upstream expands them in the configuration's value (agent.md 1.11). */
function expand(text: string, env: Environment): string {
  return text
    .split(path.delimiter)
    .map((part) => (part === '~' || part.startsWith('~/') ? `${env.HOME ?? '~'}${part.slice(1)}` : part))
    .join(path.delimiter)
    .replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced?: string, bare?: string) => env[braced ?? bare ?? ''] ?? whole)
}

/** The library refuses duplicate names where kubectl takes the first, so the lists are merged here. */
function merge(config: KubeConfig, files: readonly {file: string; text: string}[], Reader: typeof KubeConfig): void {
  const options = {clusters: [], users: [], contexts: [], currentContext: ''} as {
    clusters: {name: string}[]
    users: {name: string}[]
    contexts: {name: string}[]
    currentContext: string
  }
  for (const {file, text} of files) {
    const one = new Reader()
    try {
      one.loadFromString(text)
      one.makePathsAbsolute(path.resolve(path.dirname(file)))
    } catch (error) {
      throw malformed(file, error)
    }
    for (const list of ['clusters', 'users', 'contexts'] as const) {
      const known = new Set(options[list].map(({name}) => name))
      options[list].push(...one[list].filter(({name}) => !known.has(name)))
    }
    options.currentContext ||= one.getCurrentContext() ?? ''
  }
  config.loadFromOptions(options)
}

async function inCluster(config: KubeConfig, env: Environment): Promise<boolean> {
  const {KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port} = env
  if (!host || !port) return false
  const token = `${serviceAccount}/token`
  const readable = await readFile(token, 'utf8').catch(() => undefined)
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
    users: [{name: 'in-cluster', authProvider: {name: 'tokenFile', config: {tokenFile: token}}}],
    contexts: [{name: 'in-cluster', cluster: 'in-cluster', user: 'in-cluster', namespace: namespace?.trim()}],
    currentContext: 'in-cluster',
  })
  return true
}

function choose(config: KubeConfig, choice: KubeconfigChoice, source: string, env: Environment): SelectedConfig {
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
  const settled = {
    ...cluster,
    // The library accepts plain http (kubectl proxy) only together with this.
    skipTLSVerify:
      cluster.skipTLSVerify || choice.accept_invalid_certificates === true || cluster.server.startsWith('http:'),
    proxyUrl: cluster.proxyUrl ?? (choice.use_proxy === false ? undefined : proxyFor(cluster.server, env)),
  }
  config.clusters = config.getClusters().map((one) => (one.name === clusterName ? settled : one))
  return {config, context, cluster: settled, namespace: namespace || 'default', source}
}

/** The proxy that the environment names for a server, by the usual rules: lower case first, NO_PROXY by suffix or `*`. */
export function proxyFor(server: string, env: Environment): string | undefined {
  const {protocol, hostname} = new URL(server)
  const names = protocol === 'https:' ? ['https_proxy', 'HTTPS_PROXY'] : ['http_proxy']
  const proxy = names.map((name) => env[name]).find((value) => value)
  if (!proxy) return undefined
  const host = hostname.replace(/^\[|\]$/g, '')
  const exceptions = (env.no_proxy ?? env.NO_PROXY ?? '').split(/[\s,]+/).filter((entry) => entry !== '')
  const excepted = exceptions.some((entry) => {
    if (entry === '*') return true
    const suffix = entry.replace(/^\*?\./, '')
    return host === suffix || host.endsWith(`.${suffix}`) || inNetwork(host, entry)
  })
  if (excepted || host === 'localhost' || host === '::1' || host.startsWith('127.')) return undefined
  return proxy.includes('://') ? proxy : `http://${proxy}`
}

/** Whether an IPv4 address lies in a network given as `a.b.c.d/n`, the form in which NO_PROXY excepts clusters. */
function inNetwork(host: string, network: string): boolean {
  const match = /^(\d+\.\d+\.\d+\.\d+)\/(\d+)$/.exec(network)
  if (!match || !/^\d+\.\d+\.\d+\.\d+$/.test(host)) return false
  const bits = (address: string) => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  const size = 2 ** (32 - Number(match[2]))
  return Math.floor(bits(host) / size) === Math.floor(bits(match[1]!) / size)
}

function missing(looked: readonly string[]): MirrordError {
  return new MirrordError({
    code: 'KUBECONFIG_MISSING',
    exit: 'kubeconfig',
    what: 'There is no kubeconfig.',
    why: 'None was found at the places below.',
    next: ['Set KUBECONFIG to a kubeconfig file, or name it as "kubeconfig" in the configuration.'],
    detail: looked.join('\n'),
  })
}

/** The YAML reader's message quotes the file, which holds credentials: only its reason and line are told. */
function malformed(file: string, error: unknown): MirrordError {
  const {reason, mark, message} = error as {reason?: string; mark?: {line?: number}; message: string}
  const place = mark?.line === undefined ? '' : `:${mark.line + 1}`
  const why = reason ?? (error instanceof TypeError ? 'it is empty or no kubeconfig' : message)
  return new MirrordError({
    code: 'KUBECONFIG_MALFORMED',
    exit: 'kubeconfig',
    what: `The kubeconfig ${file}${place} is malformed.`,
    why: `The reason: ${why}.`,
    next: ['Check it with: kubectl config view'],
  })
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
