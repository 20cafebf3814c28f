import {always, besideTarget, type Obstacle, type Situation} from './obstacle.ts'

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
