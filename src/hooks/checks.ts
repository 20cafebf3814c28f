import type {Requirement} from '../cli/command.ts'
import type {Config} from '../config/index.ts'
import type {Cluster} from '../kube/index.ts'

/** What the checks share: each may use what an earlier one found. */
export interface CheckState {
  config: Config
  env: Readonly<Record<string, string | undefined>>
  cluster?: Cluster
}

/**
 * The checks that a command may require, by name (ruling R16). Each throws a MirrordError; the modules behind them are
 * loaded only when they are needed.
 */
export const checks: Readonly<Record<Requirement, (state: CheckState) => Promise<void>>> = {
  async kubeconfig(state) {
    const {loadCluster} = await import('../kube/index.ts')
    state.cluster = await loadCluster(state.config, state.env)
  },
  async cluster(state) {
    const {checkCluster} = await import('../kube/index.ts')
    await checkCluster(clusterOf(state))
  },
  async licence(state) {
    const {checkLicence, discoverOperator} = await import('../operator/index.ts')
    const {operator} = state.config
    // A damaged key is refused before the cluster is asked.
    const apiKey = state.env.MIRRORD_CI_API_KEY
    await checkLicence({operator: false, apiKey})
    if (operator === false) return
    await checkLicence({operator, apiKey, discovery: await discoverOperator(clusterOf(state))})
  },
}

function clusterOf({cluster}: CheckState): Cluster {
  if (!cluster) throw new Error('a check that needs the cluster ran before the kubeconfig check')
  return cluster
}
