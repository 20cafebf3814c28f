import {MirrordError} from '../errors/mirrord-error.ts'
import {agentStatus, podGone, situationOf, type Agent} from './agent-lifecycle.ts'
import type {ContainerStatus, Pod} from './objects.ts'
import {waiting} from './obstacles/container.ts'
import {rejections, scheduling} from './obstacles/node.ts'
import type {Obstacle} from './obstacles/obstacle.ts'
import {obstacleError, recognise} from './obstacles/recognise.ts'
import {containerReason} from './readiness.ts'

/** Why the agent pod can never become ready, or undefined while it still may (agent.md 2.8, and more reasons). */
export function fatalState(pod: Pod, agent: Agent): MirrordError | undefined {
  const status = agentStatus(pod, agent)
  const waits = waitingObstacle(status)
  if (waits && !waits.obstacle.passing) return waitingError(waits, status, agent)
  const refused = unscheduled(pod)
  if (refused && agent.kind === 'job' && hopeless(refused, agent))
    return obstacleError(refused.obstacle!, situationOf(agent), refused.text)
  const phase = pod.status?.phase
  const {terminated} = status?.state ?? {}
  if (terminated && ['StartError', 'ContainerCannotRun'].includes(terminated.reason ?? '')) {
    return new MirrordError({
      code: 'AGENT_IMAGE_START',
      exit: 'agentImage',
      what: `The agent image ${status?.image || agent.image} cannot be started.`,
      why: terminated.message ?? `The kubelet says ${terminated.reason}.`,
      next: ['Check that the image of agent.image holds /mirrord-agent for the architecture of the node.'],
    })
  }
  if (agent.kind === 'ephemeral') {
    if (terminated) return ended(status)
    const over = phase === 'Failed' || phase === 'Succeeded' || pod.metadata?.deletionTimestamp !== undefined
    return over ? podGone(agent.pod, agent.namespace) : undefined
  }
  if (phase === 'Failed' || phase === 'Succeeded' || terminated) return rejected(pod, agent) ?? ended(status)
  if (pod.metadata?.deletionTimestamp) return deleted()
  return undefined
}

interface Found<Text extends Obstacle | undefined> {
  obstacle: Text
  text: string
}

/** What the kubelet says while it cannot start the container, where that is known to be an obstacle. */
function waitingObstacle(status: ContainerStatus | undefined): Found<Obstacle> | undefined {
  const {reason, message} = status?.state?.waiting ?? {}
  if (reason === undefined) return undefined
  const text = message ? `${reason}: ${message}` : reason
  const obstacle = recognise(waiting, text)
  return obstacle && {obstacle, text}
}

function waitingError(
  {obstacle, text}: Found<Obstacle>,
  status: ContainerStatus | undefined,
  agent: Agent,
): MirrordError {
  const image = `The agent image ${status?.image || agent.image} cannot be`
  const what = obstacle.what.replace(/^The agent image cannot be/, image)
  const named = obstacle.code === 'AGENT_IMAGE_NAME' || obstacle.code === 'AGENT_IMAGE_START'
  return obstacleError(
    {...obstacle, what: named ? `${image} started.` : what},
    situationOf(agent),
    `The kubelet says ${text.replace(/\.$/, '')}.`,
  )
}

/** What the scheduler says of a pod that it has no node for. */
function unscheduled({status}: Pod): Found<Obstacle | undefined> | undefined {
  const condition = status?.conditions?.find(({type, status}) => type === 'PodScheduled' && status === 'False')
  if (!condition) return undefined
  const text = condition.message ?? condition.reason ?? 'it was not said why'
  return {obstacle: recognise(scheduling, text), text}
}

/**
 * Whether no waiting helps: a full node, unless the configuration says to wait; and labels that no node has, where the
 * agent must be on the target's node, which is there already.
 */
function hopeless({obstacle, text}: Found<Obstacle | undefined>, agent: Agent & {kind: 'job'}): boolean {
  if (agent.targetless) return false
  if (obstacle?.code === 'AGENT_NODE_FULL') return !agent.waitsForPlace
  const [, nodes, unmatched] = /^0\/(\d+) nodes are available: (\d+) node/.exec(text) ?? []
  return obstacle?.code === 'AGENT_NODE_SELECTOR' && nodes !== undefined && nodes === unmatched
}

/** The node has refused the pod as a whole, or ended it. */
function rejected(pod: Pod, agent: Agent): MirrordError | undefined {
  const {reason, message} = pod.status ?? {}
  if (!reason) return undefined
  const obstacle = recognise(rejections, reason)
  const why = message ? `${reason}: ${message}` : `${reason}.`
  if (obstacle) return obstacleError(obstacle, situationOf(agent), why)
  return new MirrordError({
    code: 'AGENT_REJECTED',
    exit: 'agentScheduling',
    what: `The node rejected or ended the agent pod: ${reason}.`,
    why: message,
    next: ['Free capacity on the node of the target, or lower agent.resources.', 'Or choose a pod on another node.'],
  })
}

