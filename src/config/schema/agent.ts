import {isIP} from 'node:net'
import * as z from 'zod'
import {field, isRecord, section} from '../meta.ts'
import {kubernetesName, text, textMap, u16, u32, u64} from '../scalars.ts'
import {UPSTREAM_VERSION} from '../../util/upstream-version.ts'

/** The agent image that upstream's release uses; the version this product is compatible with and tested against. */
export const defaultAgentImage = {registry: 'ghcr.io/metalbear-co/mirrord', tag: UPSTREAM_VERSION} as const

const capability = z.enum(['SYS_ADMIN', 'SYS_PTRACE', 'NET_ADMIN'])

const image = z
  .union([text(), z.strictObject({registry: text().optional(), tag: text().optional()})], {
    error: 'expected an image reference or an object with registry and tag',
  })
  .default({})
  .transform((value) =>
    typeof value === 'string'
      ? value
      : `${value.registry ?? defaultAgentImage.registry}:${value.tag ?? defaultAgentImage.tag}`,
  )

const imageVariables = [
  ['registry', 'MIRRORD_AGENT_IMAGE_REGISTRY'],
  ['tag', 'MIRRORD_AGENT_IMAGE_TAG'],
] as const

const toleration = z.strictObject({
  key: z.string().optional(),
  operator: z.enum(['Exists', 'Equal']).optional(),
  value: z.string().optional(),
  effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).optional(),
  tolerationSeconds: z.int().optional(),
})

const quantities = z.record(
  z.string(),
  z.union([z.string(), z.number()], {error: 'expected a quantity such as "512Mi"'}).transform(String),
)

const profile = z.strictObject({
  type: z.enum(['RuntimeDefault', 'Localhost', 'Unconfined']),
  localhost_profile: text().optional(),
})

function isSocketAddress(text: string): boolean {
  const [, v6, v4, port] = /^(?:\[(.*)\]|(.*)):(\d+)$/.exec(text) ?? []
  return isIP(v6 ?? v4 ?? '') === (v6 === undefined ? 4 : 6) && Number(port) <= 65_535
}

