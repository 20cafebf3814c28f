import {MirrordError, type ErrorReport} from '../errors/mirrord-error.ts'
import {
  connectAgent,
  createAgent,
  deleteAgent,
  waitForAgentGone,
  type Agent,
  type AgentOwner,
  type Cluster,
  type ResolvedTarget,
} from '../kube/index.ts'
import {ClientSession, ConnectionError, type ByteChannel} from '../protocol/index.ts'
import type {Config} from '../config/index.ts'
import {within} from '../util/time.ts'
import {agentLost, agentRefused} from './failures.ts'
import type {Log} from './log.ts'

/** A connection that hangs is found within two of these. */
const MAX_PING_SECONDS = 7

/** A running agent with one open connection to it. */
export interface AgentLink {
  job: Agent
  pod: string
  connection: ClientSession
}

/** What an agent is made from. */
export interface AgentRequest {
  config: Config
  target?: ResolvedTarget
  sessionId: string
  owner?: AgentOwner
  signal: AbortSignal
}

/**
 * Creates an agent and connects to it; `onWaiting` is told what is waited for. Errors: those of `connectAgent`; nothing is
 * left in the cluster then.
 */
export async function startAgent(
  cluster: Cluster,
  request: AgentRequest,
  log: Log,
  onWaiting: (text: string) => void = () => {},
): Promise<AgentLink> {
  const {config, target, sessionId, owner, signal} = request
  const namespace = agentNamespace(cluster, config, target)
  const job = await createAgent(cluster, {target, agent: config.agent, sessionId, owner, namespace}, {signal})
  log(`agent: job ${job.namespace}/${job.name} created`)
  const {pod, answer, attempts} = await connectAgent(cluster, job, {
    timeoutMs: config.agent.startup_timeout * 1000,
    handshake: (channel) =>
      handshake(channel, Math.min(MAX_PING_SECONDS, Math.max(1, config.internal_proxy.ping_interval)) * 1000),
    onProgress: (state) => {
      log(`agent: ${state}`)
      onWaiting(`Starting the agent: ${state}`)
    },
    signal,
  })
  log(`agent: connected to ${pod} after ${attempts} attempts, protocol ${answer.version}`)
  return {job, pod, connection: answer}
}

async function handshake(channel: ByteChannel, pingIntervalMs: number): Promise<ClientSession> {
  try {
    return await ClientSession.open(channel, {pingIntervalMs})
  } catch (error) {
    // The agent speaks only to say that it refuses to work (spec agent.md 2.11); anything else means "not yet".
    if (!(error instanceof ConnectionError) || error.code !== 'REFUSED') throw error
    throw new MirrordError(agentRefused(error.message), {cause: error})
  }
}

/** The report of a session whose agent's connection has ended; the agent may have said why. */
export function agentEnded(reason: ConnectionError): ErrorReport {
  return reason.code === 'REFUSED' ? agentRefused(reason.message) : agentLost(reason.message)
}

/** The Job of a targeted agent may live anywhere on the node's cluster; it follows the configuration, not the target. */
function agentNamespace(cluster: Cluster, config: Config, target: ResolvedTarget | undefined): string {
  if (target) return config.agent.namespace ?? cluster.namespace
  return config.target.namespace ?? cluster.namespace
}

/**
 * Whether the agent still works, by one question: word of a dead one takes a second to arrive, and a stop in that second
 * must not call a run good that was not.
 */
export async function agentAnswers(connection: ClientSession, timeoutMs: number): Promise<boolean> {
  const answered = await within(
    timeoutMs,
    connection.getEnv({filter: ['*']}).then(
      () => true,
      () => false,
    ),
  )
  // A paused connection delivers no answer, and it is paused because the agent has just sent more than was taken.
  return answered ?? connection.connection.paused
}

/** Deletes the agent and waits until its pod is gone: its redirect rules are gone with it. */
export async function endAgent(cluster: Cluster, job: Agent, timeoutMs: number): Promise<boolean> {
  await deleteAgent(cluster, job)
  return waitForAgentGone(cluster, job, {timeoutMs})
}

/**
 * Removes the redirect rules of an agent that could not do it itself (killed as a whole): a short-lived agent on the same
 * container that cleans at its start (ruling R6). Returns when its work is done and it is gone.
 */
export async function cleanTarget(cluster: Cluster, request: AgentRequest, log: Log): Promise<void> {
  log('agent: starting a short one that removes the rules of the lost one')
  const agent = {...request.config.agent, clean_iptables_on_start: true}
  const cleaner = await startAgent(cluster, {...request, config: {...request.config, agent}}, log)
  cleaner.connection.close()
  await endAgent(cluster, cleaner.job, 20_000)
  log('agent: the rules of the lost agent are removed')
}
