import type {Environment} from '../config/index.ts'
import {createClient, type KubeClient} from './client.ts'
import {createCredentials, type Credentials} from './credentials.ts'
import {proxyName} from './proxy.ts'
import {selectConfig, type KubeconfigChoice} from './kubeconfig.ts'
import type {RetryPolicy} from './retry.ts'

/** A cluster that was chosen, with what is needed to talk to it. Credentials are inside and never printed. */
export interface Cluster {
  /** Name of the kubeconfig context. */
  readonly context: string
  /** Address of the API server. */
  readonly server: string
  /** The proxy before it, without its password. */
  readonly proxy?: string
  /** Namespace of the context, `default` when it has none. */
  readonly namespace: string
  /** Where the kubeconfig was read from. */
  readonly source: string
  readonly client: KubeClient
  readonly credentials: Credentials
  /** Tells of a request that is repeated, in a sentence. */
  readonly note: (text: string) => void
}

/** The keys of the configuration that decide how a cluster is reached. */
export interface ClusterChoice extends KubeconfigChoice {
  startup_retry?: RetryPolicy
}

/** What the API server tells about itself. */
export interface ServerVersion {
  gitVersion: string
  major?: string
  minor?: string
}

const defaultRetry: RetryPolicy = {min_ms: 500, max_ms: 5000, max_retries: 2}

/**
 * Chooses the cluster and prepares a client; no request is sent. `note` is told of every request that is repeated, in a
 * sentence. Throws the errors of `selectConfig`. The result holds kept connections: `client.close()` ends them.
 */
export async function loadCluster(
  choice: ClusterChoice,
  env: Environment,
  note: (text: string) => void = () => {},
): Promise<Cluster> {
  const selected = await selectConfig(choice, env)
  const {context, cluster, namespace, source} = selected
  const name = {context, server: cluster.server, proxy: cluster.proxyUrl && proxyName(cluster.proxyUrl)}
  const credentials = createCredentials(selected, name, env)
  return {
    ...name,
    namespace,
    source,
    credentials,
    note,
    client: createClient(name, credentials, choice.startup_retry ?? defaultRetry, note),
  }
}

/**
 * Asks the API server for its version: whether it can be reached, trusts the credentials' form and is a Kubernetes.
 * Throws a MirrordError of exit clusterUnreachable, unauthorized or forbidden. `timeoutMs` is 10 s by default.
 */
export async function checkCluster(
  cluster: Cluster,
  options: {timeoutMs?: number; signal?: AbortSignal} = {},
): Promise<ServerVersion> {
  return cluster.client.json<ServerVersion>({
    operation: {verb: 'get', api: 'v1', resource: 'version'},
    path: '/version',
    timeoutMs: options.timeoutMs ?? 10_000,
    signal: options.signal,
  })
}
