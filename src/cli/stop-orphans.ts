import {resolveConfig} from '../config/index.ts'
import {exitCodes} from '../errors/exit-codes.ts'
import {toReport, type ErrorReport} from '../errors/mirrord-error.ts'
import {
  agentNamespaces,
  checkCluster,
  loadCluster,
  removeOrphans,
  type FoundAgent,
  type OrphanReport,
} from '../kube/index.ts'
import {unshield} from './arguments.ts'
import {errorJson} from './error-json.ts'
import {showFailure} from './failure.ts'
import {placeFlags} from './flags/orphans.ts'
import {duration} from './status-output.ts'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Removes what dead runners of this user left in the cluster that the flags, the environment and the configuration name, and tells
 * it on stdout, unless the result is for programs; what went wrong on stderr. Never throws: `status` is the exit code.
 */
export async function clearOrphans(
  flags: Readonly<Record<string, unknown>>,
  env: Environment,
): Promise<{status: number; result: object}> {
  const show = (failure: ErrorReport) => {
    showFailure(failure, {stream: process.stderr, env, argv: ['ci', 'stop']})
    return exitCodes[failure.exit].code
  }
  try {
    const report = await remove(flags, env)
    if (flags.json !== true) process.stdout.write(orphanLines(report))
    const [status = 0] = report.failed.map(({error}) => show(error.report))
    return {status, result: asJson(report)}
  } catch (error) {
    const failure = toReport(error)
    return {status: show(failure), result: {error: errorJson(failure)}}
  }
}

async function remove(flags: Readonly<Record<string, unknown>>, env: Environment): Promise<OrphanReport> {
  const given = Object.fromEntries(Object.keys(placeFlags).map((name) => [name, unshield(flags[name]) as string]))
  const {config} = await resolveConfig({flags: given, env, cwd: process.cwd(), incomingDefault: 'steal'})
  const cluster = await loadCluster(config, env)
  try {
    await checkCluster(cluster)
    return await removeOrphans(cluster, agentNamespaces(config, cluster.namespace))
  } finally {
    cluster.client.close()
  }
}

/** What became of them, a line each. */
export function orphanLines({namespaces, removed, kept, failed}: OrphanReport): string {
  const of = ({name, namespace, owner, seconds}: FoundAgent) =>
    `${name} in the namespace "${namespace}" (${owner}; ${duration(Math.max(0, seconds))} old)`
  const lines = [
    ...removed.map((agent) => `Removed ${of(agent)}: ${agent.dead}.`),
    ...failed.map(({agent}) => `Could not remove ${of(agent)}: ${agent.dead}.`),
    ...kept.map((agent) => `Left ${of(agent)}: its session may still run.`),
  ]
  if (removed.length + failed.length === 0) {
    const where = namespaces.map((name) => `"${name}"`).join(' and ')
    lines.unshift(`No orphans: no dead runner of this user has left an agent in the namespace ${where}.`)
  }
  return lines.map((line) => `${line}\n`).join('')
}

function asJson({removed, kept, failed}: OrphanReport): object {
  return {removed, kept, failed: failed.map(({agent, error}) => ({...agent, error: errorJson(error.report)}))}
}
