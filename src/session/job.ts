import {systemOf} from '../ci/index.ts'
import {fnv1a} from '../util/hash.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Which job this process belongs to. */
export interface JobIdentity {
  /** 8 hex digits: part of a socket path, which has 108 bytes (unix(7)). */
  id: string
  /** Where the identity comes from: `MIRRORD_CI_JOB`, a CI system's short name, or `user` (user and boot). */
  source: string
}

/**
 * The identity of the CI job, never machine-wide: `MIRRORD_CI_JOB`, else the CI system's run, job and attempt
 * (src/ci/systems.ts), else the user and this boot of the machine.
 */
export function jobIdentity(env: Environment, machine: {uid: number; bootId: string}): JobIdentity {
  const digest = (...parts: string[]) => fnv1a(parts.join('\0'))
  const user = String(machine.uid)
  if (env.MIRRORD_CI_JOB) return {id: digest('override', user, env.MIRRORD_CI_JOB), source: 'MIRRORD_CI_JOB'}
  const system = systemOf(env)
  if (system) return {id: digest(system.id, user, ...system.identity.map((name) => env[name] ?? '')), source: system.id}
  return {id: digest('user', user, machine.bootId), source: 'user'}
}
