import {createHash} from 'node:crypto'
import type {ProcessId} from '../util/process.ts'
import {whoAmI} from './access/review.ts'
import type {Cluster} from './cluster.ts'

/** Whose an agent is. It is written onto its Job, for everybody who may look at it: nothing of it is secret. */
export interface AgentOwner {
  /** Identity of the CI job, 8 hex digits. */
  job: string
  /** The CI system's name; absent outside of any. */
  ci?: string
  /** The session's process. */
  process?: ProcessId
  /** After so many seconds without a running agent the session has given up, or is dead. */
  startSeconds?: number
}

const prefix = 'mirrord-for-ci'
/** Label that names the session to which a Job belongs, so that leftovers can be told and found. */
export const sessionLabel = `${prefix}/session`
/** Label with the digest of who the API server says that made it: subjects have characters that labels cannot hold. */
export const userLabel = `${prefix}/user`
export const jobLabel = `${prefix}/job`
export const ciLabel = `${prefix}/ci`
export const hostLabel = `${prefix}/host`
/** Annotation of the Job alone: the session's process as JSON (ProcessId). */
export const processAnnotation = `${prefix}/process`
/** Annotation of the Job alone: `startSeconds`. */
export const startAnnotation = `${prefix}/start-seconds`

/** How long the server may take to say who we are: only the clean-up of other runs' leftovers needs it. */
const SUBJECT_MS = 2000

/** The labels by which an agent's Job and pod are found again. */
export function ownerLabels(sessionId: string, owner?: AgentOwner, user?: string): Record<string, string> {
  const values = {
    [sessionLabel]: sessionId,
    [jobLabel]: owner?.job,
    [ciLabel]: owner?.ci,
    [hostLabel]: owner?.process?.host,
    [userLabel]: user,
  }
  const labels: Record<string, string> = {}
  for (const [name, value] of Object.entries(values)) {
    const text = value === undefined ? '' : labelValue(value)
    if (text !== '') labels[name] = text
  }
  return labels
}

/** What tells whether the session of an agent's Job is dead (src/kube/orphans.ts). */
export function ownerAnnotations(owner: AgentOwner | undefined): Record<string, string> {
  return {
    ...(owner?.process ? {[processAnnotation]: JSON.stringify(owner.process)} : {}),
    ...(owner?.startSeconds === undefined ? {} : {[startAnnotation]: String(owner.startSeconds)}),
  }
}

/** A text as a label's value: 63 letters, digits, `-`, `_`, `.`, the first and the last no sign. */
function labelValue(text: string): string {
  return text
    .replaceAll(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 63)
    .replace(/[^A-Za-z0-9]+$/, '')
}

/** The value of `userLabel` for these credentials; undefined where the server does not tell whose they are. */
export async function subjectDigest(cluster: Cluster, signal?: AbortSignal): Promise<string | undefined> {
  const limit = AbortSignal.timeout(SUBJECT_MS)
  try {
    const user = await whoAmI(cluster, signal ? AbortSignal.any([signal, limit]) : limit)
    return user === undefined ? undefined : createHash('sha256').update(user).digest('hex').slice(0, 16)
  } catch {
    signal?.throwIfAborted()
    return undefined // the next request says what is wrong with the cluster
  }
}
