import type {Checks} from './context.ts'

/** Keys that ask for the operator, and what they do not go together with (E2, E12, E19, W4); E13 is upstream's alone: no kind of target needs the operator here. */
export function checkOperator({config, named, refuse, warn}: Checks): void {
  const {copy_target: copy, split_queues: queues, db_branches: branches, network, env} = config.feature
  const kind = config.target.path?.kind
  // E2
  if (kind === 'label') {
    const excluded = [
      ...(copy.enabled ? ['feature.copy_target.enabled'] : []),
      ...(config.multi_cluster ? ['multi_cluster'] : []),
      ...(Object.keys(queues).length > 0 ? ['feature.split_queues'] : []),
      ...(branches.length > 0 ? ['feature.db_branches'] : []),
    ]
    for (const path of excluded)
      refuse(path, `it does not go together with a target by labels (${named('target.path')})`)
  }
  if (copy.enabled) {
    // E12
    if (config.operator === false)
      refuse('feature.copy_target.enabled', `it needs the operator, which ${named('operator')} excludes`)
    if (kind === 'targetless') refuse('feature.copy_target.enabled', 'there is no target to copy')
    if (kind === 'service') refuse('feature.copy_target.enabled', 'a service cannot be copied')
    // W4
    if (network.incoming.mode !== 'steal') {
      warn('feature.copy_target.enabled', 'without stealing, the copy answers no traffic that the original gets')
    }
  }
  // E19
  for (const [index, branch] of branches.entries()) {
    const path = `feature.db_branches.${index}.connection`
    for (const name of connectionVariables(branch.connection)) {
      if (!Object.hasOwn(env.override ?? {}, name)) continue
      refuse(path, `the variable ${name} is set by ${named('feature.env.override')} too`)
    }
  }
}

/** Names of the variables that a branch sets: texts of `url` and `params`, and the `variable` of sources. */
function connectionVariables(connection: unknown): string[] {
  if (typeof connection !== 'object' || connection === null) return []
  const {url, params} = connection as {url?: unknown; params?: Record<string, unknown>}
  return [url, ...Object.values(params ?? {})].flat().flatMap((source) => {
    if (typeof source === 'string') return [source]
    const variable = (source as {variable?: unknown} | undefined)?.variable
    return typeof variable === 'string' ? [variable] : []
  })
}