/** Section `agent`: how the in-cluster half is created (agent.md 7, config.md 3.3). */
export const agentSection = section(
  {
    log_level: field(text().default('info'), {
      doc: 'Log filter of the agent.',
      env: 'MIRRORD_AGENT_RUST_LOG',
      flags: {'agent-log-level': true},
    }),
    json_log: field(z.boolean().default(false), {
      doc: 'Log of the agent as JSON lines.',
      env: 'MIRRORD_AGENT_JSON_LOG',
    }),
    namespace: field(kubernetesName().optional(), {
      doc: "Namespace in which the agent's Job is created; the context's by default.",
      env: 'MIRRORD_AGENT_NAMESPACE',
      flags: {'agent-namespace': true},
    }),
    image: field(image, {
      doc: 'Agent image: a full reference, or its registry and tag.',
      env: 'MIRRORD_AGENT_IMAGE',
      flags: {'agent-image': true},
      otherEnv: imageVariables.map(([, variable]) => variable),
      examples: ['registry.example/mirrord:3.250.0', {registry: 'registry.example/mirrord'}],
      // A full reference beats the variables of the parts, as upstream orders them (agent.md 7).
      complete: (value, env) => {
        if (value !== undefined && !isRecord(value)) return undefined
        const parts: Record<string, unknown> = {...value}
        const used: string[] = []
        for (const [part, variable] of imageVariables) {
          if (parts[part] !== undefined || env[variable] === undefined) continue
          parts[part] = env[variable]
          used.push(`env ${variable}`)
        }
        return used.length === 0 ? undefined : {value: parts, origin: used.join(', ')}
      },
    }),
    image_pull_policy: field(z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent'), {
      doc: 'When the kubelet pulls the image.',
      env: 'MIRRORD_AGENT_IMAGE_PULL_POLICY',
    }),
    image_pull_secrets: field(z.array(z.strictObject({name: text()})).optional(), {
      doc: 'Secrets for pulling the image.',
    }),
    ttl: field(u16().default(1), {
      doc: 'Seconds for which a finished Job stays, for example to read its log.',
      env: 'MIRRORD_AGENT_TTL',
      flags: {'agent-ttl': true},
    }),
    ephemeral: field(z.boolean().default(false), {
      doc: 'Run the agent as an ephemeral container of the target pod.',
      env: 'MIRRORD_EPHEMERAL_CONTAINER',
      flags: {'ephemeral-container': 'true'},
    }),
    communication_timeout: field(u16().min(1).optional(), {
      doc: 'Seconds for which the agent waits for its first client (30).',
      env: 'MIRRORD_AGENT_COMMUNICATION_TIMEOUT',
    }),
    startup_timeout: field(u64().min(1).default(60), {
      doc: 'Seconds for an agent to be ready, once the cluster has it; also for a target without a ready pod during a session.',
      compare: {better: 'counts from the creation of the agent; finding the target has its own limits'},
      env: 'MIRRORD_AGENT_STARTUP_TIMEOUT',
      flags: {'agent-startup-timeout': true},
    }),
    flush_connections: field(z.boolean().default(true), {
      doc: 'End established connections of a port when stealing it begins: idle ones at once, one with a request under way after its answer, or after 5 s.',
      compare: {better: 'a request under way gets its answer, for up to 5 s'},
      env: 'MIRRORD_AGENT_STEALER_FLUSH_CONNECTIONS',
    }),
    disabled_capabilities: field(z.array(capability).optional(), {doc: 'Capabilities that the agent does without.'}),
    tolerations: field(z.array(toleration).optional(), {
      doc: 'Tolerations of the agent pod; by default it tolerates everything, because it must run on the node of the target.',
    }),
    resources: field(
      z
        .strictObject({
          requests: quantities.optional(),
          limits: quantities.optional(),
          claims: z.array(z.strictObject({name: text(), request: text().optional()})).optional(),
        })
        .optional(),
      {doc: 'Resource requests and limits of the agent (requests cpu 1m, memory 1Mi; limits cpu 1, memory 512Mi).'},
    ),
    check_out_of_pods: field(z.boolean().default(true), {
      doc: 'A start whose target is on a node without room for another pod ends at once; otherwise it waits for room.',
      compare: {better: 'as the scheduler and the kubelet say it: no right to list nodes and all pods is needed'},
    }),
    privileged: field(z.boolean().default(false), {doc: 'Run the agent container privileged.'}),
    external_ip_fix: field(z.boolean().default(true), {
      doc: "Pass through what is not stolen to the pod's own address first.",
      env: 'MIRRORD_AGENT_EXTERNAL_IP_FIX',
    }),
    nftables: field(z.boolean().optional(), {
      doc: 'Use the nft (true) or legacy (false) iptables; found out by default.',
    }),
    dns: section(
      {
        timeout: field(u32().optional(), {doc: 'Seconds for one DNS query of the agent.'}),
        attempts: field(u32().optional(), {doc: 'Attempts for one DNS query of the agent.'}),
      },
      {doc: 'DNS resolver of the agent.'},
    ),
    labels: field(textMap().optional(), {doc: 'Labels for the Job and its pod.'}),
    annotations: field(textMap().optional(), {doc: 'Annotations for the Job and its pod.'}),
    node_selector: field(textMap().optional(), {doc: 'Node labels that the agent pod demands.'}),
    service_account: field(text().optional(), {doc: 'Service account of the agent pod.'}),
    metrics: field(
      z
        .string()
        .regex(/^(\[[0-9a-fA-F:.]+\]|[0-9.]+):\d{1,5}$/, {error: 'expected <ip>:<port>', abort: true})
        .refine(isSocketAddress, {error: 'expected <ip>:<port>'})
        .optional(),
      {
        doc: 'Address of the metrics listener of the agent.',
        examples: ['0.0.0.0:9000'],
      },
    ),
    exclude_from_mesh: field(z.boolean().default(false), {
      doc: 'Keep the traffic of an ephemeral agent out of the service mesh.',
      env: 'MIRRORD_AGENT_EXCLUDE_FROM_MESH',
    }),
    disable_mesh_sidecar_injection: field(z.boolean().default(true), {
      doc: 'Keep service meshes away from the agent pod.',
    }),
    priority_class: field(text().optional(), {doc: 'Priority class of the agent pod.'}),
    inject_headers: field(z.boolean().default(false), {doc: 'Mark filtered HTTP responses with a header.'}),
    override_cache_control: field(z.boolean().default(true), {doc: 'Rewrite Cache-Control of stolen HTTP responses.'}),
    max_body_buffer_size: field(u32().default(65_535), {doc: 'Bytes of a body that a filter looks at.'}),
    max_body_buffer_timeout: field(u32().default(1000), {
      doc: 'Milliseconds to wait for a body that a filter looks at.',
    }),
    http_detection_timeout: field(u64().default(2), {
      doc: 'Seconds to wait for first bytes before a connection counts as not HTTP.',
      env: 'MIRRORD_AGENT_HTTP_DETECTION_TIMEOUT',
    }),
    security_context: field(
      z.strictObject({app_armor_profile: profile.optional(), seccomp_profile: profile.optional()}).optional(),
      {doc: 'AppArmor and seccomp profiles of the agent pod.'},
    ),
    clean_iptables_on_start: field(z.boolean().optional(), {
      doc: 'Remove left-over redirect rules of another agent instead of refusing to start.',
      env: 'MIRRORD_AGENT_CLEAN_IPTABLES_ON_START',
    }),
    jaq_time_limit: field(u64().default(1), {doc: 'Seconds for one jq evaluation in the agent.'}),
  },
  {doc: 'How the agent is created.'},
)
