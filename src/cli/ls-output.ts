import type {ListedTarget, TargetList} from '../kube/list-targets.ts'
import {colorFor} from '../util/color.ts'
import {duration} from './status-output.ts'

/** The targets as upstream's JSON: the list of their paths on one line (config.md 1.8). */
export function plainJson({targets}: TargetList): string {
  return JSON.stringify(targets.map(({path}) => path))
}

/** The form that IDEs ask for with MIRRORD_LS_RICH_OUTPUT: with the namespaces to choose from. */
export function richJson({targets, namespace}: TargetList, namespaces: readonly string[]): string {
  return JSON.stringify({
    targets: targets.map(({path}) => ({path, available: true})),
    current_namespace: namespace,
    namespaces,
  })
}

/** The targets as a table for people. `now` is in milliseconds. */
export async function table({targets, namespace}: TargetList, context: string, now: number): Promise<string> {
  const color = colorFor(process.stdout)
  const where = `namespace "${namespace}" of the context "${context}"`
  if (targets.length === 0) return `No targets in the ${where}: no pod is ready there.\n`
  const {default: Table} = await import('cli-table3')
  // Its own colours off: ours follow NO_COLOR.
  const drawn = new Table({head: ['TARGET', 'READY', 'AGE'], style: {head: [], border: []}})
  for (const target of targets) drawn.push([target.path, target.ready, age(target, now)])
  return `${color.dim(`Targets in the ${where}:`)}\n${drawn.toString()}\n`
}

function age({createdAt}: ListedTarget, now: number): string {
  const created = Date.parse(createdAt ?? '')
  return Number.isNaN(created) ? '-' : duration(Math.max(0, now - created) / 1000)
}
