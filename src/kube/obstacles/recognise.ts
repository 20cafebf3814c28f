import {MirrordError, type ErrorReport} from '../../errors/mirrord-error.ts'
import {objections, refusals} from './admission.ts'
import {podEvents} from './container.ts'
import {lastWords} from './last-words.ts'
import type {Obstacle, Situation} from './obstacle.ts'

/** The first row of a table that knows these words. */
export function recognise(table: readonly Obstacle[], text: string): Obstacle | undefined {
  return table.find(({says}) => says.test(text))
}

/** The error for an obstacle, with the words by which it was known. */
export function obstacleError(obstacle: Obstacle, situation: Situation, why: string): MirrordError {
  return new MirrordError(obstacleReport(obstacle, situation, why))
}

function obstacleReport({code, exit, what, next}: Obstacle, situation: Situation, why: string): ErrorReport {
  // A policy may be about anything: its own words say which setting it is.
  const settings =
    code === 'AGENT_REFUSED_POLICY' ? objections.filter(({says}) => says.test(why)).map(({next}) => next) : []
  return {code, exit, what, why, next: [...settings, ...next(situation)].filter((line) => line !== false)}
}

/** A refusal of what the agent is made from, by the API server's words; `patient`: it may be taken back. */
export function refusal(text: string, situation: Situation, object: string): {error: MirrordError; patient: boolean} {
  const known = recognise(refusals, text)
  if (known) return {error: obstacleError(known, situation, text), patient: known.passing === true && !neverFits(text)}
  const error = new MirrordError({
    code: 'AGENT_REFUSED',
    exit: 'agentRefused',
    what: `The cluster refused ${object} in the namespace "${situation.namespace}".`,
    why: text,
    next: ['Correct the section "agent" of the configuration, or choose an agent.namespace whose policy admits it.'],
  })
  // A server that was overloaded or restarted for the moment is asked again by the Job's controller.
  return {error, patient: !/is forbidden|is invalid|denied/.test(text)}
}

/** An authorizer's refusal, as the API server words it: a right is missing, whatever the object holds. */
export const lacksRight = (text: string): boolean => /\bcannot \w+ resource\b/.test(text)

/** Whether a quota is smaller than the request alone: `requested: pods=1, used: pods=0, limited: pods=0`. */
function neverFits(text: string): boolean {
  const [, requested, limited] = /requested: (.*), used: .*, limited: (.*)$/.exec(text) ?? []
  if (requested === undefined || limited === undefined) return false
  const limits = amounts(limited)
  return [...amounts(requested)].some(([name, amount]) => amount > (limits.get(name) ?? Infinity))
}

function amounts(text: string): Map<string, number> {
  return new Map(
    text.split(',').map((pair) => {
      const [name = '', quantity = ''] = pair.trim().split('=')
      return [name, amountOf(quantity)]
    }),
  )
}

const factors: Readonly<Record<string, number>> = {
  ...{m: 1e-3, '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12},
  ...{Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40},
}

/** A Kubernetes quantity as a number; NaN, which is above nothing, for forms that quotas do not use. */
function amountOf(quantity: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([a-zA-Z]*)$/.exec(quantity) ?? []
  return Number(number) * (factors[unit] ?? NaN)
}

/** Codes that say only that it did not come to be: what the cluster and the agent say tells more. */
const vague = new Set(['AGENT_ENDED', 'AGENT_TIMEOUT', 'AGENT_NO_POD'])

/**
 * A report made more exact by the events of the agent's pod and by the agent's last lines. An agent that was killed for its memory
 * says nothing of that.
 */
export function refine(
  report: ErrorReport,
  found: {events: readonly string[]; log: readonly string[]},
  situation: Situation,
): ErrorReport {
  const pulling = report.code.startsWith('AGENT_IMAGE_')
  if (!vague.has(report.code) && !pulling) return report
  // Who may list events, but not watch them, gets the Job's only now.
  const refused = found.events.filter((line) => line.includes('FailedCreate'))
  // Of an agent that still runs a complaint need not be the reason, except for rules of another one.
  const words = report.code === 'AGENT_ENDED' ? lastWords : lastWords.filter(({code}) => code === 'AGENT_DIRTY')
  const known =
    lastOf(refusals, refused) ??
    (pulling ? undefined : lastOf(words, found.log)) ??
    // A started container has had its mounts and its network.
    (found.log.length > 0 ? undefined : lastOf(podEvents, found.events))
  if (!known) return report
  const {obstacle, line} = known
  const why = pulling ? [report.why, line].filter(Boolean).join(' ') : line
  return {...report, ...obstacleReport(obstacle, situation, why)}
}

/** The last line that a table knows: what ended it comes last. */
function lastOf(table: readonly Obstacle[], lines: readonly string[]): {obstacle: Obstacle; line: string} | undefined {
  for (const line of lines.toReversed()) {
    const obstacle = recognise(table, line)
    if (obstacle) return {obstacle, line: line.trim()}
  }
  return undefined
}
