import type {Environment} from './meta.ts'

/**
 * The variables that may set keys: all, or in strict mode (`MIRRORD_CLI_STRICT_ENV` is 1 or true) only those that
 * `MIRRORD_CLI_STRICT_ENV_ALLOWLIST` names, separated by commas or spaces (config.md 1.9).
 */
export function settingVariables(env: Environment): Environment {
  const {MIRRORD_CLI_STRICT_ENV: strict, MIRRORD_CLI_STRICT_ENV_ALLOWLIST: list = ''} = env
  if (strict !== '1' && strict !== 'true') return env
  const allowed = new Set(list.split(/[,\s]+/))
  return Object.fromEntries(Object.entries(env).filter(([name]) => allowed.has(name)))
}
