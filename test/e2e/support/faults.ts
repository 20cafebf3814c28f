import https, {type RequestOptions} from 'node:https'
import type {Fault} from '../../../sandbox/api/faults.ts'
import type {Cluster} from './cluster.ts'

/** The user of the sandbox whom its faults are for; the token is the name. Whoever looks after the tests is not hit. */
export const FAULTY = 'faulty'
const match = {user: FAULTY}
/** Every call fails at first and each third time after that, counted for each verb and resource. */
const often = {times: 1, every: 3}

/** What passes when it is asked again: one class each of faults, which hit every call of mirrord to the API. */
export const faultClasses: Readonly<Record<string, Fault[]>> = {
  429: [{match, effect: {answer: 429, retryAfter: 1}, ...often}],
  500: [{match, effect: {answer: 500}, ...often}],
  503: [{match, effect: {answer: 503}, ...often}],
  slow: [
    {match, effect: {delay: 700}, times: 1, every: 2},
    {match, effect: {trickle: 1}, times: 1, every: 3},
  ],
  cut: [
    {match, effect: {cut: 'before'}, times: 1, every: 6},
    {match: {...match, verb: 'watch'}, effect: {cut: 6000}, after: 1, times: 1, every: 2},
    {match, effect: {cut: 'after'}, after: 2, times: 1, every: 6},
    // Within a tunnel that stands, too: the agent is lost, and another one takes over.
    {match, effect: {cut: 40}, after: 4, times: 1, every: 6},
  ],
}

/** The faults under which the whole suite runs: the class that MIRRORD_FAULT names. Throws for one that is not known. */
export function faultsOfRun(env: Readonly<Record<string, string | undefined>>): Fault[] | undefined {
  const name = env.MIRRORD_FAULT
  if (!name) return undefined
  const faults = faultClasses[name]
  if (!faults) throw new Error(`MIRRORD_FAULT must be one of ${Object.keys(faultClasses).join(', ')}, not "${name}"`)
  return faults
}

/** Sets the faults of the tests' sandbox, as its administrator; resolves with those that are set, with their hits. */
export async function setFaults(cluster: Cluster, faults?: readonly Fault[]): Promise<(Fault & {hits: number})[]> {
  const options: RequestOptions = {}
  await cluster.config.applyToHTTPSOptions(options)
  return new Promise((resolve, reject) => {
    const asked = https.request(
      `${cluster.server}/sandbox/faults`,
      {...options, method: faults ? 'PUT' : 'GET', headers: {'content-type': 'application/json'}},
      (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString()))
        response.on('end', () =>
          response.statusCode === 200
            ? resolve(JSON.parse(text) as (Fault & {hits: number})[])
            : reject(new Error(`PUT /sandbox/faults: HTTP ${response.statusCode} ${text}`)),
        )
      },
    )
    asked.on('error', reject)
    asked.end(faults && JSON.stringify(faults))
  })
}
