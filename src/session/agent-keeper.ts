import {MirrordError, toReport, type ErrorReport} from '../errors/mirrord-error.ts'
import {awaitTarget, isStatus, podLeaves, stillRuns, type Cluster, type ResolvedTarget} from '../kube/index.ts'
import type {Config} from '../config/index.ts'
import {ConnectionError} from '../protocol/index.ts'
import {delay, within} from '../util/time.ts'
import {agentEnded, type AgentLink, type AgentRequest} from './agent-link.ts'
import type {DataPlane} from './data-plane.ts'
import {agentLost, stealRefused} from './failures.ts'
import type {Log} from './log.ts'

/** So long a session may be without an agent while its target has a pod (ruling R6). */
const WITHOUT_AGENT_MS = 15_000
/** Between two attempts at first, and at most. */
const PAUSE_MS = 250
const MAX_PAUSE_MS = 2000
/** So long the next agent waits for the end of the lost one in the same pod. */
const OLD_GONE_MS = 5000

/** Told by the keeper. */
export interface KeeperEvents {
  /** The agent is lost; the program's connections through it are reset, and what is new waits. */
  interrupted(reason: ConnectionError): void
  /** The target's pod goes away, the agent is still there. */
  leaving(why: string): void
  /** Another agent has taken over, the subscriptions included. */
  replaced(link: AgentLink, target: ResolvedTarget | undefined): void
  /** There is no agent any more, and there will be none. */
  lost(report: ErrorReport): void
}

/** What the keeper works with. */
export interface KeeperOptions {
  cluster: Cluster
  config: Config
  /** Undefined for a session without a target. */
  target: ResolvedTarget | undefined
  dataPlane: DataPlane
  log: Log
  /** Aborts when the session ends. */
  signal: AbortSignal
  current: AgentLink
  /** Starts and connects an agent. Errors: those of `startAgent`. */
  start(target: ResolvedTarget | undefined, options: Pick<AgentRequest, 'config' | 'signal'>): Promise<AgentLink>
  /** Ends an agent; false when it is still there after its time. */
  end(link: AgentLink): Promise<boolean>
  events: KeeperEvents
}

/**
 * Keeps a session connected: when the target's pod goes away (a roll-out, an eviction), an agent on the pod that follows takes
 * over while the old one still serves what it has; when the agent is lost, another one takes over within 15 s, or the session
 * ends. The time in which the target itself has no ready pod does not count, up to agent.startup_timeout.
 */
export class AgentKeeper {
  readonly #options: KeeperOptions
  #current: AgentLink
  #target: ResolvedTarget | undefined
  /** Why the current agent is lost, and since when; undefined while it works. */
  #reason: ConnectionError | undefined
  #lostAt: number | undefined
  #onLost: (() => void) | undefined
  /** The replacement under way. */
  #work: Promise<void> | undefined
  /** Ends the watch of the pod. */
  #watch: AbortController | undefined

  constructor(options: KeeperOptions) {
    this.#options = options
    this.#current = options.current
    this.#target = options.target
    this.#watchPod()
  }

  /** Whether there is no agent now. */
  get interrupted(): boolean {
    return this.#lostAt !== undefined
  }

  /** Resolves when nothing is under way. */
  get idle(): Promise<void> {
    return this.#work ?? Promise.resolve()
  }

