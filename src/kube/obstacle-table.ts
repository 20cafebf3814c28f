import type {ExitCodeName} from '../errors/exit-codes.ts'

/** What was to be made where: what can be advised depends on it. */
export interface Situation {
  mode: 'job' | 'targetless' | 'ephemeral'
  /** Of the agent's Job, or of the target's pod. */
  namespace: string
}

/** Something that keeps an agent from running, known by the words in which a cluster, a kubelet or the agent tells it. */
export interface Obstacle {
  says: RegExp
  code: string
  exit: ExitCodeName
  what: string
  /** The settings that help, the likeliest first. */
  next: (situation: Situation) => readonly (string | false)[]
  /** It may go by itself: the agent is waited for, and this is told when its time is over. */
  passing?: true
}

const always =
  (...next: string[]) =>
  () =>
    next

const quotaNext = (first: string) =>
  always(first, 'Or choose another agent.namespace (--agent-namespace), or let the administrators raise the limit.')

/** Where a node, its policies or its runtime keep a Job's pod away, a container of the target's pod needs less. */
const besideTarget = ({mode}: Situation) =>
  mode === 'job' &&
  'Or set agent.ephemeral (--ephemeral-container): it needs no pod, no host path and no host processes.'

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

const fullNode: Pick<Obstacle, 'code' | 'exit' | 'what' | 'next'> = {
  code: 'AGENT_NODE_FULL',
  exit: 'agentScheduling',
  what: "The target's node takes no more pods.",
  next: always(
    'Set agent.ephemeral (--ephemeral-container): an agent in the pod of the target needs no place of its own.',
    "Or move pods away from the target's node, or choose a pod on another one.",
  ),
}
const selector: Pick<Obstacle, 'code' | 'exit' | 'what' | 'next'> = {
  code: 'AGENT_NODE_SELECTOR',
  exit: 'agentScheduling',
  what: 'No node that the agent may use has the labels that it demands.',
  next: ({mode}) => [
    mode === 'job'
      ? "Correct agent.node_selector, or leave it out: the agent must run on the target's node."
      : 'Correct agent.node_selector: see kubectl get nodes --show-labels',
    besideTarget({mode, namespace: ''}),
  ],
}
const outOfResources = (situation: Situation) => [
  'Ask for less with agent.resources.requests (by default 1m cpu and 1Mi memory), or free capacity on the node.',
  'A priority class (agent.priority_class) can make room by pushing others away.',
  besideTarget(situation),
]

/** Words of the scheduler (kubernetes/pkg/scheduler/framework/plugins), about nodes that it may not or cannot use. */
export const scheduling: readonly Obstacle[] = [
  {says: /Too many pods/, ...fullNode},
  {
    says: /Insufficient [\w./-]+/,
    code: 'AGENT_UNSCHEDULABLE',
    exit: 'agentScheduling',
    what: 'No node that the agent may use has what it asks for.',
    next: outOfResources,
    passing: true,
  },
  {
    says: /untolerated taint|that the pod didn't tolerate/,
    code: 'AGENT_TAINT',
    exit: 'agentScheduling',
    what: 'The node has a taint that the agent does not tolerate.',
    next: (situation) => [
      situation.mode === 'targetless'
        ? 'Tolerate it: agent.tolerations: [{"operator": "Exists"}] tolerates all.'
        : 'Add it to agent.tolerations, or leave that out: by default the agent tolerates all.',
      besideTarget(situation),
    ],
    passing: true,
  },
  {
    says: /node\(s\) were unschedulable/,
    code: 'AGENT_UNSCHEDULABLE',
    exit: 'agentScheduling',
    what: 'The node takes no new pods: it is cordoned.',
    next: (situation) => [
      'Leave agent.tolerations out, or let it tolerate node.kubernetes.io/unschedulable.',
      besideTarget(situation),
    ],
    passing: true,
  },
  {says: /didn't match (?:Pod's )?node (?:affinity|selector)/, ...selector},
]

/** Reasons with which a kubelet refuses a pod that was given to it, or ends it (kubernetes/pkg/kubelet). */
export const rejections: readonly Obstacle[] = [
  {says: /^OutOfpods/, ...fullNode},
  {
    says: /^OutOf/,
    code: 'AGENT_REJECTED',
    exit: 'agentScheduling',
    what: "The target's node has not what the agent asks for.",
    next: outOfResources,
  },
  {says: /^NodeAffinity/, ...selector},
  {
    says: /^(?:Evicted|Preempt)/,
    code: 'AGENT_EVICTED',
    exit: 'agentScheduling',
    what: 'The node has put the agent out while it started.',
    next: always(
      'Set agent.resources.requests to what it uses (some 100Mi of memory), so that it is not the first to go.',
      'Set agent.priority_class to a class above what runs there.',
    ),
  },
  {
    says: /^(?:AppArmor|SysctlForbidden|PodOSNotSupported)/,
    code: 'AGENT_REJECTED',
    exit: 'agentScheduling',
    what: 'The node refused the agent.',
    next: always('Correct agent.security_context, or choose a pod on another node.'),
  },
]

