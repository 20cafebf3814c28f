import {execFileSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {existsSync, mkdtempSync, realpathSync, rmSync} from 'node:fs'
import path from 'node:path'
import type {TestProject} from 'vitest/node'
import {Cluster} from './cluster.ts'
import {manifests} from './fixture.ts'

declare module 'vitest' {
  interface ProvidedContext {
    kubeconfig: string
    adminKubeconfig: string
    namespace: string
    agentImage: string
    clusterKind: ClusterKind
  }
}

/** `sandbox`: embedded; `local`: the real Kubernetes on this machine; `remote`: pods run where we cannot look. */
export type ClusterKind = 'sandbox' | 'local' | 'remote'

const root = path.join(import.meta.dirname, '../../..')
const localCluster = path.join(root, '../shared/cluster')

interface Target {
  kind: ClusterKind
  kubeconfig: string
  agentImage: string
  stop(): Promise<void>
}

async function openCluster(): Promise<Target> {
  const kubeconfig = process.env.MIRRORD_E2E_KUBECONFIG
  if (!kubeconfig) {
    const {startSandbox} = await import('../../../sandbox/sandbox.ts')
    const sandbox = await startSandbox()
    return {
      kind: 'sandbox',
      kubeconfig: sandbox.kubeconfig,
      agentImage: process.env.MIRRORD_AGENT_IMAGE || 'localhost/mirrord-agent:sandbox',
      stop: () => sandbox.stop(),
    }
  }
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

/** Opens the cluster, deploys the fixture into a namespace of this run, and takes both away at the end. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const target = await openCluster()
  const folder = mkdtempSync('/tmp/me2e-cluster-')
  const namespace = `e2e-${randomBytes(4).toString('hex')}`
  const cluster = new Cluster(target.kubeconfig)
  const teardown = async () => {
    try {
      await cluster.deleteNamespace(namespace)
    } finally {
      await target.stop()
      rmSync(folder, {recursive: true, force: true})
    }
  }
  try {
    await cluster.createNamespace(namespace)
    await cluster.create(namespace, manifests())
    await Promise.all(['echo', 'info'].map((name) => cluster.waitAvailable(namespace, name)))
  } catch (error) {
    await teardown()
    throw error
  }
  const kubeconfig = path.join(folder, 'config')
  cluster.writeKubeconfig(kubeconfig, namespace)
  project.provide('kubeconfig', kubeconfig)
  project.provide('adminKubeconfig', target.kubeconfig)
  project.provide('namespace', namespace)
  project.provide('agentImage', target.agentImage)
  project.provide('clusterKind', target.kind)
  return teardown
}