function ended(status: ContainerStatus | undefined): MirrordError {
  const killed = status?.state?.terminated?.reason === 'OOMKilled'
  return new MirrordError({
    code: killed ? 'AGENT_OUT_OF_MEMORY' : 'AGENT_ENDED',
    exit: 'agentEnded',
    what: killed ? 'The agent was killed: it had used up its memory.' : 'The agent ended before it was ready.',
    why: status ? `Its container ${containerReason(status)}.` : undefined,
    next: killed
      ? ['Raise agent.resources.limits.memory (by default 512Mi).']
      : ['Read its last log lines below.', 'Where they tell of missing rights, try agent.privileged: true.'],
  })
}

/** The error for an agent pod that somebody deleted while it started. */
export function deleted(): MirrordError {
  return new MirrordError({
    code: 'AGENT_DELETED',
    exit: 'agentScheduling',
    what: 'The agent pod was deleted while it started.',
    why: 'Something in the cluster removed it: a clean-up controller, a policy engine, or a person.',
    next: ["Ask the cluster's administrators, or choose another agent.namespace."],
  })
}

/** The error for an agent that was not ready in time, from what its pod shows, or why there is none, or why it was not reached. */
export function timedOut(
  pod: Pod | undefined,
  agent: Agent,
  seconds: number,
  {refused, unreached}: {refused?: MirrordError; unreached?: MirrordError},
): MirrordError {
  const more = 'Raise agent.startup_timeout (--agent-startup-timeout) if it only needs longer.'
  const what = `The agent was not ready within ${seconds} seconds.`
  const late = ({report}: MirrordError) =>
    new MirrordError({...report, what: `${report.what} That did not change within ${seconds} seconds.`})
  if (!pod) {
    if (refused) return late(refused)
    return new MirrordError({
      code: 'AGENT_NO_POD',
      exit: 'agentScheduling',
      what,
      why: "The cluster created no pod for the agent's Job, and no event says why.",
      next: [
        `A policy or a quota may refuse it: let somebody who may read events look (kubectl get events -n ${agent.namespace}).`,
        more,
      ],
    })
  }
  const status = agentStatus(pod, agent)
  const waits = waitingObstacle(status)
  if (waits) return late(waitingError(waits, status, agent))
  const place = unscheduled(pod)
  if (place?.obstacle) return late(obstacleError(place.obstacle, situationOf(agent), place.text))
  if (place) {
    return new MirrordError({
      code: 'AGENT_UNSCHEDULABLE',
      exit: 'agentScheduling',
      what,
      why: `It could not be scheduled: ${place.text}`,
      next: ["The agent must run on the target's node: free capacity there, or lower agent.resources.", more],
    })
  }
  if (unreached && pod.status?.phase === 'Running') {
    const {report} = unreached
    return new MirrordError(
      {
        ...report,
        code: 'AGENT_UNREACHABLE',
        exit: 'clusterUnreachable',
        what: `The agent runs, and was not reached within ${seconds} seconds.`,
        why: [report.what, report.why].filter((part) => part !== undefined).join(' '),
      },
      {cause: unreached},
    )
  }
  const hidden = agent.kind === 'ephemeral' && agent.inMesh && status?.state?.running
  return new MirrordError({
    code: 'AGENT_TIMEOUT',
    exit: 'agentScheduling',
    what,
    why: podState(pod, agent),
    next: hidden
      ? ['The sidecar of the service mesh may keep connections from it: set agent.exclude_from_mesh: true.', more]
      : [more],
  })
}

/** The state of the agent pod in one sentence, for messages and progress. */
export function podState(pod: Pod, agent: Agent): string {
  const status = agentStatus(pod, agent)
  if (agent.kind === 'ephemeral') return `The agent's container ${status ? inWords(status) : 'has no state yet'}.`
  const container = status ? `; its container ${containerReason(status)}` : ''
  const place = unscheduled(pod)
  if (place) return `The agent pod is not scheduled: ${place.text}`
  return `The agent pod is ${pod.status?.phase ?? 'without a phase'}${container}.`
}

/** Whether the agent's container has started at least once, so that it has a log. */
export function hasLog(pod: Pod, agent: Agent): boolean {
  const {state} = agentStatus(pod, agent) ?? {}
  return Boolean(state?.running ?? state?.terminated)
}

/** An ephemeral container has no probes: a running one is as ready as it will be. */
const inWords = (status: ContainerStatus) => (status.state?.running ? 'runs' : containerReason(status))
