import {z} from 'zod'
import {field, inert, isRecord, later, section} from '../meta.ts'
import {entriesOf, kubernetesName, list, text, u32, u64} from '../scalars.ts'
import {readTarget} from '../target.ts'
import {agentSection} from './agent.ts'
import {ciSection} from './ci.ts'
import {featureSection} from './feature.ts'

const targetPath = z.unknown().transform((value, context) => {
  const reading = readTarget(value)
  if ('target' in reading) return reading.target
  context.addIssue({code: 'custom', message: reading.problem, params: {later: reading.later ?? false}})
  return z.NEVER
})

const target = section(
  {
    path: field(targetPath.optional(), {
      doc: 'The target: pod/<name>, deployment/<name>, each optionally with /container/<container>, or targetless.',
      env: 'MIRRORD_IMPERSONATED_TARGET',
      flags: {target: true},
      fromText: (value) => value,
    }),
    namespace: field(kubernetesName().optional(), {
      doc: "Namespace of the target; the context's by default.",
      env: 'MIRRORD_TARGET_NAMESPACE',
      flags: {'target-namespace': true},
    }),
  },
  {
    doc: 'What the program runs as.',
    short: 'a target path',
    expand: (value) => {
      if (typeof value === 'string') return {path: value}
      if (!isRecord(value) || 'path' in value) return undefined
      const {namespace, ...path} = value
      return {...(Object.keys(path).length > 0 ? {path} : {}), ...(namespace === undefined ? {} : {namespace})}
    },
  },
)

const internalProxy = section(
  {
    ping_interval: field(u64().min(1).default(30), {
      doc: 'Seconds between keep-alive messages to the agent; an unanswered one means that it is lost.',
    }),
    start_idle_timeout: inert('there is no separate proxy process'),
    idle_timeout: inert('there is no separate proxy process'),
    socket_timeout: inert('relayed connections have no idle limit'),
    log_level: inert('the session writes one log'),
    log_destination: inert('the session keeps its log in its own directory'),
    json_log: inert('the session writes one log'),
    process_logging_interval: inert('there is no separate proxy process'),
  },
  {doc: 'The connection to the agent.'},
)

const startupRetry = section(
  {
    min_ms: field(u64().default(500), {doc: 'First pause before a Kubernetes request is repeated, in milliseconds.'}),
    max_ms: field(u64().min(1).default(5000), {doc: 'Longest such pause, in milliseconds.'}),
    max_retries: field(u32().default(2), {doc: 'How often a request that met an overloaded server is repeated.'}),
  },
  {doc: 'Repeating Kubernetes requests at the start.'},
)

const operatorOnly = 'it needs the operator, whose sessions come in a later version'
const otherSystem = 'it concerns macOS only'

/** The whole configuration: the single source of its types, its validation and (later) its JSON Schema and reference. */
export const rootSection = section(
  {
    target,
    agent: agentSection,
    feature: featureSection,
    ci: ciSection,
    internal_proxy: internalProxy,
    startup_retry: startupRetry,
    kubeconfig: field(text().optional(), {
      doc: 'Kubeconfig file, or several separated by ":"; KUBECONFIG, ~/.kube/config and the pod\'s own by default.',
      env: 'MIRRORD_KUBECONFIG',
      flags: {kubeconfig: true},
    }),
    kube_context: field(text().optional(), {
      doc: 'Context of the kubeconfig; the current one by default.',
      env: 'MIRRORD_KUBE_CONTEXT',
      flags: {context: true},
    }),
    accept_invalid_certificates: field(z.boolean().default(false), {
      doc: 'Do not verify the certificate of the Kubernetes API.',
      env: 'MIRRORD_ACCEPT_INVALID_CERTIFICATES',
      flags: {'accept-invalid-certificates': true},
    }),
    use_proxy: field(z.boolean().default(true), {
      doc: 'Use HTTPS_PROXY, HTTP_PROXY and NO_PROXY for the Kubernetes API.',
      env: 'MIRRORD_PROXY',
    }),
    operator: field(z.boolean().optional(), {
      doc: 'true: the operator is required; false: it is never used; by default it is used where it is found.',
      env: 'MIRRORD_OPERATOR_ENABLE',
    }),
    skip_processes: field(list().optional(), {
      doc: 'Names of programs that run as without mirrord; what they start is judged anew.',
      env: 'MIRRORD_SKIP_PROCESSES',
      flags: {'skip-processes': true},
      fromText: entriesOf,
    }),
    skip_build_tools: field(z.boolean().default(true), {
      doc: 'Compilers and build tools (go, cargo, gcc, git and others) are such programs.',
      env: 'MIRRORD_SKIP_BUILD_TOOLS',
    }),
    skip_extra_build_tools: field(list().optional(), {
      doc: 'More names of build tools; without effect when skip_build_tools is false.',
      env: 'MIRRORD_SKIP_EXTRA_BUILD_TOOLS',
      fromText: entriesOf,
    }),
    multi_cluster: later(operatorOnly, {env: 'MIRRORD_MULTI_CLUSTER', neutral: [false]}),
    profile: later(operatorOnly),
    key: later('session keys come with the configuration features', {env: 'MIRRORD_KEY', flags: {key: true}}),
    api: inert("the session always has its own control socket", {env: 'MIRRORD_API'}),
    // TRACEPARENT and BAGGAGE are read by upstream for the operator only; CI systems set them for their own purposes.
    traceparent: inert('it is sent to the operator only'),
    baggage: inert('it is sent to the operator only'),
    telemetry: field(z.boolean().default(false), {
      doc: 'Accepted for compatibility: nothing is ever reported.',
      env: 'MIRRORD_TELEMETRY',
      flags: {'no-telemetry': 'false'},
    }),
    container: inert('it belongs to the container commands'),
    external_proxy: inert('it belongs to the container commands'),
    experimental: inert('these switches of the library injection have no counterpart here'),
    skip_sip: inert(otherSystem, {env: 'MIRRORD_SKIP_SIP'}),
    sip_binaries: inert(otherSystem),
  },
  {doc: 'The configuration.'},
)

/** The configuration with every default filled in. Keys are spelled as in the file. */
export type Config = z.output<typeof rootSection>
/** The section `agent` of it. */
export type AgentConfig = Config['agent']
