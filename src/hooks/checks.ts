import type {Requirement} from '../cli/command.ts'
import type {AppliedProfile} from '../cli/context.ts'
import type {ResolvedConfig} from '../config/index.ts'
import type {Cluster, ServerVersion} from '../kube/index.ts'

/** What the checks share: each may use what an earlier one found. */
export interface CheckState {
  /** Replaced by the check of the profile that it names. */
  resolved: ResolvedConfig
  env: Readonly<Record<string, string | undefined>>
  cluster?: Cluster
  /** What the API server says of itself. */
  version?: ServerVersion
  /** What the profile does, once it is applied. */
  profile?: AppliedProfile
  /** Requests to the cluster that were repeated. */
  notes: string[]
}

/**
 * The checks that a command may require, by name (ruling R16). Each throws a MirrordError; the modules behind them are
 * loaded only when they are needed.
 */
export const checks: Readonly<Record<Requirement, (state: CheckState) => Promise<void>>> = {
  async kubeconfig(state) {
    const {loadCluster} = await import('../kube/index.ts')
    state.cluster = await loadCluster(state.resolved.config, state.env, (text) => state.notes.push(text))
  },
  async cluster(state) {
    const {checkCluster, checkVersion} = await import('../kube/index.ts')
    const {resolved} = state
    state.version = await checkCluster(clusterOf(state))
    const warning = checkVersion(clusterOf(state), state.version, resolved.config)
    if (warning !== undefined) state.resolved = {...resolved, warnings: [...resolved.warnings, warning]}
  },
  async licence(state) {
    const {checkLicence, discoverOperator} = await import('../operator/index.ts')
    const {operator} = state.resolved.config
    // A damaged key is refused before the cluster is asked.
    const apiKey = state.env.MIRRORD_CI_API_KEY
    await checkLicence({operator: false, apiKey})
    if (operator === false) return
    await checkLicence({operator, apiKey, discovery: await discoverOperator(clusterOf(state))})
  },
  async profile(state) {
    const {profile} = state.resolved.config
    if (profile === undefined) return
    const {applyProfile, parseProfile} = await import('../config/index.ts')
    const {fetchProfile} = await import('../kube/index.ts')
    const started = performance.now()
    const reference = parseProfile(profile)
    const {resolved, changes} = applyProfile(state.resolved, reference, await fetchProfile(clusterOf(state), reference))
    state.resolved = resolved
    const text = `Profile ${profile}: ${changes.join(', ') || 'no changes'}`
    state.profile = {text, ms: Math.round(performance.now() - started)}
  },
  async access(state) {
    const {checkAccess} = await import('../kube/index.ts')
    await checkAccess(clusterOf(state), state.resolved.config, state.version ?? {gitVersion: ''})
  },
}

function clusterOf({cluster}: CheckState): Cluster {
  if (!cluster) throw new Error('a check that needs the cluster ran before the kubeconfig check')
  return cluster
}
