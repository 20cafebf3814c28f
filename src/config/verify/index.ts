import type {Origin} from '../assemble.ts'
import type {AnyConfig} from '../schema/root.ts'
import {checksOf, type Findings} from './context.ts'
import {checkEnvironment} from './environment.ts'
import {checkFilters} from './filters.ts'
import {checkIncoming} from './incoming.ts'
import {checkOperator} from './operator.ts'
import {checkPreview} from './preview.ts'
import {checkProfile} from './profile.ts'
import {checkTarget} from './target.ts'

export type {Findings} from './context.ts'
export {inertWarnings, unavailable} from './available.ts'

/**
 * Conditions between keys that a schema of single keys cannot express (config.md 4, by number in the comments), all of them
 * at once. `origins` holds the keys that some source sets.
 */
export function verify(config: AnyConfig, origins: ReadonlyMap<string, Origin>): Findings {
  const findings: Findings = {problems: [], warnings: []}
  const checks = checksOf(config, origins, findings)
  checkTarget(checks)
  checkOperator(checks)
  checkEnvironment(checks)
  checkIncoming(checks)
  checkFilters(checks)
  checkPreview(checks)
  checkProfile(checks)
  return findings
}
