import {MirrordError} from '../errors/mirrord-error.ts'
import type {Cluster, ResolvedTarget} from '../kube/index.ts'
import type {AgentLink} from './agent-link.ts'
import type {Progress, Step} from './progress.ts'
import type {SessionAgent} from './session-agent.ts'
import type {SessionSpec} from './spec.ts'
import {findTarget} from './start-steps.ts'

/** What is needed to come to an agent on a target. */
export interface Reach {
  spec: SessionSpec
  cluster: Cluster
  agent: Pick<SessionAgent, 'start'>
  progress: Progress
  signal: AbortSignal
  /** Told of the pod, and of the one that is taken instead. */
  found(target: ResolvedTarget | undefined): void
}

/**
 * The pod of the target with an agent on it. Where another session's rules are in a pod of a workload the next ready one is taken,
 * each once. Errors: those of `findTarget` and of the agent's start.
 */
export async function reachTarget({
  spec,
  cluster,
  agent,
  progress,
  signal,
  found,
}: Reach): Promise<{target?: ResolvedTarget; agent: AgentLink}> {
  const dirty: {pod: string; error: MirrordError}[] = []
  for (;;) {
    const avoid = dirty.map(({pod}) => pod)
    const find = () => findTarget(spec, cluster, progress, {signal, avoid})
    const target = await progress.phase('target', 'Looking for the target', find).catch((error: unknown) => {
      throw dirty.length > 0 && !signal.aborted ? all(dirty) : error
    })
    found(target)
    try {
      const start = (): Promise<Step<AgentLink>> => agent.start(cluster, target, signal)
      return {target, agent: await progress.phase('agent', 'Starting the agent', start)}
    } catch (error) {
      if (!target || !(error instanceof MirrordError) || error.report.code !== 'AGENT_DIRTY') throw error
      dirty.push({pod: target.name, error})
      if (target.others.length === 0) throw all(dirty)
      progress.warn(`pod ${target.name} carries redirect rules of another agent: the next ready pod is taken`)
    }
  }
}

/** The error of the last pod, with all that were tried. */
function all(dirty: readonly {pod: string; error: MirrordError}[]): MirrordError {
  const {error} = dirty.at(-1)!
  if (dirty.length === 1) return error
  const {report} = error
  const what = `All ${dirty.length} ready pods of the target carry redirect rules of another agent.`
  return new MirrordError({...report, what, why: `They are ${dirty.map(({pod}) => pod).join(', ')}. ${report.why}`})
}
