/** Variables of ours that must not leak into the user's program: a credential, and what our launcher sets. */
const OWN_VARIABLES = ['MIRRORD_CI_API_KEY', 'MIRRORD_BINPATH', 'MIRRORD_REDIRECTED', 'MIRRORD_KUBECONFIG_B64']

/** `feature.env` as far as it concerns composing; selection happens in the agent. */
export interface EnvironmentRules {
  override?: Readonly<Record<string, string>>
  unset?: readonly string[]
}

/**
 * The program's environment (spec config.md 5.1): local, then the pod's selected variables, then `override`, then `unset`
 * removes by exact name.
 */
export function composeEnvironment(
  local: Readonly<Record<string, string>>,
  remote: Iterable<readonly [string, string]>,
  rules: EnvironmentRules,
): Record<string, string> {
  const environment: Record<string, string> = {...local}
  for (const name of OWN_VARIABLES) delete environment[name]
  for (const [name, value] of remote) environment[name] = value
  Object.assign(environment, rules.override)
  for (const name of rules.unset ?? []) delete environment[name]
  return environment
}
