import {spawn, type ChildProcess} from 'node:child_process'
import {closeSync, openSync} from 'node:fs'
import {createServer, type Server, type Socket} from 'node:net'
import {readStat} from '../util/process.ts'
import {deferred, within} from '../util/time.ts'
import {runCommand, runInNamespace} from './command.ts'
import type {Log} from './log.ts'
import {NatTable} from './redirect/backend.ts'
import {forgetEnded} from './redirect/conntrack.ts'
import {removeChains} from './redirect/rule-set.ts'
import {chainNames, markAddress} from './redirect/rules.ts'
import {
  DIRTY_EXIT,
  workerVariable,
  type TableName,
  type ToGuard,
  type ToWorker,
  type WorkerStart,
} from './worker-link.ts'

/** How the worker is started again from the same file: program, its first arguments, and the agent's own. */
export interface GuardOptions {
  command: readonly [program: string, ...args: string[]]
  env: Readonly<Record<string, string | undefined>>
  start: WorkerStart
  /** Enter the target's network namespace; false where the agent already is in it. */
  enterNamespace: boolean
  port: number
  /** Milliseconds. */
  firstClientTimeout: number
  idleTtl: number
}

/** How long the worker may take to end its connections and remove its rules before it is killed. */
const STOP_TIMEOUT = 5000
const TARGET_POLL = 200

/**
 * The outer process: owns the listener in the agent's own namespace, starts the worker and hands accepted sockets to
 * it, ends when there is no client, no target or no worker any more, and makes sure that no rule outlives the worker.
 */
export class Guard {
  readonly #options: GuardOptions
  readonly #log: Log
  readonly #printReady: () => void
  readonly #namespaceFd: number | undefined
  readonly #ended = deferred<number>()
  #worker: ChildProcess | undefined
  #server: Server | undefined
  #tables: readonly TableName[] = []
  #handed = 0
  #clients = {received: 0, open: 0, served: 0}
  /** When the first client must have come; known once the agent is ready. */
  #deadline: number | undefined
  #stopping: number | undefined
  #timer: NodeJS.Timeout | undefined
  #watch: NodeJS.Timeout | undefined

  /** @param printReady prints the ready line */
  constructor(options: GuardOptions, log: Log, printReady: () => void) {
    this.#options = options
    this.#log = log
    this.#printReady = printReady
    // Held open from the start: the namespace outlives the target's process, and its rules must be found again.
    if (options.enterNamespace) this.#namespaceFd = openSync(`/proc/${options.start.targetPid}/ns/net`, 'r')
  }

