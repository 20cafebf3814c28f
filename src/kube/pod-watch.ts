import {MirrordError, type ErrorReport} from '../errors/mirrord-error.ts'
import {agentContainer} from './agent-job.ts'
import type {ContainerStatus, Pod} from './objects.ts'
import {containerReason} from './readiness.ts'

/** Reasons with which a kubelet says that a container will not start by waiting, and what each means for the user. */
const waitingReasons: Record<string, Pick<ErrorReport, 'code' | 'next'>> = {
  ErrImagePull: imagePull(),
  ImagePullBackOff: imagePull(),
  RegistryUnavailable: imagePull(),
  ErrImageNeverPull: {
    code: 'AGENT_IMAGE_PULL',
    next: ['The image is not on the node and image_pull_policy is "Never": load it there, or let it be pulled.'],
  },
  InvalidImageName: {code: 'AGENT_IMAGE_NAME', next: ['Correct agent.image: it is no image reference.']},
  ImageInspectError: {code: 'AGENT_IMAGE_START', next: ['Check the image on the node.']},
  CreateContainerConfigError: {code: 'AGENT_IMAGE_START', next: ['Check the settings of the section "agent".']},
  CreateContainerError: {code: 'AGENT_IMAGE_START', next: ['Check that the image holds /mirrord-agent.']},
  RunContainerError: {code: 'AGENT_IMAGE_START', next: ['Check that the image holds /mirrord-agent.']},
}

function imagePull(): Pick<ErrorReport, 'code' | 'next'> {
  return {
    code: 'AGENT_IMAGE_PULL',
    next: [
      'Check agent.image (--agent-image): registry, name and tag.',
      'A private registry needs agent.image_pull_secrets; a node without access to it needs a mirror of the image.',
    ],
  }
}

/** Why the agent pod can never become ready, or undefined while it still may (agent.md 2.8, and more reasons). */
export function fatalState(pod: Pod): MirrordError | undefined {
  const status = agentStatus(pod)
  const {waiting, terminated} = status?.state ?? {}
  const known = waiting?.reason === undefined ? undefined : waitingReasons[waiting.reason]
  if (known) {
    return new MirrordError({
      ...known,
      exit: 'agentImage',
      what:
        known.code === 'AGENT_IMAGE_PULL'
          ? `The agent image ${status?.image || image(pod)} cannot be pulled.`
          : `The agent image ${status?.image || image(pod)} cannot be started.`,
      why: `The kubelet says ${waiting?.reason}${waiting?.message ? `: ${waiting.message}` : ''}.`,
    })
  }
  const phase = pod.status?.phase
  if (terminated && ['StartError', 'ContainerCannotRun'].includes(terminated.reason ?? '')) {
    return new MirrordError({
      code: 'AGENT_IMAGE_START',
      exit: 'agentImage',
      what: `The agent image ${status?.image || image(pod)} cannot be started.`,
      why: terminated.message ?? `The kubelet says ${terminated.reason}.`,
      next: ['Check that the image holds /mirrord-agent for the architecture of the node.'],
    })
  }
  if (phase === 'Failed' || phase === 'Succeeded' || terminated) return ended(pod, status)
  if (pod.metadata?.deletionTimestamp) return deleted()
  return undefined
}

function ended(pod: Pod, status: ContainerStatus | undefined): MirrordError {
  const {reason, message} = pod.status ?? {}
  if (reason) {
    return new MirrordError({
      code: 'AGENT_REJECTED',
      exit: 'agentScheduling',
      what: `The node rejected or ended the agent pod: ${reason}.`,
      why: message,
      next: ['Free capacity on the node of the target, or lower agent.resources.'],
    })
  }
  const killed = status?.state?.terminated?.reason === 'OOMKilled'
  return new MirrordError({
    code: 'AGENT_ENDED',
    exit: 'agentScheduling',
    what: 'The agent ended before it was ready.',
    why: status ? `Its container ${containerReason(status)}.` : undefined,
    next: killed
      ? ['Raise agent.resources.limits.memory.']
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

/** The error for an agent that was not ready in time, from what its pod shows. */
export function timedOut(pod: Pod | undefined, seconds: number): MirrordError {
  const more = 'Raise agent.startup_timeout (--agent-startup-timeout) if it only needs longer.'
  const unscheduled = pod?.status?.conditions?.find(({type, status}) => type === 'PodScheduled' && status === 'False')
  const what = `The agent was not ready within ${seconds} seconds.`
  if (!pod) {
    const next = ['Look at the events below: a quota or a policy may refuse the pod.', more]
    return new MirrordError({
      code: 'AGENT_NO_POD',
      exit: 'agentScheduling',
      what,
      why: "The cluster created no pod for the agent's Job.",
      next,
    })
  }
  if (unscheduled) {
    return new MirrordError({
      code: 'AGENT_UNSCHEDULABLE',
      exit: 'agentScheduling',
      what,
      why: `It could not be scheduled: ${unscheduled.message ?? unscheduled.reason}`,
      next: ["The agent must run on the target's node: free capacity there, or lower agent.resources.", more],
    })
  }
  return new MirrordError({code: 'AGENT_TIMEOUT', exit: 'agentScheduling', what, why: podState(pod), next: [more]})
}

/** The state of the agent pod in one sentence, for messages and progress. */
export function podState(pod: Pod): string {
  const status = agentStatus(pod)
  const container = status ? `; its container ${containerReason(status)}` : ''
  return `The agent pod is ${pod.status?.phase ?? 'without a phase'}${container}.`
}

/** Whether the agent's container has started at least once, so that it has a log. */
export function hasLog(pod: Pod): boolean {
  const {state} = agentStatus(pod) ?? {}
  return Boolean(state?.running ?? state?.terminated)
}

function agentStatus(pod: Pod): ContainerStatus | undefined {
  return pod.status?.containerStatuses?.find(({name}) => name === agentContainer)
}

function image(pod: Pod): string {
  return pod.spec?.containers?.find(({name}) => name === agentContainer)?.image ?? ''
}
