import type {AgentConfig} from '../config/index.ts'
import {agentProgram, agentSecurity, agentVariables, type AgentIdentity} from './agent-container.ts'
import {ownerAnnotations, ownerLabels, type AgentOwner} from './agent-owner.ts'
import type {ResolvedTarget} from './target.ts'

/** What an agent is made from. */
export interface AgentPlan {
  /** Without a target: an agent with a network of its own in the cluster. */
  target?: ResolvedTarget
  agent: AgentConfig
  sessionId: string
  /** Whose it is, for the clean-up of what dead runners leave. */
  owner?: AgentOwner
  identity?: AgentIdentity
}

export const agentContainer = 'mirrord-agent'

/** A forgotten Job ends by itself: no CI job runs for longer than a day. */
const jobDeadlineSeconds = 24 * 60 * 60
/** The agent's guard removes its rules at once on SIGTERM; the default of 30 s would only prolong a hung one. */
const graceSeconds = 10
/**
 * The Job of an agent, field by field as agent.md 2.3 to 2.6, plus a deadline, whose it is, and more memory. `user` is the digest
 * of who makes it. It has no owner reference to the target's pod, which may be in another namespace, where Kubernetes would take
 * the owner for gone and delete the Job; and which, when it goes, would take the log of a finished agent with it (agent.ttl). The
 * agent ends with its target by itself.
 */
export function agentJobObject({target, agent, sessionId, owner}: AgentPlan, identity: AgentIdentity, user?: string) {
  const quiet = agent.disable_mesh_sidecar_injection
  const labels: Record<string, string> = {
    ...agent.labels,
    app: 'mirrord',
    ...ownerLabels(sessionId, owner, user),
    ...(quiet ? {'kuma.io/sidecar-injection': 'disabled'} : {}),
  }
  const annotations: Record<string, string> = {
    ...agent.annotations,
    ...(quiet ? {'sidecar.istio.io/inject': 'false', 'linkerd.io/inject': 'disabled'} : {}),
  }
  const metadata = {labels, ...some('annotations', annotations)}
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    // How to tell that its session is dead is of no use on the pod.
    metadata: {name: identity.name, labels, ...some('annotations', {...annotations, ...ownerAnnotations(owner)})},
    spec: {
      ttlSecondsAfterFinished: agent.ttl,
      backoffLimit: 0,
      activeDeadlineSeconds: jobDeadlineSeconds,
      template: {
        metadata,
        spec: {
          restartPolicy: 'Never',
          terminationGracePeriodSeconds: graceSeconds,
          ...placement(agent, target),
          ...optional('serviceAccountName', agent.service_account),
          ...optional('imagePullSecrets', agent.image_pull_secrets),
          ...optional('priorityClassName', agent.priority_class),
          ...optional('securityContext', podSecurity(agent)),
          containers: [container(agent, target, identity)],
        },
      },
    },
  }
}

/** On the target's node, with the host's processes in sight; without a target, wherever the scheduler likes. */
function placement(agent: AgentConfig, target: ResolvedTarget | undefined) {
  if (!target) return {nodeSelector: {...agent.node_selector}, ...optional('tolerations', agent.tolerations)}
  const hostname = target.nodeHostname
  return {
    hostPID: true,
    nodeSelector: {...agent.node_selector, ...(hostname === undefined ? {} : {'kubernetes.io/hostname': hostname})},
    ...(hostname === undefined ? {nodeName: target.node} : {}),
    tolerations: agent.tolerations ?? [{operator: 'Exists'}],
    volumes: [
      {name: 'hostrun', hostPath: {path: '/run'}},
      {name: 'hostvar', hostPath: {path: '/var'}},
    ],
  }
}

function container(agent: AgentConfig, target: ResolvedTarget | undefined, identity: AgentIdentity) {
  const mode = target
    ? ['targeted', '--container-id', target.containerId, '--container-runtime', target.runtime]
    : ['targetless']
  return {
    name: agentContainer,
    ...agentProgram(agent, identity, mode),
    env: agentVariables(agent, target),
    resources: agent.resources ?? {
      requests: {cpu: '1m', memory: '1Mi'},
      // Upstream's limit is 100Mi, too little for an agent on Node: three processes of about 40 MiB when idle.
      limits: {cpu: '1', memory: '512Mi'},
    },
    ...(target
      ? {
          volumeMounts: [
            {name: 'hostrun', mountPath: '/host/run'},
            {name: 'hostvar', mountPath: '/host/var'},
          ],
          securityContext: agentSecurity(agent, identity),
        }
      : {}),
  }
}

function podSecurity({security_context: context}: AgentConfig) {
  const profile = (given: {type: string; localhost_profile?: string} | undefined) =>
    given && {type: given.type, ...optional('localhostProfile', given.localhost_profile)}
  const result = {
    ...optional('appArmorProfile', profile(context?.app_armor_profile)),
    ...optional('seccompProfile', profile(context?.seccomp_profile)),
  }
  return Object.keys(result).length > 0 ? result : undefined
}

function some<Key extends string>(
  key: Key,
  values: Record<string, string>,
): Partial<Record<Key, Record<string, string>>> {
  return optional(key, Object.keys(values).length > 0 ? values : undefined)
}

function optional<Key extends string, Value>(key: Key, value: Value | undefined): Partial<Record<Key, Value>> {
  return value === undefined ? {} : ({[key]: value} as Record<Key, Value>)
}
