import type {ExitCodeName} from '../../errors/exit-codes.ts'

/** What was to be made where: what can be advised depends on it. */
export interface Situation {
  mode: 'job' | 'targetless' | 'ephemeral'
  /** Of the agent's Job, or of the target's pod. */
  namespace: string
}

/** Something that keeps an agent from running, known by the words in which a cluster, a kubelet or the agent tells it. */
export interface Obstacle {
  says: RegExp
  code: string
  exit: ExitCodeName
  what: string
  /** The settings that help, the likeliest first. */
  next: (situation: Situation) => readonly (string | false)[]
  /** It may go by itself: the agent is waited for, and this is told when its time is over. */
  passing?: true
}

/** Advice that depends on nothing. */
export const always =
  (...next: string[]) =>
  () =>
    next

/** Where a node, its policies or its runtime keep a Job's pod away, a container of the target's pod needs less. */
export const besideTarget = ({mode}: Situation) =>
  mode === 'job' &&
  'Or set agent.ephemeral (--ephemeral-container): it needs no pod, no host path and no host processes.'
