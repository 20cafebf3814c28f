import {execFileSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {existsSync, mkdtempSync, realpathSync, rmSync} from 'node:fs'
import path from 'node:path'
import {Cluster} from './cluster.ts'
import {FAULTY, faultsOfRun} from './faults.ts'

/** `sandbox`: embedded; `local`: the real Kubernetes on this machine; `remote`: pods run where we cannot look. */
export type ClusterKind = 'sandbox' | 'local' | 'remote'

const root = path.join(import.meta.dirname, '../../..')
const localCluster = path.join(root, '../shared/cluster')

interface Target {
  kind: ClusterKind
  kubeconfig: string
  agentImage: string
  /** With which the CI jobs come in, where it is not the administrator's way. */
  token?: string
  stop(): Promise<void>
}

/** A cluster with a namespace of its own for one run. */
export interface Environment {
  kind: ClusterKind
  cluster: Cluster
  /** The administrator's kubeconfig. */
  adminKubeconfig: string
  /** The same access with `namespace` as the context's namespace, as a CI job would be given it. */
  kubeconfig: string
  namespace: string
  agentImage: string
  /** Deletes the namespace, and stops the cluster if it was started for this run. */
  close(): Promise<void>
}

/**
 * Opens the cluster of MIRRORD_E2E_KUBECONFIG (with the agent image of MIRRORD_AGENT_IMAGE), else an embedded sandbox; makes a
 * namespace in it and the objects of `manifests`, and waits until the deployments named are available.
 */
export async function openEnvironment(manifests: string, deployments: readonly string[]): Promise<Environment> {
  const target = await openCluster()
  const folder = mkdtempSync('/tmp/me2e-cluster-')
  const namespace = `e2e-${randomBytes(4).toString('hex')}`
  const cluster = new Cluster(target.kubeconfig)
  const close = async () => {
    try {
      await cluster.deleteNamespace(namespace)
    } finally {
      await target.stop()
      rmSync(folder, {recursive: true, force: true})
    }
  }
  try {
    await cluster.createNamespace(namespace)
    await cluster.create(namespace, manifests)
    await Promise.all(deployments.map((name) => cluster.waitAvailable(namespace, name)))
    const kubeconfig = path.join(folder, 'config')
    cluster.writeKubeconfig(kubeconfig, namespace, target.token)
    const {kind, agentImage} = target
    return {kind, cluster, adminKubeconfig: target.kubeconfig, kubeconfig, namespace, agentImage, close}
  } catch (error) {
    await close()
    throw error
  }
}

async function openCluster(): Promise<Target> {
  const kubeconfig = process.env.MIRRORD_E2E_KUBECONFIG
  if (!kubeconfig) {
    const {startSandbox} = await import('../../../sandbox/sandbox.ts')
    const faults = faultsOfRun(process.env)
    // The users of the tests that may not read Deployments and profiles, Pods and namespaces, or Jobs; their tokens are their names.
    const users = {
      [FAULTY]: [],
      restricted: ['deployments', 'mirrordclusterprofiles'],
      blind: ['pods', 'namespaces'],
      jobless: ['jobs'],
    }
    const sandbox = await startSandbox({
      tokens: Object.keys(users).map((name) => ({name, groups: [], token: name})),
      denials: Object.entries(users).flatMap(([user, denied]) => denied.map((resource) => ({user, resource}))),
      faults,
    })
    return {
      kind: 'sandbox',
      kubeconfig: sandbox.kubeconfig,
      agentImage: process.env.MIRRORD_AGENT_IMAGE || 'localhost/mirrord-agent:sandbox',
      ...(faults ? {token: FAULTY} : {}),
      stop: () => sandbox.stop(),
    }
  }
  if (process.env.MIRRORD_FAULT) throw new Error('MIRRORD_FAULT is for the sandbox')
  const agentImage = process.env.MIRRORD_AGENT_IMAGE
  if (!agentImage) throw new Error('MIRRORD_AGENT_IMAGE must name an agent image of the cluster (npm run agent:image)')
  const local = existsSync(localCluster) && new Cluster(kubeconfig).server.includes('10.222.0.2')
  if (local) makeNodeImage()
  return {kind: local ? 'local' : 'remote', kubeconfig, agentImage, stop: async () => {}}
}

/** The image of the deployed programs, where the cluster is the one whose images are made on this machine. */
function makeNodeImage(): void {
  const containerd = ['-a', '/run/containerd/containerd.sock', '-n', 'k8s.io']
  const images = execFileSync('ctr', [...containerd, 'images', 'ls', '-q'], {encoding: 'utf8'}).split('\n')
  if (images.includes('localhost/node:1')) return
  const node = realpathSync(path.join(root, 'node_modules/node/bin/node'))
  execFileSync(path.join(localCluster, 'image'), ['rootfs', 'localhost/node:1', '--', `${node}:/usr/local/bin/node`], {
    env: {...process.env, ENTRYPOINT: '["/usr/local/bin/node"]'},
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}
