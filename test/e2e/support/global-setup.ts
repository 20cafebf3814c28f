import type {TestProject} from 'vitest/node'
import {openEnvironment, type ClusterKind, type Environment} from './environment.ts'
import {manifests} from './fixture.ts'

declare module 'vitest' {
  interface ProvidedContext {
    clusterKind: ClusterKind
    /** One for each worker. */
    environments: Pick<Environment, 'kubeconfig' | 'adminKubeconfig' | 'namespace' | 'agentImage'>[]
  }
}

/** Opens a cluster for each worker, or a namespace of its own in the one given, and deploys the fixture before the tests; takes all away at the end. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const opened = await Promise.allSettled(
    Array.from({length: Number(project.config.maxWorkers)}, () =>
      openEnvironment(manifests(), ['echo', 'info', 'plain']),
    ),
  )
  const environments = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const close = async () => {
    await Promise.all(environments.map((environment) => environment.close()))
  }
  const failed = opened.find((result) => result.status === 'rejected')
  if (failed) {
    await close()
    throw failed.reason
  }
  project.provide('clusterKind', environments[0]!.kind)
  project.provide(
    'environments',
    environments.map(({kubeconfig, adminKubeconfig, namespace, agentImage}) => ({
      kubeconfig,
      adminKubeconfig,
      namespace,
      agentImage,
    })),
  )
  return close
}
