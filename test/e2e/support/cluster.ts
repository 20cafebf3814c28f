import {writeFileSync} from 'node:fs'
import net from 'node:net'
import {
  ApiException,
  AppsV1Api,
  BatchV1Api,
  CoreV1Api,
  KubeConfig,
  KubernetesObjectApi,
  PortForward,
  type KubernetesObject,
  type V1Pod,
} from '@kubernetes/client-node'
import {parseAllDocuments} from 'yaml'
import {until} from './until.ts'

const missing = (error: unknown) => error instanceof ApiException && error.code === 404

/** The resolved value, or undefined where the object does not exist. */
const orMissing = <T>(promise: Promise<T>): Promise<T | undefined> =>
  promise.catch((error: unknown) => {
    if (missing(error)) return undefined
    throw error
  })

/** A cluster as its administrator sees it: what the tests, the demo and the benchmark need of it, by any kubeconfig. */
export class Cluster {
  readonly config: KubeConfig
  readonly core: CoreV1Api
  readonly apps: AppsV1Api
  readonly batch: BatchV1Api
  readonly #objects: KubernetesObjectApi

  constructor(kubeconfig: string) {
    this.config = new KubeConfig()
    this.config.loadFromFile(kubeconfig)
    this.core = this.config.makeApiClient(CoreV1Api)
    this.apps = this.config.makeApiClient(AppsV1Api)
    this.batch = this.config.makeApiClient(BatchV1Api)
    this.#objects = KubernetesObjectApi.makeApiClient(this.config)
  }

  get server(): string {
    return this.config.getCurrentCluster()?.server ?? ''
  }

  /** Writes a kubeconfig with the same access, or with a token, whose namespace is `namespace`, as a CI job would be given one. */
  writeKubeconfig(file: string, namespace: string, token?: string): void {
    const exported = JSON.parse(this.config.exportConfig()) as {
      contexts: {context: {namespace?: string}}[]
      users: {user: object}[]
    }
    for (const {context} of exported.contexts) context.namespace = namespace
    if (token !== undefined) for (const entry of exported.users) entry.user = {token}
    writeFileSync(file, JSON.stringify(exported), {mode: 0o600})
  }

  /** Creates every object of a YAML text in `namespace`. */
  async create(namespace: string, yaml: string): Promise<void> {
    for (const document of parseAllDocuments(yaml)) {
      const object = document.toJS() as KubernetesObject | null
      if (!object?.kind) continue
      await this.#objects.create({...object, metadata: {...object.metadata, namespace}})
    }
  }

  async createNamespace(name: string): Promise<void> {
    await this.core.createNamespace({body: {metadata: {name}}})
    // The controller makes the default account a moment later; pods are refused until then.
    await until(`the default service account of ${name}`, () =>
      orMissing(this.core.readNamespacedServiceAccount({name: 'default', namespace: name})),
    )
  }

  /** Deletes a namespace and waits until it and everything in it is gone. */
  async deleteNamespace(name: string): Promise<void> {
    await orMissing(this.core.deleteNamespace({name, gracePeriodSeconds: 0}))
    await until(
      `the end of namespace ${name}`,
      async () => (await orMissing(this.core.readNamespace({name}))) === undefined,
      {timeout: 90_000, interval: 200},
    )
  }

  /** Errors: one that shows the state and the events of the pods. */
  async waitAvailable(namespace: string, name: string, signal?: AbortSignal): Promise<void> {
    const available = async () => {
      const {status} = await this.apps.readNamespacedDeployment({name, namespace})
      return status?.conditions?.some(({type, status}) => type === 'Available' && status === 'True')
    }
    try {
      await until(`deployment/${name} available`, available, {timeout: 60_000, interval: 100, signal})
    } catch (error) {
      signal?.throwIfAborted()
      throw new Error(`${(error as Error).message}\n${await this.#describePods(namespace, name)}`, {cause: error})
    }
  }

