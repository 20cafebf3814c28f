import {isDeepStrictEqual} from 'node:util'
import {defaultOf, leaves, valueAt} from '../meta.ts'
import {agentSection} from '../schema/agent.ts'
import type {Checks} from './context.ts'

/** Keys of the agent that say something of its pod, which an ephemeral container is not. */
const ofThePod = [
  ...['image_pull_secrets', 'tolerations', 'resources', 'labels', 'annotations', 'node_selector', 'service_account'],
  ...['priority_class', 'security_context', 'ttl', 'check_out_of_pods', 'disable_mesh_sidecar_injection'],
].map((key) => `agent.${key}`)

/** The target and the agent (E10, E11, W1, and the silent ones of 4.3). */
export function checkTarget(checks: Checks): void {
  const {config, given, refuse, warn} = checks
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
  checkEffect(checks)
  // W1
  if (!given('agent.namespace')) return
  if (agent.ephemeral) warn('agent.namespace', 'it has no effect: an ephemeral agent is in the pod of the target')
  else if (target.path === undefined || target.path.kind === 'targetless') {
    warn('agent.namespace', 'it has no effect without a target: the agent is created in target.namespace')
  }
}

/** 4.3: keys that the kind of agent has no use for, where they say something else than the default. */
function checkEffect({config, given, named, warn}: Checks): void {
  const {agent, target} = config
  const set = new Set(
    [...leaves(agentSection, ['agent'])]
      .filter(({path, schema}) => !isDeepStrictEqual(valueAt(config, path), defaultOf(schema)))
      .map(({path}) => path.join('.'))
      .filter(given),
  )
  const targetless = target.path === undefined || target.path.kind === 'targetless'
  const idle = (keys: readonly string[], why: string) => {
    for (const key of keys) if (set.has(key)) warn(key, `it has no effect: ${why}`)
  }
  if (targetless) {
    const besideTarget = ['agent.privileged', 'agent.disabled_capabilities', 'agent.check_out_of_pods']
    idle(besideTarget, 'an agent without a target is a plain pod')
  } else if (agent.ephemeral) idle(ofThePod, `${named('agent.ephemeral')} puts the agent into the pod of the target`)
  if (targetless || !agent.ephemeral) idle(['agent.exclude_from_mesh'], 'only an ephemeral agent is in the mesh')
}
