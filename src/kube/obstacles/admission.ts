import {always, besideTarget, type Obstacle, type Situation} from './obstacle.ts'

const quotaNext = (first: string) =>
  always(first, 'Or choose another agent.namespace (--agent-namespace), or let the administrators raise the limit.')

const privilegedNamespace = ({mode, namespace}: Situation) =>
  mode === 'job'
    ? `Choose an agent.namespace (--agent-namespace) whose policy admits host processes, host paths and added capabilities; "${namespace}" does not. A Job's agent need not be in the namespace of its target.`
    : mode === 'ephemeral'
      ? 'Leave agent.ephemeral off, and choose an agent.namespace that admits the agent: its Job need not be in the namespace of the target.'
      : 'Choose a target.namespace (--target-namespace) that admits a plain pod as root: an agent without a target asks for nothing else.'

/**
 * Refusals of the Job, of its pod or of the added container: by admission, quotas and what the pod names. The words are those of
 * the API server's own plugins (kubernetes/plugin/pkg/admission, pod-security-admission, apiserver's webhook package), OpenShift's
 * and GKE's.
 */
export const refusals: readonly Obstacle[] = [
  {
    says: /GKE Warden|\[denied by autogke-/,
    code: 'AGENT_REFUSED_AUTOPILOT',
    exit: 'agentRefused',
    what: 'GKE Autopilot refused the agent.',
    next: ({mode}) => [
      mode !== 'targetless' &&
        'Let the administrators install an allowlist for the image of agent.image (WorkloadAllowlist): with it the Job is admitted.',
      mode === 'job' &&
        'Or set agent.ephemeral: true and agent.disabled_capabilities: ["SYS_ADMIN"]; incoming traffic then needs a cluster with --workload-policies=allow-net-admin.',
      mode === 'ephemeral' &&
        'Or set agent.disabled_capabilities: ["SYS_ADMIN"], in a cluster with --workload-policies=allow-net-admin; without that add "NET_ADMIN", and incoming traffic is off.',
      mode === 'targetless' &&
        'See the rules in the message; agent.resources, agent.labels and agent.node_selector are yours.',
    ],
  },
  {
    says: /unable to validate against any security context constraint/,
    code: 'AGENT_REFUSED_SCC',
    exit: 'agentRefused',
    what: "OpenShift's security context constraints do not admit the agent.",
    next: ({mode, namespace}) => [
      mode === 'ephemeral'
        ? "Give the service account of the target's pod a constraint that allows SYS_ADMIN, SYS_PTRACE and NET_ADMIN, or leave agent.ephemeral off."
        : `Make a service account that may use the constraint "privileged" (oc adm policy add-scc-to-user privileged -z NAME -n ${namespace}), and name it as agent.service_account.`,
    ],
  },
  {
    says: /violates PodSecurity|unable to validate against any pod security policy/,
    code: 'AGENT_REFUSED_POD_SECURITY',
    exit: 'agentRefused',
    what: 'Pod Security does not admit the agent.',
    next: (situation) => [
      privilegedNamespace(situation),
      situation.mode === 'job' &&
        `Or let the administrators admit it there: kubectl label namespace ${situation.namespace} pod-security.kubernetes.io/enforce=privileged --overwrite`,
    ],
  },
  {
    says: /exceeded quota:/,
    code: 'AGENT_QUOTA',
    exit: 'agentQuota',
    what: 'A resource quota has no room for the agent.',
    next: quotaNext('Ask for less with agent.resources, or end what else uses the quota.'),
    passing: true,
  },
  {
    says: /failed quota:.*must specify/,
    code: 'AGENT_QUOTA_RESOURCES',
    exit: 'agentQuota',
    what: 'A resource quota demands resources that the agent does not name.',
    next: quotaNext('Name them in agent.resources, under requests and limits.'),
  },
  {
    says: /(?:minimum|maximum) [\w./-]+ usage per|max limit to request ratio per/,
    code: 'AGENT_LIMIT_RANGE',
    exit: 'agentQuota',
    what: 'A limit range does not admit the resources of the agent.',
    next: quotaNext('Set agent.resources, requests and limits, to what it admits.'),
  },
  {
    says: /no PriorityClass with name/,
    code: 'AGENT_PRIORITY_CLASS',
    exit: 'agentRefused',
    what: 'The priority class of the agent does not exist.',
    next: always('Correct agent.priority_class, or leave it out. See: kubectl get priorityclasses'),
  },
  {
    says: /looking up service account [^/\s]+\/default:/,
    code: 'AGENT_SERVICE_ACCOUNT',
    exit: 'agentRefused',
    what: 'The namespace has no service account "default".',
    next: ({namespace}) => [`Name another as agent.service_account. See: kubectl get serviceaccounts -n ${namespace}`],
    passing: true, // a new namespace gets it a moment later
  },
  {
    says: /looking up service account/,
    code: 'AGENT_SERVICE_ACCOUNT',
    exit: 'agentRefused',
    what: 'The service account of the agent does not exist in its namespace.',
    next: ({namespace}) => [
      `Correct agent.service_account, or leave it out. See: kubectl get serviceaccounts -n ${namespace}`,
    ],
  },
  {
    says: /because it is being terminated/,
    code: 'AGENT_NAMESPACE_ENDS',
    exit: 'agentRefused',
    what: 'The namespace of the agent is being deleted.',
    next: always('Choose another agent.namespace (--agent-namespace), or wait until the namespace is made again.'),
  },
  {
    says: /failed calling webhook/,
    code: 'AGENT_WEBHOOK_FAILED',
    exit: 'agentRefused',
    what: 'An admission webhook that has to judge the agent does not answer.',
    next: always(
      "Tell the cluster's administrators: while it is down nothing is admitted there.",
      'Or choose an agent.namespace that this webhook does not look at.',
    ),
    passing: true,
  },
  {
    says: /admission webhook|ValidatingAdmissionPolicy|Validating ?Policy|kyverno|gatekeeper|admission plugin|denied (?:the )?request/i,
    code: 'AGENT_REFUSED_POLICY',
    exit: 'agentRefused',
    what: 'A policy of the cluster does not admit the agent.',
    next: (situation) => [privilegedNamespace(situation), besideTarget(situation)],
  },
]

/** What a policy objects to, by its own words, and the setting that changes that. Told before the policy's general advice. */
export const objections: readonly {says: RegExp; next: string}[] = [
  {
    says: /image|registr|\btag\b|digest/i,
    next: 'It speaks of the image: name an admitted one as agent.image (--agent-image), with registry, tag or digest.',
  },
  {says: /\blabels?\b/i, next: 'It speaks of labels: set them with agent.labels.'},
  {says: /annotation/i, next: 'It speaks of annotations: set them with agent.annotations.'},
  {says: /resource(?:s\b|\.)|cpu|memory/i, next: 'It speaks of resources: set agent.resources.'},
  {says: /seccomp|apparmor/i, next: 'It speaks of a profile: set agent.security_context.'},
  {
    says: /serviceaccount|service account/i,
    next: 'It speaks of the service account: name one as agent.service_account.',
  },
  {says: /toleration|taint/i, next: 'It speaks of tolerations: set agent.tolerations; by default the agent has all.'},
  {
    says: /capabilit/i,
    next: 'It speaks of capabilities: agent.disabled_capabilities leaves them out (without NET_ADMIN no incoming traffic).',
  },
  {
    says: /privileged (?:mode|container)|privileged: true/i,
    next: 'It speaks of privileges: leave agent.privileged off.',
  },
  {says: /priorit/i, next: 'It speaks of priorities: set agent.priority_class.'},
]
