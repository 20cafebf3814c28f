import {MirrordError} from '../errors/mirrord-error.ts'
import {decodeApiKey} from './api-key.ts'
import type {Discovery} from './discovery.ts'

/** What the licence check decides on. */
export interface LicenceInput {
  /** The configuration's `operator`: true requires it, false never uses it, unset uses it where it is found. */
  operator?: boolean
  /** The value of MIRRORD_CI_API_KEY, when that is set. */
  apiKey?: string
  /** Absent when nothing was looked for, which is right only with `operator: false`. */
  discovery?: Discovery
}

/**
 * Decides whether a session may begin. A key that is set must be decodable, even where no operator would be used, because
 * a damaged secret otherwise shows only on the day the operator is installed. Throws a MirrordError: API_KEY_MALFORMED
 * (exit apiKey), OPERATOR_NOT_FOUND or OPERATOR_SESSIONS_UNSUPPORTED (exit operator).
 */
export async function checkLicence({operator, apiKey, discovery}: LicenceInput): Promise<void> {
  if (apiKey !== undefined) await decodeApiKey(apiKey)
  if (operator === false) return
  if (discovery?.present) {
    throw new MirrordError({
      code: 'OPERATOR_SESSIONS_UNSUPPORTED',
      exit: 'operator',
      what: `This cluster has the mirrord operator (version ${discovery.version}), and sessions through it come in a later version.`,
      next: [
        'To go on without the operator, set "operator": false in the configuration or MIRRORD_OPERATOR_ENABLE=false.',
      ],
    })
  }
  if (operator === true) {
    throw new MirrordError({
      code: 'OPERATOR_NOT_FOUND',
      exit: 'operator',
      what: 'The operator is required but this cluster has none.',
      why: 'The configuration says "operator": true.',
      next: [
        'Install the operator in the cluster.',
        'Or leave "operator" out of the configuration (and MIRRORD_OPERATOR_ENABLE unset).',
      ],
    })
  }
}
