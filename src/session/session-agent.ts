import type {ErrorReport} from '../errors/mirrord-error.ts'
import {isTransient, type Cluster, type ResolvedTarget} from '../kube/index.ts'
import {
  agentAnswers,
  agentEnded,
  cleanTarget,
  endAgent,
  startAgent,
  type AgentLink,
  type AgentRequest,
} from './agent-link.ts'
import {agentOwner} from './agent-owner.ts'
import {AgentKeeper, type KeeperEvents} from './agent-keeper.ts'
import type {DataPlane} from './data-plane.ts'
import {agentLeft} from './failures.ts'
import type {Log} from './log.ts'
import type {SessionSpec} from './spec.ts'
import type {Teardown} from './teardown.ts'

/** The agent's pod must be gone within this time after its Job was deleted. */
const AGENT_GONE_MS = 20_000
/** An agent that does not answer a question for this long is lost. */
const AGENT_ANSWER_MS = 5000
/** Starting and ending the short agent that removes the rules of a lost one. */
const CLEAN_MS = 60_000

/** Told by a session's agent. */
export interface AgentEvents extends Pick<KeeperEvents, 'interrupted' | 'replaced' | 'leaving'> {
  /** What its start waits for. */
  waiting(text: string): void
  /** It warns of something. */
  warned(text: string): void
  /** One could not be deleted. */
  left(text: string): void
  /** There is no agent any more, and there will be none. */
  lost(report: ErrorReport): void
}

/**
 * The agents of one session, from the first one's start to the last one's end: one at a time, two while the target's pod is being
 * replaced. Of a lost one the rules are removed from the target.
 */
export class SessionAgent {
  readonly #spec: SessionSpec
  readonly #teardown: Teardown
  readonly #log: Log
  readonly #events: AgentEvents
  /** All that were made and are not known to be gone; the last is the one that works. */
  readonly #links = new Set<AgentLink>()
  readonly #ending = new AbortController()
  #cluster!: Cluster
  #request!: AgentRequest
  #keeper?: AgentKeeper
  #lost = false
  /** Its cluster did not even answer when it was to be deleted: nothing can be cleaned there. */
  #unreachable = false
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
    this.#cluster = cluster
    const owner = agentOwner(this.#spec)
    this.#request = {config: this.#spec.config, target, sessionId: this.#spec.id, owner, signal}
    const agent = await startAgent(cluster, this.#request, this.#log, (text) => this.#events.waiting(text))
    this.#teardown.add('rules of a lost agent', CLEAN_MS, () => this.#clean())
    this.#teardown.add('agent', AGENT_GONE_MS + 10_000, () => this.#endAll())
    this.#adopt(agent)
    return {value: agent, text: `Agent ${agent.pod} is connected`}
  }

  /** From here on the loss of the agent, or of the target's pod, does not end the session at once: another agent takes over. */
  keep(dataPlane: DataPlane): void {
    const {target} = this.#request
    this.#keeper = new AgentKeeper({
      cluster: this.#cluster,
      config: this.#spec.config,
      target,
      dataPlane,
      log: this.#log,
      signal: this.#ending.signal,
      current: this.#current!,
      start: async (place, options) => {
        const request = {...this.#request, ...options, target: place}
        const link = await startAgent(this.#cluster, request, this.#log)
        this.#request = {...this.#request, target: place}
        this.#adopt(link)
        return link
      },
      end: (link) => this.#end(link),
      events: {
        interrupted: (reason) => this.#events.interrupted(reason),
        leaving: (why) => this.#events.leaving(why),
        replaced: (link, place) => this.#events.replaced(link, place),
        lost: (report) => this.#giveUp(report),
      },
    })
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

  /** Asks whether it is still there; one that is being replaced because it was lost is not. */
  ask(): void {
    const current = this.#current
    if (!current) return
    this.#answer = this.#keeper?.interrupted
      ? Promise.resolve(false)
      : agentAnswers(current.connection, AGENT_ANSWER_MS)
  }

  /** No further agent is started; the one that is there stays until the teardown. */
  stopKeeping(): void {
    this.#ending.abort(new Error('the session is being stopped'))
  }

  get #current(): AgentLink | undefined {
    return [...this.#links].at(-1)
  }

  #adopt(link: AgentLink): void {
    const {connection} = link
    this.#links.add(link)
    connection.handlers.log = ({message, level}) => {
      this.#log(`agent says (${level.type}): ${message}`)
      if (level.type === 'Warn' || level.type === 'Error') this.#events.warned(message)
    }
    connection.handlers.end = (reason) => {
      if (reason.code === 'CLOSED') return
      this.#log(`agent: ${link.pod} is lost (${reason.code}: ${reason.message})`)
      if (this.#keeper) this.#keeper.lost(link, reason)
      else this.#giveUp(agentEnded(reason))
    }
  }

  #giveUp(report: ErrorReport): void {
    this.#lost = true
    this.#events.lost(report)
  }

  /** Ends an agent; false when its pod is still there after `AGENT_GONE_MS`. Errors: those of requests. */
  async #end(link: AgentLink): Promise<boolean> {
    link.connection.close()
    const gone = await endAgent(this.#cluster, link.job, AGENT_GONE_MS)
    if (gone) this.#links.delete(link)
    return gone
  }

  async #endAll(): Promise<void> {
    this.stopKeeping()
    await this.#keeper?.idle
    await Promise.all(
      [...this.#links].map(async (link) => {
        try {
          if (await this.#end(link)) return
          this.#log(`end: the agent's pod ${link.pod} is still there after ${AGENT_GONE_MS} ms`)
        } catch (error) {
          this.#unreachable = isTransient(error)
          this.#events.left(agentLeft(link.job, error))
          this.#log(`end: ${link.job.name}: ${(error as Error).message}`)
        }
      }),
    )
  }

  async #clean(): Promise<void> {
    if (!this.#lost || !this.#request.target || this.#unreachable) return
    await cleanTarget(this.#cluster, {...this.#request, signal: AbortSignal.timeout(CLEAN_MS)}, this.#log)
  }
}
