import {randomBytes} from 'node:crypto'
import {chmodSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {admission} from './admission.ts'
import {Access} from './api/auth.ts'
import type {Denial, TokenUser} from './api/auth.ts'
import {createAuthority} from './api/certs.ts'
import type {Authority} from './api/certs.ts'
import type {Fault, Faults} from './api/faults.ts'
import {R} from './api/resources.ts'
import {serviceAccountToken} from './api/reviews.ts'
import {ApiServer} from './api/server.ts'
import {Store} from './api/store.ts'
import type {Controller, ControllerContext} from './controllers/controller.ts'
import {definitions} from './controllers/definitions.ts'
import {deployments} from './controllers/deployment.ts'
import {endpoints} from './controllers/endpoints.ts'
import {garbage} from './controllers/garbage.ts'
import {jobs} from './controllers/job.ts'
import {replicaSets} from './controllers/replicaset.ts'
import {scheduler} from './controllers/scheduler.ts'
import {run} from './exec.ts'
import {Images} from './images.ts'
import {Recorder} from './kubelet/events.ts'
import {Kubelet} from './kubelet/kubelet.ts'
import {Machine} from './kubelet/machine.ts'
import {ClusterDns} from './net/dns.ts'
import {ServiceProxy} from './net/services.ts'
import {certificateUser, kubeconfigText} from './kubeconfig.ts'
import type {Addresses} from './net/slots.ts'
import {seed} from './seed.ts'
import {createStateDir, reapStateDirs} from './state.ts'

export interface SandboxOptions {
  /** First two numbers of the address ranges; a free /24 of each is taken. 10.211 and 10.212 when absent. */
  podRange?: string
  serviceRange?: string
  /** Name and kubernetes.io/hostname label of the node. */
  nodeName?: string
  /** The agent's bundle; `<repository>/lib/agent/agent.js` when absent. Looked for when a pod uses it. */
  agentBundle?: string
  /** Bearer-token users besides the administrator. */
  tokens?: TokenUser[]
  /** Requests that are refused with 403. */
  denials?: Denial[]
  /** Requests that fail in other ways. */
  faults?: Fault[]
  /** First back-off after a crash or a failed pull, seconds; 10 when absent, as with a kubelet. */
  backoff?: number
  /** The program that writes the rules, for example `iptables-legacy-restore`; found by trying when absent. */
  iptables?: string
}

/** What is wrong with an address of the API: its certificate, no TLS behind `https:`, or nobody who ever answers. */
export type Door = 'expired' | 'other-name' | 'unknown-authority' | 'plain' | 'silent'

export interface Sandbox {
  /** Path of the administrator's kubeconfig (client certificate), mode 0600. */
  kubeconfig: string
  /** `https://127.0.0.1:<port>` */
  server: string
  /** PEM. */
  ca: string
  stateDir: string
  addresses: Addresses
  images: Images
  access: Access
  store: Store
  /** Writes a kubeconfig for another user and returns its path. */
  kubeconfigFor(
    user: {name: string; token: string} | {name: string; groups?: string[]; notAfter?: Date},
  ): Promise<string>
  /** Refuses matching requests with 403 until the returned function is called. */
  deny(denial: Denial): () => void
  /** Requests that fail; `PUT /sandbox/faults` of the API sets them too. */
  faults: Faults
  /** Another address of the same API, at which something is wrong before any request can be made. */
  door(kind: Door): Promise<string>
  /** Pid on this machine of a running container's first process. */
  pid(namespace: string, pod: string, container?: string): number | undefined
  /** Resolves when the cluster has ended without stop(), for example because somebody killed its node. */
  ended: Promise<void>
  /** Ends everything and leaves nothing behind. */
  stop(): Promise<void>
}

/** What is missing on this machine to run a sandbox, as sentences; empty when nothing is. */
export async function missingRequirements(): Promise<string[]> {
  const missing: string[] = []
  if (process.platform !== 'linux') return ['The sandbox needs Linux.']
  if (process.getuid?.() !== 0) missing.push('The sandbox needs root: it makes network, mount and process namespaces.')
  const tools = {
    ip: 'iproute2',
    'iptables-restore': 'iptables',
    nsenter: 'util-linux',
    unshare: 'util-linux',
    setpriv: 'util-linux',
    bash: 'bash',
  }
  for (const [tool, name] of Object.entries(tools)) {
    const found = await run('sh', ['-c', 'command -v "$1"', 'sh', tool])
    if (found.code !== 0) missing.push(`The program ${tool} is missing: apt-get install ${name}.`)
  }
  return missing
}

/** Thrown when this machine cannot run a sandbox; the product's exit code for that is 81. */
export class NotPossible extends Error {
  readonly exitCode = 81
}

/**
 * Starts a cluster on this machine. Throws NotPossible, with everything that is missing, when it cannot. Removes what
 * dead sandboxes left behind first.
 */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const missing = await missingRequirements()
  if (missing.length) throw new NotPossible(missing.join(' '))
  reapStateDirs()
  const stateDir = createStateDir()
  const undo: (() => unknown)[] = [() => rmSync(stateDir, {recursive: true, force: true})]
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step()
  }
  try {
    chmodSync(stateDir, 0o711)
    const ranges = {pods: options.podRange ?? '10.211', services: options.serviceRange ?? '10.212'}
    const [machine, authority] = await Promise.all([Machine.start(stateDir, ranges), createAuthority()])
    undo.push(() => machine.stop())
    const a = machine.addresses
    const store = new Store()
    const access = new Access()
    const images = new Images(options.agentBundle)
    const nodeName = options.nodeName ?? 'sandbox-node'
    const hooks = admission(store, a)
    const recorder = (component: string) => new Recorder(store, component)

    const proxy = new ServiceProxy(store, machine)
    const tokens = new Map<string, string>()
    const kubelet = new Kubelet({
      store,
      machine,
      images,
      recorder: new Recorder(store, 'kubelet', nodeName),
      nodeName,
      backoff: options.backoff ?? 10,
      dns: a.host,
      ca: authority.cert,
      token(namespace, account) {
        const key = `${namespace}/${account}`
        if (!tokens.has(key)) tokens.set(key, serviceAccountToken(access, namespace, account))
        return tokens.get(key)
      },
      unrouted: (ip) => proxy.unrouted(ip),
    })
    const pair = await authority.server([
      '127.0.0.1',
      a.host,
      a.service(1),
      'localhost',
      'kubernetes',
      'kubernetes.default',
      'kubernetes.default.svc',
      'kubernetes.default.svc.cluster.local',
    ])
    const api = new ApiServer({store, access, hooks, streams: kubelet.streams, ca: authority.cert, pair})
    undo.push(() => api.close())
    const port = await api.listen(a.host, 0)
    await api.listen('127.0.0.1', port)
    const server = `https://127.0.0.1:${port}`

    seed(store, a, nodeName, port)
    for (const user of options.tokens ?? []) access.addToken(user)
    for (const denial of options.denials ?? []) access.deny(denial)
    api.faults.set(options.faults ?? [])

    const dns = new ClusterDns(store)
    await dns.start(a.host)
    undo.push(() => dns.close())
    await proxy.start(options.iptables)
    undo.push(() => proxy.close())

    const context: ControllerContext = {store, recorder, admit: (pod) => hooks.admit(R.pods, pod)}
    const controllers: Controller[] = [scheduler, replicaSets, deployments, jobs, endpoints, definitions, garbage].map(
      (make) => make(context),
    )
    undo.push(() => {
      for (const controller of controllers) controller.close()
    })
    kubelet.start()
    undo.push(() => kubelet.close())

    const write = (file: string, name: string, user: object) => {
      const path = join(stateDir, file)
      writeFileSync(path, kubeconfigText(server, authority.cert, name, user), {mode: 0o600})
      return path
    }
    const kubeconfig = write(
      'kubeconfig',
      'sandbox-admin',
      await certificateUser(authority, 'sandbox-admin', ['system:masters']),
    )
    return {
      kubeconfig,
      server,
      ca: authority.cert,
      stateDir,
      addresses: a,
      images,
      access,
      store,
      async kubeconfigFor(user) {
        const entry =
          'token' in user
            ? {token: user.token}
            : await certificateUser(authority, user.name, user.groups ?? [], user.notAfter)
        return write(
          `kubeconfig-${user.name.replaceAll(/[^\w.-]/g, '_')}-${randomBytes(3).toString('hex')}`,
          user.name,
          entry,
        )
      },
      deny: (denial) => access.deny(denial),
      faults: api.faults,
      door: (kind) => openDoor(api, authority, kind),
      pid: (namespace, pod, container) => kubelet.pid(namespace, pod, container),
      ended: machine.ended,
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function openDoor(api: ApiServer, authority: Authority, kind: Door): Promise<string> {
  const host = '127.0.0.1'
  const pairs = {
    expired: () => authority.server([host], new Date(Date.now() - 60_000)),
    'other-name': () => authority.server(['elsewhere.example']),
    'unknown-authority': async () => (await createAuthority()).server([host]),
    plain: () => 'plain' as const,
  }
  const port = kind === 'silent' ? await api.listenSilently(host) : await api.listen(host, 0, await pairs[kind]())
  return `https://${host}:${port}`
}
