import {MirrordError} from '../errors/mirrord-error.ts'
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

/** Refuses a run inside of a run of upstream's mirrord, which marks its programs; NESTED_RUN (exit interceptionUnavailable). */
export function refuseNested(env: Environment): void {
  if (env.MIRRORD_RESOLVED_CONFIG === undefined) return
  throw new MirrordError({
    code: 'NESTED_RUN',
    exit: 'interceptionUnavailable',
    what: 'mirrord runs already around this command: a run inside of a run is not possible.',
    why: 'MIRRORD_RESOLVED_CONFIG is set, which mirrord does for the programs that it runs.',
    next: ['Start this command outside of the other one, or unset MIRRORD_RESOLVED_CONFIG if it was only inherited.'],
  })
}