  /** The connection to an agent has ended, and nobody here has ended it. */
  lost(link: AgentLink, reason: ConnectionError): void {
    const {dataPlane, events, signal, log} = this.#options
    dataPlane.lost(link.connection)
    if (link !== this.#current) {
      // Its pod has gone, as it was to be.
      this.#options
        .end(link)
        .catch((error: Error) => log(`agent: ${link.job.name} could not be ended: ${error.message}`))
      return
    }
    if (this.#lostAt !== undefined) return
    this.#reason = reason
    this.#lostAt = Date.now()
    if (signal.aborted) return
    this.#onLost?.()
    if (!replaceable(reason)) return this.#giveUp(agentEnded(reason))
    events.interrupted(reason)
    this.#replace()
  }

  #watchPod(): void {
    this.#watch?.abort()
    const target = this.#target
    const {cluster, signal, events, log} = this.#options
    if (!target) return
    const watch = new AbortController()
    this.#watch = watch
    podLeaves(cluster, target, AbortSignal.any([signal, watch.signal])).then(
      (why) => {
        if (watch.signal.aborted || signal.aborted) return
        log(`target: pod ${target.name} goes away: ${why}`)
        if (this.#lostAt === undefined) events.leaving(`pod ${target.name}: ${why}`)
        this.#replace()
      },
      (error: Error) => {
        if (watch.signal.aborted || signal.aborted) return
        // Then the end of its agent tells.
        log(`target: pod ${target.name} cannot be watched (${error.message})`)
        if (!isStatus(error, 403))
          void delay(MAX_PAUSE_MS, watch.signal).then(() => watch.signal.aborted || this.#watchPod())
      },
    )
  }

  #replace(): void {
    if (this.#work) return
    this.#work = this.#run()
      .catch((error: unknown) => this.#giveUp(toReport(error)))
      .finally(() => (this.#work = undefined))
  }

  async #run(): Promise<void> {
    const {signal, log, config} = this.#options
    const patienceMs = config.agent.startup_timeout * 1000
    let left = WITHOUT_AGENT_MS
    let clean = false
    /** Pods that carry the rules of other sessions. */
    const avoid: string[] = []
    for (let attempt = 0; ; attempt++) {
      let failed: unknown
      let target: ResolvedTarget | undefined
      const began = Date.now()
      try {
        target = await this.#inTime(patienceMs, (time) => this.#awaitTarget(time, avoid))
        const found = Date.now()
        try {
          if (await this.#takeOver(target, left, clean)) return
        } finally {
          if (this.#lostAt !== undefined) left -= Date.now() - Math.max(found, this.#lostAt)
        }
      } catch (error) {
        failed = error
      }
      if (signal.aborted) return
      const report = toReport(failed)
      log(`agent: no other one after ${Date.now() - began} ms: ${report.code}: ${report.what} ${report.why ?? ''}`)
      if (failed instanceof Refused) return this.#giveUp(stealRefused(failed.port, failed.cause))
      // In the same pod: the old agent was killed as a whole, and its rules are in the way; nobody else could have begun there.
      clean = report.code === 'AGENT_DIRTY'
      if (clean && target && target.uid !== this.#target?.uid) avoid.push(target.name)
      const wait = Math.min(MAX_PAUSE_MS, PAUSE_MS * 2 ** attempt)
      if (this.#lostAt !== undefined) {
        if (final(report)) return this.#giveUp(this.#without(report))
        left -= wait
        if (left <= 0) return this.#giveUp(this.#without(report, WITHOUT_AGENT_MS))
      }
      await delay(wait, signal)
    }
  }

  /** The pod that the next agent goes to; undefined for a session without a target. */
  async #awaitTarget(time: AbortSignal, avoid: readonly string[]): Promise<ResolvedTarget | undefined> {
    const {cluster, config} = this.#options
    const {path, namespace} = config.target
    if (!this.#target || !path || path.kind === 'targetless') return undefined
    try {
      if (this.#lostAt !== undefined && (await stillRuns(cluster, this.#target, time))) return this.#target
      return await awaitTarget(cluster, path, namespace, {signal: time, avoid})
    } catch (error) {
      if (time.aborted && !this.#options.signal.aborted) throw noPod(this.#target.target, config.agent.startup_timeout)
      throw error
    }
  }

  /** Runs `work` with a signal that aborts when the session ends, or `ms` after the loss of the agent: that may be still to come. */
  async #inTime<T>(ms: number, work: (time: AbortSignal) => Promise<T>): Promise<T> {
    const late = new AbortController()
    let timer: NodeJS.Timeout | undefined
    const begin = () => (timer = setTimeout(() => late.abort(new Error('no time is left')), ms))
    if (this.#lostAt === undefined) this.#onLost = begin
    else begin()
    try {
      return await work(AbortSignal.any([this.#options.signal, late.signal]))
    } finally {
      clearTimeout(timer)
      this.#onLost = undefined
    }
  }

  /** Starts an agent for the pod and hands everything over to it. True also when the one that is there is for that pod and works. */
  async #takeOver(target: ResolvedTarget | undefined, ms: number, clean: boolean): Promise<boolean> {
    const {start, end, dataPlane, events, log, config} = this.#options
    const before = this.#current
    const same = target?.uid === this.#target?.uid
    if (this.#lostAt === undefined && same) return true
    // Its rules must be gone before another agent may set its own in the same pod.
    if (same) await within(Math.min(ms / 2, OLD_GONE_MS), end(before))
    const agent = {...config.agent, clean_iptables_on_start: (clean && same) || config.agent.clean_iptables_on_start}
    const link = await this.#inTime(ms, (signal) => start(target, {config: {...config, agent}, signal}))
    const {connection} = link
    const interrupted = this.#lostAt !== undefined
    this.#current = link
    this.#target = target
    this.#lostAt = this.#reason = undefined
    this.#watchPod()
    const ended = connection.connection.closed.then((reason) => Promise.reject(reason))
    const [refused] = await Promise.race([dataPlane.takeOver(connection), ended])
    if (refused) throw new Refused(refused.port, {cause: refused.error})
    events.replaced(link, target)
    if (interrupted && !same) end(before).catch((error: Error) => log(`agent: ${before.job.name}: ${error.message}`))
    return true
  }

  /** The report of a session that stays without an agent. */
  #without({what, why, detail}: ErrorReport, ms = 0): ErrorReport {
    const tried = ms > 0 ? ` For ${ms / 1000} s no other agent could be had.` : ' No other agent can be had.'
    return agentLost(`${this.#reason?.message ?? ''}${tried} ${what} ${why ?? ''}`.trim(), detail)
  }

  #giveUp(report: ErrorReport): void {
    const {dataPlane, events, signal} = this.#options
    this.#watch?.abort()
    dataPlane.giveUp(this.#reason ?? new ConnectionError('CLOSED', report.what))
    if (!signal.aborted) events.lost(report)
  }
}

/** A port of the program that the agent which takes over cannot have. */
class Refused extends Error {
  readonly port: number

  constructor(port: number, options: {cause: unknown}) {
    super(`port ${port} was refused`, options)
    this.port = port
  }
}

/** Whether another agent would end like this one: it says that it cannot work, or does not keep to the protocol. */
function replaceable({code}: ConnectionError): boolean {
  return code !== 'REFUSED' && code !== 'VIOLATION' && code !== 'MALFORMED'
}

/** What no other attempt changes; for a pod it was waited long enough. */
function final({exit}: ErrorReport): boolean {
  return exit === 'targetNotFound' || exit === 'targetNotReady' || exit === 'forbidden'
}

function noPod(target: string, seconds: number): MirrordError {
  return new MirrordError({
    code: 'TARGET_NOT_READY',
    exit: 'targetNotReady',
    what: `The target ${target} had no ready pod for ${seconds} s.`,
    next: ['Look at its pods.'],
  })
}