  async #describePods(namespace: string, app: string): Promise<string> {
    const {items: pods} = await this.core.listNamespacedPod({namespace, labelSelector: `app=${app}`})
    const {items: events} = await this.core.listNamespacedEvent({namespace})
    return pods
      .flatMap(({metadata, status}) => [
        `${metadata?.name}: ${status?.phase} ${JSON.stringify(status?.containerStatuses?.map(({state}) => state))}`,
        ...events
          .filter(({involvedObject}) => involvedObject.name === metadata?.name)
          .map(({reason, message}) => `  ${reason}: ${message}`),
      ])
      .join('\n')
  }

  /** The running pods of `app=<app>` that are not being deleted. */
  async pods(namespace: string, app: string): Promise<V1Pod[]> {
    const {items} = await this.core.listNamespacedPod({namespace, labelSelector: `app=${app}`})
    return items.filter((pod) => pod.status?.phase === 'Running' && !pod.metadata?.deletionTimestamp)
  }

  async pod(namespace: string, app: string): Promise<V1Pod> {
    const [pod] = await this.pods(namespace, app)
    if (!pod) throw new Error(`No running pod of app=${app} in ${namespace}`)
    return pod
  }

  /** Pods and jobs of agents in a namespace: none may be left after a stop. */
  async agents(namespace: string): Promise<string[]> {
    const [pods, jobs] = await Promise.all([
      this.core.listNamespacedPod({namespace, labelSelector: 'app=mirrord'}),
      this.batch.listNamespacedJob({namespace, labelSelector: 'app=mirrord'}),
    ])
    return [
      ...pods.items.map(({metadata}) => `pod ${metadata?.name}`),
      ...jobs.items.map(({metadata}) => `job ${metadata?.name}`),
    ]
  }

  /** Ends the agents of a namespace by force: only for what a failed test left. */
  async deleteAgents(namespace: string): Promise<void> {
    await this.batch.deleteCollectionNamespacedJob({
      namespace,
      labelSelector: 'app=mirrord',
      propagationPolicy: 'Background',
    })
    await until('the end of the agents', async () => (await this.agents(namespace)).length === 0, {timeout: 60_000})
  }

  /**
   * A base URL under which this machine reaches a Service as another workload would: its cluster address where that is
   * routed, else a port-forward to the pod behind it.
   */
  async serviceUrl(namespace: string, name: string): Promise<ServiceAddress> {
    const {spec} = await this.core.readNamespacedService({name, namespace})
    const port = spec?.ports?.[0]
    if (!spec?.clusterIP || !port) throw new Error(`Service ${name} has no address`)
    // kube-proxy may not know the pod yet, and refuses until then.
    const {clusterIP} = spec
    const direct = await until(`a connection to ${name}`, () => connects(clusterIP, port.port), {
      timeout: ROUTED_MS,
    }).catch(() => false)
    if (direct) {
      return {url: `http://${spec.clusterIP}${port.port === 80 ? '' : `:${port.port}`}`, direct: true, close() {}}
    }
    const target = Number(port.targetPort ?? port.port)
    const forward = new PortForward(this.config)
    const server = net.createServer((socket) => {
      socket.on('error', () => socket.destroy())
      this.pod(namespace, spec.selector?.app ?? name).then(
        (pod) => forward.portForward(namespace, pod.metadata!.name!, [target], socket, null, socket),
        () => socket.destroy(),
      )
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const local = (server.address() as net.AddressInfo).port
    return {url: `http://127.0.0.1:${local}`, direct: false, close: () => void server.close()}
  }
}

/** How long a Service may refuse before it counts as not routed to this machine. */
const ROUTED_MS = 5000

/** How a Service is reached from here. */
export interface ServiceAddress {
  url: string
  /** False: through a port-forward, where the server does not see this machine's address. */
  direct: boolean
  close(): void
}

function connects(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({host, port, timeout: 3000})
    const settle = (value: boolean) => {
      socket.destroy()
      resolve(value)
    }
    socket.once('connect', () => settle(true))
    socket.once('error', () => settle(false))
    socket.once('timeout', () => settle(false))
  })
}
