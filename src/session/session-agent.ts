import type {Cluster, ResolvedTarget} from '../kube/index.ts'
import type {ConnectionError} from '../protocol/index.ts'
import {agentAnswers, cleanTarget, endAgent, startAgent, type AgentLink, type AgentRequest} from './agent-link.ts'
import type {Log} from './log.ts'
import type {SessionSpec} from './spec.ts'
import type {Teardown} from './teardown.ts'

/** The agent's pod must be gone within this time after its Job was deleted. */
const AGENT_GONE_MS = 20_000
/** An agent that does not answer a question for this long is lost. */
const AGENT_ANSWER_MS = 1500
/** Starting and ending the short agent that removes the rules of a lost one. */
const CLEAN_MS = 60_000

/** Told by a session's agent. */
export interface AgentEvents {
  /** What its start waits for. */
  waiting(text: string): void
  /** It warns of something. */
  warned(text: string): void
  /** The connection has ended, and nobody here has ended it. */
  lost(reason: ConnectionError): void
}

/** The agent of one session, from its start to its end; of a lost one the rules are removed from the target. */
export class SessionAgent {
  readonly #spec: SessionSpec
  readonly #teardown: Teardown
  readonly #log: Log
  readonly #events: AgentEvents
  #link?: AgentLink
  #lost = false
  #answer?: Promise<boolean>

  constructor(spec: SessionSpec, teardown: Teardown, log: Log, events: AgentEvents) {
    this.#spec = spec
    this.#teardown = teardown
    this.#log = log
    this.#events = events
  }

  /** Starts and connects it. Errors: those of `startAgent`. */
  async start(
    cluster: Cluster,
    target: ResolvedTarget | undefined,
    signal: AbortSignal,
  ): Promise<{value: AgentLink; text: string}> {
    const request: AgentRequest = {config: this.#spec.config, target, sessionId: this.#spec.id, signal}
    const agent = await startAgent(cluster, request, this.#log, (text) => this.#events.waiting(text))
    this.#link = agent
    const {connection, job} = agent
    this.#teardown.add('rules of a lost agent', CLEAN_MS, async () => {
      if (this.#lost && target)
        await cleanTarget(cluster, {...request, signal: AbortSignal.timeout(CLEAN_MS)}, this.#log)
    })
    this.#teardown.add('agent', AGENT_GONE_MS + 10_000, async () => {
      connection.close()
      if (!(await endAgent(cluster, job, AGENT_GONE_MS)))
        this.#log(`end: the agent's pod is still there after ${AGENT_GONE_MS} ms`)
    })
    connection.handlers.log = ({message, level}) => {
      this.#log(`agent says (${level.type}): ${message}`)
      if (level.type === 'Warn' || level.type === 'Error') this.#events.warned(message)
    }
    connection.handlers.end = (reason) => {
      if (reason.code === 'CLOSED') return
      this.#lost = true
      this.#log(`agent: lost (${reason.code}: ${reason.message})`)
      this.#events.lost(reason)
    }
    return {value: agent, text: `Agent ${agent.pod} is connected`}
  }

  /**
   * Adds the check whether it still answers: asked by `ask` when the end begins, judged after the program is gone, so that only
   * a stop whose agent is dead takes longer.
   */
  checkAtEnd(silent: () => void): void {
    this.#teardown.add('agent check', 2 * AGENT_ANSWER_MS, async () => {
      if (!this.#answer || (await this.#answer)) return
      this.#lost = true
      silent()
    })
  }

  /** Asks whether it is still there. */
  ask(): void {
    if (this.#link) this.#answer = agentAnswers(this.#link.connection, AGENT_ANSWER_MS)
  }
}
