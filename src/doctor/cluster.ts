import type {Config, Environment} from '../config/index.ts'
import {
  accessMissing,
  accessNeeds,
  checkCluster,
  checkVersion,
  describeNeed,
  loadCluster,
  minorVersion,
  resolveTarget,
  reviewAccess,
  whoAmI,
  type Cluster,
  type Need,
  type Reviewed,
  type ServerVersion,
} from '../kube/index.ts'
import {attempt, failed, ok, skipped, warning, type Check} from './check.ts'

/** Tokens are refused for less than a minute of difference by strict clusters; certificates are not that exact. */
const SKEW_MS = 30_000

/** What was found out about the cluster. */
export interface ClusterFindings {
  checks: Check[]
  /** The rights that are missing. */
  missing: Need[]
  /** Who the credentials say that we are. */
  user?: string
}

/** What is looked at besides what a run needs. */
interface Besides {
  /** The rights of `ci stop --orphans`. */
  orphans?: boolean
}

/** Follows the way of a start into the cluster, as far as it goes; nothing is made there. */
export async function clusterChecks(config: Config, env: Environment, besides: Besides = {}): Promise<ClusterFindings> {
  const found = await attempt('kubeconfig', async () => {
    const cluster = await loadCluster(config, env)
    return {value: cluster, text: `Context "${cluster.context}" of ${cluster.source}.`}
  })
  const cluster = found.value
  if (!cluster) return {checks: [found.check, ...without(['server', 'rights', 'target'])], missing: []}
  try {
    return await examine(cluster, config, found.check, besides)
  } finally {
    cluster.client.close()
  }
}

const without = (names: readonly string[]) => names.map((name) => skipped(name, 'Not looked at: see above.'))

async function examine(
  cluster: Cluster,
  config: Config,
  kubeconfig: Check,
  besides: Besides,
): Promise<ClusterFindings> {
  const server = await attempt('server', async () => {
    const version = await checkCluster(cluster)
    return {value: version, text: `${cluster.server} answers: Kubernetes ${version.gitVersion}.`}
  })
  const version = server.value
  if (!version) return {checks: [kubeconfig, server.check, ...without(['rights', 'target'])], missing: []}
  const [clock, user, rights, target] = await Promise.all([
    skew(cluster),
    identity(cluster),
    access(cluster, config, version, besides),
    targetCheck(cluster, config),
  ])
  return {
    checks: [kubeconfig, server.check, ...age(cluster, version, config), clock, user.check, ...rights.checks, target],
    missing: rights.missing,
    user: user.value,
  }
}

/** Nothing where the server is new enough. */
function age(cluster: Cluster, version: ServerVersion, config: Config): Check[] {
  try {
    const text = checkVersion(cluster, version, config)
    return text === undefined ? [] : [warning('version', text, ['Upgrade the cluster.'])]
  } catch (error) {
    return [failed('version', error)]
  }
}

async function skew({client}: Cluster): Promise<Check> {
  try {
    const asked = Date.now()
    const theirs = await client.clock()
    if (theirs === undefined) return ok('clock', 'The server does not tell its time.')
    // Its time is told in whole seconds, and is of a moment between question and answer.
    const [early, late] = [theirs - Date.now(), theirs + 1000 - asked]
    const off = early > 0 ? early : late < 0 ? late : 0
    const seconds = Math.round(Math.abs(off) / 1000)
    if (Math.abs(off) < SKEW_MS) return ok('clock', 'It agrees with that of the server.')
    return warning('clock', `It is ${seconds} s ${off > 0 ? 'behind' : 'ahead of'} that of the server.`, [
      "Set this machine's clock: tokens and certificates are judged by it.",
    ])
  } catch (error) {
    return failed('clock', error)
  }
}

function identity(cluster: Cluster): Promise<{check: Check; value?: string}> {
  return attempt<string | undefined>('credentials', async () => {
    const user = await whoAmI(cluster)
    const text =
      user === undefined ? 'They are accepted; the server does not tell whose they are.' : `They are those of ${user}.`
    return {value: user, text}
  })
}

async function access(
  cluster: Cluster,
  config: Config,
  version: ServerVersion,
  besides: Besides,
): Promise<{checks: Check[]; missing: Need[]}> {
  try {
    const facts = {namespace: cluster.namespace, minor: minorVersion(version)}
    const needs = accessNeeds(config, facts, besides)
    const reviewed = await reviewAccess(cluster, needs)
    return {checks: reviewed.map((need) => right(need)), missing: reviewed.filter(({verdict}) => verdict === 'denied')}
  } catch (error) {
    return {checks: [failed('rights', error)], missing: []}
  }
}

function right(need: Reviewed): Check {
  const text = `${describeNeed(need)}: to ${need.purpose}.`
  if (need.verdict === 'allowed') return ok('right', text)
  if (need.verdict === 'unknown')
    return warning('right', `${text} The cluster does not tell whether it is there.`, ['Ask with: kubectl auth can-i'])
  return {...failed('right', accessMissing([need])), text, next: ['Print a role that grants what is missing: --rbac']}
}

async function targetCheck(cluster: Cluster, {target}: Config): Promise<Check> {
  const {path} = target
  if (!path || path.kind === 'targetless') return ok('target', 'None: the agent will be a pod of its own.')
  const {check} = await attempt('target', async () => {
    const found = await resolveTarget(cluster, path, target.namespace)
    return {
      value: found,
      text: `${found.target} is pod ${found.name}, container ${found.container}, in namespace ${found.namespace}.`,
    }
  })
  return check
}
