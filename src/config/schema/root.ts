import {z} from 'zod'
import {field, inert, later, section} from '../meta.ts'
import {entriesOf, list, text} from '../scalars.ts'
import type {TargetPath} from '../target.ts'
import {parseProfile} from '../profile-reference.ts'
import {agentSection} from './agent.ts'
import {ciSection} from './ci.ts'
import {containerSection} from './container.ts'
import {experimentalSection, sipFields} from './experimental.ts'
import {featureSection} from './feature/index.ts'
import {externalProxySection, internalProxySection, startupRetrySection} from './proxies.ts'
import {targetSection} from './target.ts'

const operator = {feature: 'operator', what: 'sessions of the operator'} as const
const header = 'it is sent to the operator only, whose sessions come in a later version'

const profile = () =>
  text().superRefine((value, context) => {
    try {
      parseProfile(value)
    } catch (error) {
      context.addIssue({code: 'custom', message: (error as Error).message})
    }
  })

/** The whole configuration: the single source of its types, its validation, its JSON Schema and its reference. */
export const rootSection = section(
  {
    target: targetSection,
    agent: agentSection,
    feature: featureSection,
    ci: ciSection,
    internal_proxy: internalProxySection,
    startup_retry: startupRetrySection,
    kubeconfig: field(text().optional(), {
      doc: 'Kubeconfig file, or several separated by ":"; KUBECONFIG, ~/.kube/config and the pod\'s own by default.',
      env: 'MIRRORD_KUBECONFIG',
      flags: {kubeconfig: true},
      compare: {better: 'there is a flag too'},
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
      compare: {better: 'installing with npm, yarn and pnpm counts too'},
    }),
    skip_extra_build_tools: field(list().optional(), {
      doc: 'More names of build tools; without effect when skip_build_tools is false.',
      env: 'MIRRORD_SKIP_EXTRA_BUILD_TOOLS',
      fromText: entriesOf,
    }),
    multi_cluster: later(z.boolean().optional(), {
      ...operator,
      doc: 'Whether the session spans the clusters of the operator.',
      env: 'MIRRORD_MULTI_CLUSTER',
      neutral: [false],
    }),
    profile: field(profile().optional(), {
      doc: 'Profile in the cluster that changes features, over every other source: <name>, or <namespace>/<name>.',
      examples: ['quiet', 'shop/quiet'],
    }),
    key: later(text().optional(), {
      doc: 'Key of the session, for templates.',
      env: 'MIRRORD_KEY',
      flags: {key: true},
      feature: 'semantics',
      what: 'session keys',
    }),
    api: inert(z.boolean().default(true), {
      doc: 'Control socket of the session.',
      env: 'MIRRORD_API',
      why: 'the session always has its own control socket',
    }),
    // TRACEPARENT and BAGGAGE are read by upstream for the operator only; CI systems set them for their own purposes.
    traceparent: inert(text().optional(), {
      doc: 'W3C trace header; the variable TRACEPARENT is not read.',
      why: header,
    }),
    baggage: inert(headerValue().optional(), {
      doc: 'W3C baggage header; the variable BAGGAGE is not read.',
      why: header,
    }),
    telemetry: field(z.boolean().default(false), {
      doc: 'Accepted for compatibility: nothing is ever reported.',
      env: 'MIRRORD_TELEMETRY',
      flags: {'no-telemetry': 'false'},
      compare: {better: 'nothing is ever sent, whatever this says'},
    }),
    container: containerSection,
    external_proxy: externalProxySection,
    experimental: experimentalSection,
    ...sipFields,
  },
  {doc: 'The configuration.'},
)

/** A text that can be the value of an HTTP header. */
function headerValue() {
  // eslint-disable-next-line no-control-regex -- just those are refused
  return z.string().regex(/^[^\x00-\x08\x0a-\x1f\x7f]*$/, 'must not hold control characters')
}

/** The configuration with every default filled in. Keys are spelled as in the file. */
export type Config = z.output<typeof rootSection> & {target: {path?: TargetPath}}
/** The section `agent` of it. */
export type AgentConfig = Config['agent']
/** The configuration before it is verified: its target may be of a kind that a later version knows. */
export type AnyConfig = z.output<typeof rootSection>
