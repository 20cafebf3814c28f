import {isIPv4, isIPv6, type Socket} from 'node:net'
import type {TLSSocket} from 'node:tls'
import {agentConnection, socketChannel} from '../protocol/index.ts'
import {Client, type AgentContext} from './client.ts'
import type {AgentOptions} from './cli.ts'
import {runCommand} from './command.ts'
import {Attributes} from './files/attributes.ts'
import {Ownership} from './files/ownership.ts'
import {RootedFiles} from './files/rooted.ts'
import type {Redirecting} from './incoming/steal.ts'
import type {Log} from './log.ts'
import {PassThrough} from './redirect/pass-through.ts'
import {prepareRedirect} from './redirect/prepare.ts'
import {Redirector} from './redirect/redirector.ts'
import {RuleSet} from './redirect/rule-set.ts'
import {chainNames} from './redirect/rules.ts'
import type {AgentSettings} from './settings.ts'
import {readEnvironment} from './target/environment.ts'
import {DIRTY_EXIT, type ToGuard, type WorkerStart} from './worker-link.ts'

/** What a worker is made of. */
export interface WorkerOptions {
  start: WorkerStart
  options: AgentOptions
  settings: AgentSettings
  /** The agent's group, which its rules name. */
  gid: number
  /** The agent's own variables: in ephemeral mode they hold the target's. */
  env: Readonly<Record<string, string | undefined>>
  /** The `mirrord-trap` beside the agent; undefined where there is none. */
  helper: string | undefined
  /** Makes a TLS connection of an accepted socket, if clients are to be authenticated. */
  secure: ((socket: Socket) => TLSSocket) | undefined
  send: (message: ToGuard) => void
  /** Ends the process; nothing happens after it. */
  exit: (code: number) => void
  log: Log
}

/** The inner process: lives in the target's network namespace and does everything but accepting clients. */
export class Worker {
  readonly #options: WorkerOptions
  readonly #clients = new Set<Client>()
  /** Clients that connected before everything was set up. */
  readonly #early: Socket[] = []
  #context: AgentContext | undefined
  #redirecting: Redirecting | undefined
  /** Text for clients when the rules of another agent are in place. */
  #dirty: string | undefined
  #received = 0
  #served = 0
  #stopping = false

  constructor(options: WorkerOptions) {
    this.#options = options
  }

  /** Prepares everything and reports ready. @throws Error when the agent cannot work at all */
  async run(): Promise<void> {
    const {start, options, send, log} = this.#options
    const {targetPid} = start
    this.#redirecting = options.mode.type === 'targetless' ? undefined : await this.#prepare()
    const {helper} = this.#options
    if (helper === undefined) {
      log('warn', 'mirrord-trap is not beside the agent: no seqpacket sockets, no file times, no statfs of new clients')
    }
    const {dnsTimeout, dnsAttempts} = this.#options.settings
    this.#context = {
      environment: this.#environment(),
      files: targetPid === undefined ? new RootedFiles('/') : this.#targetFiles(targetPid),
      helper,
      attributes: helper === undefined ? undefined : new Attributes(helper, (text) => log('error', text)),
      redirecting: this.#redirecting,
      dns: {timeout: dnsTimeout, attempts: dnsAttempts},
    }
    log('info', `worker ready for ${options.mode.type === 'targetless' ? 'no target' : `process ${targetPid}`}`)
    send({type: 'ready'})
    for (const socket of this.#early.splice(0)) this.#serve(socket, this.#context)
  }

  /** Serves a client. */
  accept(socket: Socket): void {
    this.#received++
    if (this.#stopping) return void socket.destroy()
    if (!this.#context) return void this.#early.push(socket)
    this.#serve(socket, this.#context)
  }

  #serve(socket: Socket, context: AgentContext): void {
    const {secure, options, log} = this.#options
    const connection = agentConnection(socketChannel(secure ? secure(socket) : socket), {divide: true})
    if (options.testError) return this.#options.exit(1)
    if (this.#dirty !== undefined) {
      connection.onClose = () => this.#options.exit(DIRTY_EXIT)
      connection.send({type: 'Close', value: this.#dirty})
      return connection.close()
    }
    const client = new Client(connection, context, ({code, message}) => {
      if (code === 'PING_TIMEOUT') log('warn', message)
      this.#clients.delete(client)
      if (client.spoke) this.#served++
      this.#report()
    })
    this.#clients.add(client)
    log('debug', `client ${this.#received} connected`)
    this.#report()
  }

  /** Drops all clients, removes all rules and exits with 0, or with 1 when rules may be left. */
  async stop(): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    if (this.#dirty !== undefined) return this.#options.exit(DIRTY_EXIT)
    try {
      if (this.#redirecting?.type === 'usable') await this.#redirecting.redirector.shutdown()
      await Promise.all([...this.#clients].map((client) => client.end()))
      this.#options.exit(0)
    } catch (error) {
      this.#options.log('error', `ending: ${error instanceof Error ? error.message : String(error)}`)
      this.#options.exit(1)
    }
  }

  #report(): void {
    this.#options.send({type: 'clients', received: this.#received, open: this.#clients.size, served: this.#served})
  }

  #targetFiles(pid: number): RootedFiles {
    return new RootedFiles(`/proc/${pid}/root`, new Ownership(pid, (text) => this.#options.log('warn', text)))
  }

  /** The runtime's own list of variables needs its socket; what the process was started with is the same or newer. */
  #environment(): Map<string, string> {
    const {start, options, env, log} = this.#options
    const own = Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]))
    const base = new Map(options.mode.type === 'ephemeral' ? own : [])
    try {
      for (const [name, value] of readEnvironment(start.targetPid ?? 'self')) base.set(name, value)
    } catch (error) {
      log('error', `the target's environment cannot be read: ${(error as Error).message}`)
    }
    return base
  }

  async #prepare(): Promise<Redirecting> {
    const {start, options, settings, gid, send, log} = this.#options
    const {nftables, podIps} = settings
    const preparation = await prepareRedirect(
      start.containerId,
      {nftables, podIps, cleanOnStart: options.cleanOnStart},
      runCommand,
      log,
    )
    if (preparation.type === 'unusable') {
      log('error', `incoming traffic cannot be redirected: ${preparation.reason}`)
      return preparation
    }
    if (preparation.type === 'dirty') {
      this.#dirty = `Detected dirty iptables: another mirrord agent redirects this target, or left its rules behind.\n${preparation.lines.join('\n')}`
      log('error', this.#dirty)
      return {type: 'unusable', reason: this.#dirty}
    }
    const {tables} = preparation
    const names = tables.map(({family, backend}) => ({family, backend}))
    const identity = {
      chains: chainNames(start.containerId),
      mark: start.mark,
      gid,
      podIps: {4: podIps.filter((ip) => isIPv4(ip)), 6: podIps.filter((ip) => isIPv6(ip))},
    }
    const announce = (active: boolean) => send({type: 'rules', tables: active ? names : []})
    const redirector = new Redirector(
      new RuleSet(tables, identity, announce, log),
      {
        families: names.map(({family}) => family),
        podIps,
        flush: settings.flushConnections,
        flushConntrack: settings.flushConntrack,
        linger: settings.unusedPortLinger,
      },
      new PassThrough(settings.externalIpFix, log),
      runCommand,
      log,
    )
    return {type: 'usable', redirector}
  }
}
