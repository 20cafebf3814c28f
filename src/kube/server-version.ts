import type {Config} from '../config/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'
import type {Cluster, ServerVersion} from './cluster.ts'

/** What a run needs of Kubernetes 1.x, by the first version that has it. */
const needs = {
  /** Finished Jobs are removed (TTLAfterFinished is on from its beta in 1.21 on). */
  jobs: 21,
  /** Containers are added to a running pod (EphemeralContainers is on from its beta in 1.23 on). */
  ephemeral: 23,
}

/** Minor version of Kubernetes 1.x, as the server tells it: `35` or, of some providers, `35+`. */
export function minorVersion({minor}: ServerVersion): number | undefined {
  const number = Number.parseInt(minor ?? '', 10)
  return Number.isNaN(number) ? undefined : number
}

/**
 * What of a run a server is too old for, as a warning; undefined when nothing is, or when it does not tell its version. Throws
 * CLUSTER_TOO_OLD (exit clusterUnreachable) where the agent could not be made at all.
 */
export function checkVersion(cluster: Cluster, version: ServerVersion, {agent, target}: Config): string | undefined {
  const minor = minorVersion(version)
  if (minor === undefined || (version.major !== undefined && version.major !== '1')) return undefined
  const targeted = target.path !== undefined && target.path.kind !== 'targetless'
  if (agent.ephemeral && targeted && minor < needs.ephemeral) {
    throw new MirrordError({
      code: 'CLUSTER_TOO_OLD',
      exit: 'clusterUnreachable',
      what: `The cluster of the context "${cluster.context}" adds no containers to running pods.`,
      why: `It is Kubernetes ${version.gitVersion}; agent.ephemeral needs 1.${needs.ephemeral} or newer.`,
      next: ['Leave agent.ephemeral (--ephemeral-container) out: the agent is then a Job of its own.'],
    })
  }
  if (minor >= needs.jobs) return undefined
  return `The cluster is Kubernetes ${version.gitVersion}, older than 1.${needs.jobs}: agents whose runner was killed stay there as finished Jobs.`
}