const container: Pick<Obstacle, 'exit' | 'what'> = {
  exit: 'agentImage',
  what: "The agent's container cannot be started.",
}
const pull: Pick<Obstacle, 'exit' | 'what'> = {exit: 'agentImage', what: 'The agent image cannot be pulled.'}
const pulling = String.raw`^(?:ErrImagePull|ImagePullBackOff|RegistryUnavailable)\b[\s\S]*`
const during = (words: string) => new RegExp(`${pulling}(?:${words})`, 'i')
const pullSecrets = ({mode}: Situation) =>
  mode === 'ephemeral'
    ? "Add a pull secret to the target's pod or its service account: an ephemeral container has none of its own, and agent.image_pull_secrets has no effect on it."
    : 'A private registry needs agent.image_pull_secrets: names of secrets in the namespace of the agent.'

/** Reasons with which a container waits, with the kubelet's message behind: `ErrImagePull: …`. */
export const waiting: readonly Obstacle[] = [
  {
    says: during('unauthori[sz]ed|authentication required|no basic auth|access denied|denied:|40[13]'),
    ...pull,
    code: 'AGENT_IMAGE_SECRET',
    next: (situation) => [pullSecrets(situation), 'Check agent.image (--agent-image): registry, name and tag.'],
  },
  {
    says: during('no match(?:ing manifest)? for'),
    ...pull,
    code: 'AGENT_IMAGE_PLATFORM',
    next: always('Name an image for the architecture of the node as agent.image (--agent-image).'),
  },
  {
    says: during('toomanyrequests|429'),
    ...pull,
    code: 'AGENT_IMAGE_REGISTRY',
    next: (situation) => [
      'The registry has answered too often: pull from a mirror (agent.image), or with an account.',
      pullSecrets(situation),
    ],
    passing: true,
  },
  {
    // A name that does not exist, a machine without a registry: seldom for the moment, and mostly a slip of the pen.
    says: during('no such host|connection refused'),
    ...pull,
    code: 'AGENT_IMAGE_REGISTRY',
    next: always(
      'The node does not reach the registry: check agent.image (--agent-image), or name a mirror that it reaches.',
    ),
  },
  {
    says: during('i/o timeout|connection re|TLS handshake|deadline exceeded|unexpected EOF|50[0234]'),
    ...pull,
    code: 'AGENT_IMAGE_REGISTRY',
    next: always(
      'The node does not reach the registry: name a mirror that it reaches as agent.image (--agent-image).',
      'If it only is slow: raise agent.startup_timeout (--agent-startup-timeout).',
    ),
    passing: true,
  },
  {
    says: during(''),
    ...pull,
    code: 'AGENT_IMAGE_PULL',
    next: (situation) => ['Check agent.image (--agent-image): registry, name and tag.', pullSecrets(situation)],
  },
  {
    says: /^ErrImageNeverPull/,
    ...pull,
    code: 'AGENT_IMAGE_PULL',
    next: always(
      'The node has no such image, and agent.image_pull_policy is "Never": load it there, or let it be pulled.',
    ),
  },
  {
    says: /^InvalidImageName/,
    ...container,
    code: 'AGENT_IMAGE_NAME',
    next: always('Correct agent.image (--agent-image): it is no image reference.'),
  },
  {
    says: /^ImageInspectError/,
    ...container,
    code: 'AGENT_IMAGE_START',
    next: always('Check the image on the node.'),
  },
  {
    says: /runAsNonRoot/,
    ...container,
    code: 'AGENT_NOT_ROOT',
    next: ({mode}) => [
      mode === 'ephemeral'
        ? "The target's pod demands another user than root: set agent.privileged: true, which runs the agent as root all the same, or leave agent.ephemeral off."
        : 'Something in the namespace changes pods so that they are not root: choose another agent.namespace.',
    ],
  },
  {
    says: /^CreateContainerConfigError/,
    ...container,
    code: 'AGENT_CONTAINER_CONFIG',
    next: ({mode}) => [
      mode === 'ephemeral'
        ? "The agent gets the target's variables: what they refer to (secrets, config maps) must exist. Or leave agent.ephemeral off."
        : 'Check the settings of the section "agent", and what changes pods in its namespace.',
    ],
  },
  {
    says: /(?:^CreateContainerError|^RunContainerError)[\s\S]*(?:seccomp|apparmor)/i,
    ...container,
    code: 'AGENT_PROFILE',
    next: always('Correct agent.security_context: its profile is not on the node.'),
  },
  {
    says: /(?:^CreateContainerError|^RunContainerError)[\s\S]*(?:read-only file system|error mounting|mkdir)/i,
    ...container,
    code: 'AGENT_HOST_PATH',
    next: () => [
      "The node's /run or /var cannot be mounted: set agent.ephemeral (--ephemeral-container), which needs neither.",
    ],
  },
  {
    says: /^(?:CreateContainerError|RunContainerError)/,
    ...container,
    code: 'AGENT_IMAGE_START',
    next: always('Check that the image of agent.image holds /mirrord-agent for the architecture of the node.'),
  },
]

