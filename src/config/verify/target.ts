import type {Checks} from './context.ts'

/** The target and the agent (E10, E11, W1). */
export function checkTarget({config, given, refuse, warn}: Checks): void {
  const {agent, target} = config
  // The word targetless together with stealing is a contradiction, not an oversight: E10.
  if (target.path?.kind === 'targetless') {
    if (config.feature.network.incoming.mode === 'steal') {
      refuse(
        'feature.network.incoming.mode',
        'there is no traffic to steal without a target; use "off" or name a target',
      )
    }
    // E11
    if (agent.ephemeral) refuse('agent.ephemeral', 'there is no pod for an ephemeral container without a target')
  }
  // W1
  if (!given('agent.namespace')) return
  if (agent.ephemeral) warn('agent.namespace', 'it has no effect: an ephemeral agent is in the pod of the target')
  else if (target.path === undefined || target.path.kind === 'targetless') {
    warn('agent.namespace', 'it has no effect without a target: the agent is created in target.namespace')
  }
}
