import {always, besideTarget, type Obstacle, type Situation} from './obstacle.ts'

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
