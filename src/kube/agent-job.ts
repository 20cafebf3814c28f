import {randomInt} from 'node:crypto'
import type {AgentConfig} from '../config/index.ts'
import type {ResolvedTarget} from './target.ts'

/** What is drawn for one agent. */
export interface AgentIdentity {
  /** Name of the Job. */
  name: string
  /** Port on which the agent listens, inside its own pod. */
  port: number
  /** Group id by which redirect rules tell the agent's own traffic apart. */
  gid: number
}

/** What an agent Job is made from. */
export interface AgentPlan {
  /** Without a target: an agent with a network of its own in the cluster. */
  target?: ResolvedTarget
  agent: AgentConfig
  sessionId: string
  identity?: AgentIdentity
}

/** Label that names the session to which a Job belongs, so that leftovers can be told and found. */
export const sessionLabel = 'mirrord-for-ci/session'
export const agentContainer = 'mirrord-agent'

/** A forgotten Job ends by itself: no CI job runs for longer than a day. */
const jobDeadlineSeconds = 24 * 60 * 60
/** The agent's guard removes its rules at once on SIGTERM; the default of 30 s would only prolong a hung one. */
const graceSeconds = 10
const nameAlphabet = 'abcdefghijklmnopqrstuvwxyz0123456789'
const capabilities = ['SYS_ADMIN', 'SYS_PTRACE', 'NET_ADMIN'] as const
const defaultFirstClientSeconds = 30

/** Draws name, port and group id in upstream's ranges (agent.md 2.1). */
export function drawIdentity(): AgentIdentity {
  const suffix = Array.from({length: 10}, () => nameAlphabet[randomInt(nameAlphabet.length)]).join('')
  return {name: `mirrord-agent-${suffix}`, port: randomInt(30_000, 65_536), gid: randomInt(3000, 65_535)}
}

/** The Job of an agent, field by field as agent.md 2.3 to 2.6, plus a deadline, a session label and more memory. */
export function agentJobObject({target, agent, sessionId}: AgentPlan, identity: AgentIdentity) {
  const quiet = agent.disable_mesh_sidecar_injection
  const labels = {
    ...agent.labels,
    app: 'mirrord',
    [sessionLabel]: sessionId,
    ...(quiet ? {'kuma.io/sidecar-injection': 'disabled'} : {}),
  }
  const annotations = {
    ...agent.annotations,
    ...(quiet ? {'sidecar.istio.io/inject': 'false', 'linkerd.io/inject': 'disabled'} : {}),
  }
  const metadata = {labels, ...(Object.keys(annotations).length > 0 ? {annotations} : {})}
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {name: identity.name, ...metadata},
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
  const disabled = new Set<string>(agent.disabled_capabilities)
  return {
    name: agentContainer,
    image: agent.image,
    imagePullPolicy: agent.image_pull_policy,
    // Static command, and arguments that begin with -l and -t: allowlists of GKE Autopilot match on that prefix.
    command: ['./mirrord-agent'],
    args: ['-l', `${identity.port}`, '-t', `${agent.communication_timeout ?? defaultFirstClientSeconds}`, ...mode],
    env: environment(agent, target),
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
          securityContext: {
            runAsGroup: identity.gid,
            privileged: agent.privileged,
            capabilities: {add: capabilities.filter((name) => !disabled.has(name))},
          },
        }
      : {}),
  }
}

/** The variables of agent.md 2.6, in its order; those that only an operator sets are left out. */
function environment(agent: AgentConfig, target: ResolvedTarget | undefined): {name: string; value: string}[] {
  const ips = target?.ips ?? []
  const variables: [string, string | number | boolean | undefined][] = [
    ['RUST_LOG', agent.log_level],
    ['MIRRORD_AGENT_STEALER_FLUSH_CONNECTIONS', agent.flush_connections],
    ['MIRRORD_AGENT_JSON_LOG', agent.json_log],
    ['MIRRORD_AGENT_PASSTHROUGH_MIRRORING', true],
    ['MIRRORD_MAX_BODY_BUFFER_SIZE', agent.max_body_buffer_size],
    ['MIRRORD_MAX_BODY_BUFFER_TIMEOUT', agent.max_body_buffer_timeout],
    ['MIRRORD_AGENT_HTTP_DETECTION_TIMEOUT', agent.http_detection_timeout],
    ['MIRRORD_JAQ_TIME_LIMIT', agent.jaq_time_limit],
    ['MIRRORD_AGENT_NFTABLES', agent.nftables],
    ['MIRRORD_AGENT_DNS_ATTEMPTS', agent.dns.attempts],
    ['MIRRORD_AGENT_DNS_TIMEOUT', agent.dns.timeout],
    ['MIRRORD_AGENT_POD_IPS', ips.length > 0 ? ips.join(',') : undefined],
    ['MIRRORD_AGENT_METRICS', agent.metrics],
    ['MIRRORD_AGENT_INJECT_HEADERS', agent.inject_headers || undefined],
    ['MIRRORD_AGENT_CLEAN_IPTABLES_ON_START', agent.clean_iptables_on_start],
    ['MIRRORD_AGENT_EXTERNAL_IP_FIX', agent.external_ip_fix],
    ['MIRRORD_AGENT_OVERRIDE_CACHE_CONTROL', agent.override_cache_control],
    ['MIRRORD_AGENT_IN_SERVICE_MESH', target?.mesh ? true : undefined],
    ['MIRRORD_AGENT_ISTIO_CNI', target?.mesh === 'istio-cni' ? true : undefined],
  ]
  return variables.flatMap(([name, value]) => (value === undefined ? [] : [{name, value: String(value)}]))
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

function optional<Key extends string, Value>(key: Key, value: Value | undefined): Partial<Record<Key, Value>> {
  return value === undefined ? {} : ({[key]: value} as Record<Key, Value>)
}
