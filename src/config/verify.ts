import type {Origin, Problem} from './assemble.ts'
import {leaves} from './meta.ts'
import {rootSection, type Config} from './schema/root.ts'

/** Conditions between keys that a schema of single keys cannot express (config.md 4.1, by number). */
export function verify(config: Config, origins: ReadonlyMap<string, Origin>): Problem[] {
  const problems: Problem[] = []
  const {env, network} = config.feature
  // E10: the word targetless together with stealing is a contradiction, not an oversight.
  if (config.target.path?.kind === 'targetless' && network.incoming.mode === 'steal') {
    problems.push({
      path: 'feature.network.incoming.mode',
      message: 'there is no traffic to steal without a target; use "off" or name a target',
    })
  }
  // E14
  if (env.include !== undefined && env.exclude !== undefined) {
    const places = ['include', 'exclude'].map(
      (key) => `${key}: ${origins.get(`feature.env.${key}`) ?? 'feature.env: false'}`,
    )
    problems.push({path: 'feature.env', message: `include and exclude cannot both be set (${places.join('; ')})`})
  }
  // E22
  if (config.startup_retry.min_ms > config.startup_retry.max_ms) {
    problems.push({path: 'startup_retry.min_ms', message: 'must not be above startup_retry.max_ms'})
  }
  return problems
}

/** Keys whose value asks for something that this version does not do. */
export function unavailable(config: Config): Problem[] {
  return settings(config).flatMap(({path, value, meta}) => {
    const reason = meta.later?.(value)
    return reason === undefined ? [] : [{path, message: reason, later: true}]
  })
}

/** One warning for each key that is set but has no effect here. */
export function inertWarnings(config: Config, origins: ReadonlyMap<string, Origin>): string[] {
  return settings(config).flatMap(({path, meta}) =>
    meta.inert === undefined ? [] : [`${path} (${origins.get(path) ?? 'default'}) has no effect: ${meta.inert}.`],
  )
}

function settings(config: Config) {
  return [...leaves(rootSection)].flatMap(({path, meta}) => {
    const value = path.reduce<unknown>((node, key) => (node as Record<string, unknown> | undefined)?.[key], config)
    return value === undefined ? [] : [{path: path.join('.'), value, meta}]
  })
}
