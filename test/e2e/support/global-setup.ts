import type {TestProject} from 'vitest/node'
import {openEnvironment, type ClusterKind} from './environment.ts'
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

/** Opens the cluster and deploys the fixture before the tests; takes both away at the end. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const environment = await openEnvironment(manifests(), ['echo', 'info'])
  project.provide('kubeconfig', environment.kubeconfig)
  project.provide('adminKubeconfig', environment.adminKubeconfig)
  project.provide('namespace', environment.namespace)
  project.provide('agentImage', environment.agentImage)
  project.provide('clusterKind', environment.kind)
  return () => environment.close()
}