  /**
   * Runs the agent to its end.
   * @returns the exit code (agent.md 2.12)
   * @throws Error when the port cannot be bound or the worker cannot be started
   */
  async run(): Promise<number> {
    this.#watchTarget()
    // Both take tens of milliseconds: the listener is bound while the worker starts.
    this.#worker = this.#spawnWorker()
    try {
      this.#server = await listen(this.#options.port, (socket) => this.#hand(socket))
      return await this.#ended.promise
    } catch (error) {
      this.#worker.kill('SIGKILL')
      throw error
    } finally {
      clearTimeout(this.#timer)
      clearInterval(this.#watch)
      this.#server?.close()
      if (this.#namespaceFd !== undefined) closeSync(this.#namespaceFd)
    }
  }

  /** Asks the worker to end and to remove its rules; the agent then exits with `code`, or 1 when that failed. */
  stop(code: number): void {
    if (this.#stopping !== undefined) return
    this.#stopping = code
    this.#server?.close()
    this.#send({type: 'stop'})
    this.#timer = setTimeout(() => {
      this.#log('error', 'the worker does not end, it is killed')
      this.#worker?.kill('SIGKILL')
    }, STOP_TIMEOUT)
  }

  #spawnWorker(): ChildProcess {
    const {command, env, start} = this.#options
    const [program, ...args] = command
    const inside = this.#namespaceFd !== undefined
    const worker = spawn(
      inside ? 'nsenter' : program,
      inside ? ['--net=/proc/self/fd/4', '--', program, ...args] : args,
      {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...(this.#namespaceFd === undefined ? [] : [this.#namespaceFd])],
        // File requests of several clients wait for disks in this pool; four threads would stall each other.
        env: {UV_THREADPOOL_SIZE: '16', ...env, [workerVariable]: JSON.stringify(start)},
        // A process group of its own, so that its children can be killed with it.
        detached: true,
      },
    )
    worker.on('message', (message) => this.#receive(message as ToGuard))
    worker.on('error', (error) => this.#ended.reject(error))
    const disconnected = deferred<void>()
    worker.on('disconnect', () => disconnected.resolve())
    worker.on('exit', (code, signal) => {
      // What it said last is still in the channel: rules it announced must be known before they are looked for.
      void within(1000, disconnected.promise).then(() => this.#workerEnded(worker, code, signal))
    })
    return worker
  }

  #receive(message: ToGuard): void {
    if (message.type === 'rules') this.#tables = message.tables
    else if (message.type === 'clients') {
      this.#clients = message
      this.#scheduleEnd()
    } else {
      this.#printReady()
      this.#deadline = Date.now() + this.#options.firstClientTimeout
      this.#scheduleEnd()
    }
  }

  /**
   * Without clients the agent ends: after the idle time, or at the first client's deadline as long as nobody has sent
   * anything. Port-forwards are tried before the agent is ready, and an attempt that was given up is no client.
   */
  #scheduleEnd(): void {
    if (this.#stopping !== undefined) return
    clearTimeout(this.#timer)
    const {received, open, served} = this.#clients
    // A socket still on its way to the worker is a client too.
    if (this.#deadline === undefined || open > 0 || received < this.#handed) return
    if (served > 0) {
      this.#timer = setTimeout(() => this.stop(0), this.#options.idleTtl)
      return
    }
    this.#timer = setTimeout(() => {
      this.#log('error', `no client connected within ${this.#options.firstClientTimeout / 1000} s`)
      this.stop(1)
    }, this.#deadline - Date.now())
  }

  #hand(socket: Socket): void {
    this.#handed++
    this.#scheduleEnd()
    socket.on('error', () => {})
    this.#send({type: 'client'}, socket)
  }

  #send(message: ToWorker, socket?: Socket): void {
    if (!this.#worker?.connected) return void socket?.destroy()
    this.#worker.send(message, socket, {}, (error) => {
      if (error) socket?.destroy()
    })
  }

  /** There is no pidfd in Node: the start time tells the target from a later process of the same number. */
  #watchTarget(): void {
    const {targetPid} = this.#options.start
    if (targetPid === undefined) return
    const startTime = readStat(targetPid)?.startTime
    this.#watch = setInterval(() => {
      const stat = readStat(targetPid)
      if (stat && stat.startTime === startTime && stat.state !== 'Z' && stat.state !== 'X') return
      clearInterval(this.#watch)
      this.#log('info', 'the target has ended')
      this.stop(0)
    }, TARGET_POLL)
  }

  async #workerEnded(worker: ChildProcess, code: number | null, signal: NodeJS.Signals | null): Promise<void> {
    this.#server?.close()
    if (code === DIRTY_EXIT) return this.#ended.resolve(1)
    // A child of a killed worker might still be changing rules.
    try {
      if (worker.pid !== undefined) process.kill(-worker.pid, 'SIGKILL')
    } catch {
      // ESRCH: the group is empty, as it should be.
    }
    const clean = await this.#cleanUp()
    if (this.#stopping !== undefined && code === 0 && clean) return this.#ended.resolve(this.#stopping)
    if (this.#stopping === undefined) this.#log('error', `the worker ended unexpectedly (${signal ?? `exit ${code}`})`)
    this.#ended.resolve(1)
  }

  /** Removes the rules that the worker announced and did not take back. False when some may be left. */
  async #cleanUp(): Promise<boolean> {
    const run = this.#namespaceFd === undefined ? runCommand : runInNamespace(this.#namespaceFd)
    const {containerId, mark} = this.#options.start
    const names = Object.values(chainNames(containerId)) as string[]
    const results = await Promise.allSettled(
      this.#tables.map(({family, backend}) =>
        removeChains(new NatTable(family, backend, run), names, markAddress(family, mark)),
      ),
    )
    for (const result of results)
      if (result.status === 'rejected') this.#log('error', `cleaning up: ${(result.reason as Error).message}`)
    const families = this.#tables.map(({family}) => family)
    await forgetEnded(families, run, this.#log)
    return results.every((result) => result.status === 'fulfilled')
  }
}

/** Binds the dual-stack listener, IPv4 only where the host has no IPv6. */
function listen(port: number, accept: (socket: Socket) => void): Promise<Server> {
  const attempt = (host: string) =>
    new Promise<Server>((resolve, reject) => {
      // Paused: the bytes are for the worker's process to read. Half-open: the worker decides when to end.
      const server = createServer({pauseOnConnect: true, allowHalfOpen: true, noDelay: true}, accept)
      server.once('error', reject)
      server.listen({port, host, backlog: 1024}, () => resolve(server))
    })
  return attempt('::').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EAFNOSUPPORT' || error.code === 'EADDRNOTAVAIL') return attempt('0.0.0.0')
    throw error
  })
}
