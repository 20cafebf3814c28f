import type {AgentConfig} from '../config/index.ts'
import {agentProgram, agentSecurity, agentVariables, type AgentIdentity} from './agent-container.ts'
import type {Pod} from './objects.ts'
import type {ResolvedTarget} from './target.ts'

/**
 * The agent as an ephemeral container of the target's pod, field by field as agent.md 2.7. The target's own variables come
 * last: from them, not from the files of a process, the agent tells the target's environment.
 */
export function ephemeralAgent(agent: AgentConfig, target: ResolvedTarget, pod: Pod, identity: AgentIdentity) {
  const beside = pod.spec?.containers?.find(({name}) => name === target.container)
  return {
    name: identity.name,
    ...agentProgram(agent, identity, ['ephemeral']),
    targetContainerName: target.container,
    env: [
      ...agentVariables(agent, target),
      ...(target.shareProcessNamespace
        ? [{name: 'MIRRORD_AGENT_EPHEMERAL_TARGET_CONTAINER_ID', value: target.containerId}]
        : []),
      ...(agent.exclude_from_mesh ? [{name: 'MIRRORD_AGENT_EXCLUDE_FROM_MESH', value: 'true'}] : []),
      ...(beside?.env ?? []),
    ],
    ...(beside?.envFrom ? {envFrom: beside.envFrom} : {}),
    securityContext: {
      ...agentSecurity(agent, identity),
      // A pod that runs as another user would leave the agent without its capabilities.
      ...(agent.privileged ? {runAsNonRoot: false, runAsUser: 0} : {}),
    },
  }
}
