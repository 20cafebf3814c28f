import {exitCodes} from '../../src/errors/exit-codes.ts'
import {refusals} from '../../src/kube/obstacles/admission.ts'
import {podEvents, waiting} from '../../src/kube/obstacles/container.ts'
import {lastWords} from '../../src/kube/obstacles/last-words.ts'
import {rejections, scheduling} from '../../src/kube/obstacles/node.ts'
import type {Obstacle} from '../../src/kube/obstacles/obstacle.ts'

/** The tables by where their words come from. */
const parts: readonly [string, readonly Obstacle[]][] = [
  ['The API server does not admit the Job, its pod or the container', refusals],
  ['The scheduler finds no node', scheduling],
  ['The kubelet refuses or ends the pod', rejections],
  ['The container does not start', waiting],
  ['Events of the pod', podEvents],
  ['The agent ends, by its last words', lastWords],
]

/** What keeps an agent from running, from the tables. */
export function obstaclesPage(): string {
  return [
    '# What keeps an agent from running',
    '',
    'Generated from `src/kube/obstacles/` by `npm run docs`. A start that ends with 50, 51, 52, 54, 55 or 56 shows what the cluster said, the events of',
    "the pod, the state of its container and the agent's own last lines (from its log, else from the pod's status, which needs no right to read logs), and",
    'names the settings that help. What may pass by itself (marked _waits_) is waited for until `agent.startup_timeout`.',
    ...parts.flatMap(([title, table]) => ['', `## ${title}`, '', ...section(table)]),
    '',
  ].join('\n')
}

function section(table: readonly Obstacle[]): string[] {
  const rows = table.map(({code, exit, what, next, passing}) => {
    const found = (['job', 'ephemeral', 'targetless'] as const).map((mode) => next({mode, namespace: 'NAMESPACE'}))
    const steps = [...new Set(found.flat().filter((step) => step !== false))]
    return `| \`${code}\` | ${exitCodes[exit].code} | ${what}${passing ? ' _waits_' : ''} | ${steps.join('<br>').replaceAll('|', '\\|')} |`
  })
  return ['| code | exit | what | settings that help |', '| --- | --- | --- | --- |', ...new Set(rows)]
}