/** Events of a pod whose own status says less: lines `Warning FailedMount: …`. */
export const podEvents: readonly Obstacle[] = [
  {
    says: /FailedToRetrieveImagePullSecret/,
    ...pull,
    code: 'AGENT_PULL_SECRET',
    next: ({mode, namespace}) => [
      mode === 'ephemeral'
        ? `Make the pull secret that the target's pod names. See: kubectl get secrets -n ${namespace}`
        : `Correct agent.image_pull_secrets: the secrets must be in the namespace of the agent. See: kubectl get secrets -n ${namespace}`,
    ],
  },
  {
    says: /FailedMount/,
    ...container,
    code: 'AGENT_HOST_PATH',
    next: () => [
      "The node's /run or /var cannot be mounted: set agent.ephemeral (--ephemeral-container), which needs neither.",
    ],
  },
  {
    says: /FailedCreatePodSandBox/,
    exit: 'agentScheduling',
    what: "The node cannot set up the agent's pod.",
    code: 'AGENT_POD_SETUP',
    next: (situation) => [
      "The node's network plugin or runtime fails: tell the administrators, or choose a pod on another node.",
      besideTarget(situation),
    ],
  },
]

/** The agent's own last words, upstream's and ours. */
export const lastWords: readonly Obstacle[] = [
  {
    says: /Detected dirty iptables/,
    code: 'AGENT_DIRTY',
    exit: 'agentDirty',
    what: 'The target carries redirect rules of another agent.',
    next: always(
      'Wait for the other session to end, or choose another target.',
      'If there is none: delete the target pod, or set agent.clean_iptables_on_start: true.',
    ),
  },
  {
    says: /find containerd socket|containerd\.sock|crio\.sock|docker\.sock|no process of container/i,
    code: 'AGENT_NO_RUNTIME',
    exit: 'agentEnded',
    what: "The agent does not find the target's container on its node.",
    next: (situation) => [
      besideTarget(situation) && 'Set agent.ephemeral (--ephemeral-container): it need not ask the container runtime.',
      'The socket of the runtime is in an unusual place, or the node does not show its /run and /proc to pods.',
    ],
  },
  {
    says: /exec format error/i,
    code: 'AGENT_IMAGE_PLATFORM',
    exit: 'agentImage',
    what: 'The agent image is for another architecture than that of the node.',
    next: always('Name an image for the architecture of the node as agent.image (--agent-image).'),
  },
  {
    says: /Read-only file ?system|EROFS/i,
    code: 'AGENT_READ_ONLY',
    exit: 'agentEnded',
    what: 'The agent cannot write where it must: its file system, or /run, is read-only.',
    next: always(
      'Something in the namespace changes pods to a read-only root: choose another agent.namespace (--agent-namespace).',
      'Or set agent.privileged: true.',
    ),
  },
  {
    says: /can't initialize ip6?tables|Table does not exist|do you need to insmod/i,
    code: 'AGENT_IPTABLES',
    exit: 'agentEnded',
    what: "The agent cannot use the rules of the node's kernel.",
    next: always('Set agent.nftables: true or false, the other of the two.', 'Or set agent.privileged: true.'),
  },
  {
    says: /EPERM|Operation not permitted|EACCES|Permission denied/i,
    code: 'AGENT_RIGHTS',
    exit: 'agentEnded',
    what: 'The agent lacks rights on the node.',
    next: always(
      'Set agent.privileged: true (SELinux, AppArmor and Bottlerocket demand it).',
      'Leave agent.disabled_capabilities out: SYS_ADMIN enters the network of the target, SYS_PTRACE reads its files, NET_ADMIN redirects its traffic.',
    ),
  },
  {
    says: /unexpected argument|Usage: mirrord-agent|unrecognized subcommand/i,
    code: 'AGENT_IMAGE_VERSION',
    exit: 'agentImage',
    what: 'The agent image does not know what it is asked for.',
    next: always('Name an image of another version as agent.image (--agent-image); see mirrord --version --verbose.'),
  },
  {
    says: /EADDRINUSE|Address already in use/i,
    code: 'AGENT_PORT',
    exit: 'agentEnded',
    what: "The agent's port is taken on its node.",
    next: always('Start again: the port is drawn anew each time.'),
  },
]
