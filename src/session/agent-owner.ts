import type {AgentOwner} from '../kube/index.ts'
import {identify} from '../util/process.ts'
import type {SessionSpec} from './spec.ts'

/** What a session writes onto its agent's Job, so that `ci stop --orphans` can tell that it is dead. Called in its process. */
export function agentOwner({job, run, config}: SessionSpec): AgentOwner {
  return {job, ci: run.provider, process: identify(process.pid), startSeconds: config.agent.startup_timeout}
}
