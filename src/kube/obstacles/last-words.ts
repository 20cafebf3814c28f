import {always, besideTarget, type Obstacle} from './obstacle.ts'

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
