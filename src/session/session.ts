import {getSystemErrorName} from 'node:util'
import {toReport, type ErrorReport} from '../errors/mirrord-error.ts'
import {loadCluster, type ResolvedTarget} from '../kube/index.ts'
import {ConnectionError} from '../protocol/index.ts'
import type {ProgramExit, Trap} from '../trap/trap.ts'
import {identify} from '../util/process.ts'
import {deferred, within} from '../util/time.ts'
import {ClusterWords} from './cluster-words.ts'
import {serveControl} from './control.ts'
import {describeContainer, prepareContainer, type ContainerProgram} from './container-program.ts'
import {DataPlane} from './data-plane.ts'
import {diskFailure} from './disk.ts'
import {Ending, MAX_GRACE_MS, type End} from './ending.ts'
import {
  afterRefusals,
  agentLost,
  cancelled,
  describeExit,
  diedBeforeReady,
  diedDuringRun,
  filesUnsaved,
  outputBroken,
  stealRefused,
  trapLost,
} from './failures.ts'
import type {AgentLink} from './agent-link.ts'
import {Foreground} from './foreground.ts'
import {Journal} from './journal.ts'
import type {LaunchEvent, ReadySummary} from './launch-protocol.ts'
import type {Log} from './log.ts'
import type {Output} from './output.ts'
import {Progress} from './progress.ts'
import {Readiness} from './ready/readiness.ts'
import {keepUnsaved} from './remote-files.ts'
import {reachTarget} from './reach-target.ts'
import {ReportFile} from './report-file.ts'
import {runProgram, type Prepared} from './run-program.ts'
import {SessionAgent} from './session-agent.ts'
import type {SessionSpec} from './spec.ts'
import {checkMachine, prepareProgram} from './start-steps.ts'
import {SessionDirectory} from './state.ts'
import {Teardown} from './teardown.ts'

/** A step of the start that was overtaken by the end has this long to finish or undo itself. */
const OVERTAKEN_MS = 10_000
/** Bringing to the target what the program had written, after its end. */
const SAVE_MS = 120_000

/** One `ci start` from its first step to its last: everything it makes is undone by `teardown`, whatever happens. */
export class Session {
  readonly #spec: SessionSpec
  readonly #emit: (event: LaunchEvent) => void
  readonly #log: Log
  readonly #teardown: Teardown
  readonly #directory: SessionDirectory
  readonly #progress: Progress
  readonly #readiness: Readiness
  readonly #words = new ClusterWords()
  readonly #agent: SessionAgent
  readonly #ending = new Ending()
  readonly #ended = deferred<ErrorReport | undefined>()
  readonly #journal: Journal
  readonly #report: ReportFile
  /** Between the first signal and SIGKILL when nobody says another time. */
  readonly #graceMs: number
  #trap?: Trap
  #output?: Output
  #dataPlane?: DataPlane
  #exit?: ProgramExit
  #failure?: ErrorReport
  /** What could not be undone. */
  readonly #left: string[] = []
  /** Ports whose traffic was refused, and not given since. */
  readonly #refused = new Map<number, ErrorReport>()
  #started = false
  /** When the agent was lost, until another one has taken over. */
  #interruptedAt?: number
  /** The container that the program runs in, for people. */
  #inContainer?: string
  /** Signals and job control of a session in the foreground. */
  readonly foreground: Foreground

  constructor(spec: SessionSpec, emit: (event: LaunchEvent) => void, log: Log) {
    this.#spec = spec
    this.#graceMs = spec.config.ci.grace * 1000
    this.#log = log
    this.#teardown = new Teardown(log)
    this.foreground = new Foreground({
      launcher: spec.foreground ? process.ppid : undefined,
      signalProgram: (signal) => this.#trap?.signalProgram(signal),
      state: () => (this.#exit ? 'over' : this.#trap ? 'running' : 'before'),
      cancel: () => (this.#trap ? this.#ending.kill(this.#trap) : this.#ending.request({by: 'request', graceMs: 0})),
      kill: () => this.#ending.kill(this.#trap),
    })
    this.#directory = new SessionDirectory(spec.directory, spec.id)
    this.#journal = new Journal(spec, this.#directory, log)
    this.#report = new ReportFile(spec, this.#directory, this.#journal.record, log)
    this.#emit = this.#report.listen(emit)
    this.#progress = new Progress(this.#emit, log, this.#ending.signal)
    this.#agent = new SessionAgent(spec, this.#teardown, log, {
      waiting: (text) => this.#progress.waiting(text),
      left: (text) => {
        this.#left.push(text)
        this.#progress.warn(text)
      },
      warned: (text) => this.#words.note(`the agent: ${text}`),
      lost: (failure) => this.#ending.request({by: 'failure', failure, graceMs: 0, atOnce: true}),
      leaving: (why) => this.#progress.warn(`${why}; an agent on the pod that follows takes over`),
      interrupted: ({message}) => {
        this.#interruptedAt = Date.now()
        this.#progress.warn(`the agent is lost: ${message} What was open through it is cut; another one takes over`)
        this.#words.note('the agent was lost')
        this.#journal.update({reconnectingSince: new Date().toISOString()})
      },
      replaced: (agent, target) => this.#replaced(agent, target),
    })
    this.#readiness = new Readiness({
      spec,
      progress: this.#progress,
      signal: this.#ending.signal,
      explain: (report) => this.#words.addTo(afterRefusals(report, this.#refused.values(), false)),
    })
  }

  /** Runs the session; resolves when it has ended and nothing of it is left. */
  async run(): Promise<void> {
    let control: {close(): Promise<void>} | undefined
    let end: End
    let start: Promise<void> | undefined
    try {
      this.#journal.open()
      this.#journal.watch((record) => this.#report.update(record))
      control = await this.#serveControl()
      start = this.#start()
      await Promise.race([start, this.#ending.first])
      end = await this.#ending.first
    } catch (error) {
      const failure = toReport(diskFailure(error, this.#directory.path))
      end = this.#ending.requested ?? {by: 'failure', failure, graceMs: this.#graceMs}
    }
    const failure = await this.#end(end, start)
    await this.#output?.finish(this.#ending.impatient)
    // A program in the foreground may be over before this process has noticed that it had started.
    const started = this.#started || (this.#spec.foreground && this.#exit !== undefined)
    if (!started) this.#emit({type: 'failed', report: failure ?? cancelled(this.#spec.program.name)})
    else if (this.#spec.foreground) this.#emitExit(failure)
    // How a program ended during the run stays on record, for `ci stop` and `ci wait`; everything else leaves nothing.
    if (!started || this.#spec.foreground || (!failure && end.by === 'request')) this.#directory.removeWithJob()
    else this.#directory.keepRecord()
    this.#ended.resolve(failure)
    await control?.close()
  }

  #serveControl(): Promise<{close(): Promise<void>}> {
    return serveControl(this.#directory.socket, {
      status: () => ({
        record: this.#journal.record,
        live: this.#dataPlane && {...this.#dataPlane.live, ...this.#report.figures},
      }),
      watch: (tell) => this.#journal.watch(tell),
      stop: async (graceMs, signal) => ({
        failure: await this.stop(graceMs, signal),
        warnings: this.#left,
        report: this.#report.text,
      }),
      hurry: (graceMs) => this.#ending.hurry(graceMs),
    })
  }

  /** Ends the session; resolves when it has ended, with what had failed during the run. */
  stop(graceMs: number, signal?: NodeJS.Signals): Promise<ErrorReport | undefined> {
    this.#ending.becomeImpatient()
    this.#ending.request({by: 'request', graceMs, signal})
    return this.#ended.promise
  }

  /** Ends the session because of something that nobody asked for; it is kept for `ci stop`. */
  fail(failure: ErrorReport, graceMs: number): void {
    this.#ending.request({by: 'failure', failure, graceMs})
  }

  async #start(): Promise<void> {
    const {config, program, intercept} = this.#spec
    const progress = this.#progress
    const {signal} = this.#ending
    // Loading the Kubernetes library takes as long as trying this machine's kernel: side by side.
    const loading = loadCluster(config, this.#spec.environment, (text) => this.#log(`cluster: ${text}`))
    loading.catch(() => {}) // reported below, after the machine's own refusal
    // Whether a container may intercept, the trap in it finds out.
    const {container: line} = this.#spec
    const container =
      line &&
      (await progress.phase('image', `Looking at the image ${line.image}`, () =>
        prepareContainer(this.#spec, line, signal),
      ))
    if (container) this.#journal.update({container: {file: container.client.file, label: container.label}})
    else if (intercept) await checkMachine(this.#spec.trapPath, this.#log)
    else
      progress.warn(
        'no interception: outgoing connections and name resolution stay on this machine; busy ports are not replaced',
      )
    const cluster = await loading
    this.#teardown.add('cluster connections', 1000, () => cluster.client.close())
    const found = (target: ResolvedTarget | undefined) => {
      if (target) this.#report.target(target)
      this.#journal.update({pod: target?.name})
    }
    const reach = {spec: this.#spec, cluster, agent: this.#agent, progress, signal, found}
    const {target, agent} = await reachTarget(reach)
    this.#report.agent(agent)
    const warn = (text: string) => {
      this.#log(`data plane: ${text}`)
      this.#words.note(text)
    }
    const observer = this.#words.listen(this.#report.recorder)
    const dataPlane = new DataPlane(agent.connection, this.#directory.files, warn, observer, container?.place)
    this.#dataPlane = dataPlane
    this.#agent.keep(dataPlane)
    this.#teardown.add('relays', 1000, () => dataPlane.close())
    this.#teardown.add('subscriptions', 1000, () => dataPlane.unsubscribeAll())
    this.#agent.checkAtEnd(() => {
      this.#failure = agentLost('It did not answer any more when the session was stopped.')
      this.#log(`end: ${this.#failure.code}`)
    })
    const prepared = await progress.phase('environment', 'Reading the environment of the target', () => {
      // What the program wrote is saved when it has ended, while the agent is still there.
      this.#teardown.add('files', SAVE_MS, () => this.#saveFiles(dataPlane))
      return prepareProgram(this.#spec, dataPlane, container)
    })
    await progress.phase('program', `Starting ${program.name}`, () => this.#startProgram(dataPlane, prepared))
    const waiting = () => this.#readiness.wait(prepared.environment)
    const attended = this.#spec.wait && !this.#spec.foreground
    if (attended) await progress.phase('ready', `Waiting for ${program.name} to be ready`, waiting)
    this.#ending.signal.throwIfAborted()
    this.#started = true
    if (attended) return this.#tellReady(target)
    this.#journal.update({state: 'running'})
    if (!this.#spec.foreground) this.#emit({type: 'ready', summary: this.#summary(target)})
    // Nobody waits for it here; `ci wait` and `ci status` do.
    const following = waiting().then(
      () => this.#tellReady(target),
      (error: Error) => {
        if (!this.#ending.signal.aborted) progress.warn(error.message)
      },
    )
    this.#teardown.add('probes', 1000, () => following)
  }

  #replaced(agent: AgentLink, target: ResolvedTarget | undefined): void {
    const after = this.#interruptedAt === undefined ? '' : ` after ${Date.now() - this.#interruptedAt} ms`
    this.#interruptedAt = undefined
    const place = target ? `pod ${target.name}` : 'the cluster'
    this.#progress.warn(`agent ${agent.pod} has taken over${after}: the program runs as if in ${place}`)
    if (target) this.#report.target(target)
    this.#report.agent(agent)
    this.#journal.update({pod: target?.name, reconnectingSince: undefined})
  }

  #tellReady(target: ResolvedTarget | undefined): void {
    if (this.#ending.signal.aborted) return
    this.#journal.update({state: 'ready', readyAt: new Date().toISOString()})
    const summary = this.#summary(target)
    this.#emit({type: 'ready', summary})
    this.#log(`ready: ${this.#spec.program.name}, ports ${summary.ports.join(', ') || 'none'}`)
  }

  async #startProgram(dataPlane: DataPlane, prepared: Prepared): Promise<{text: string}> {
    const {trap, output, close} = await runProgram(this.#spec, dataPlane, prepared, {
      opened: (listener, stolen) => {
        if (stolen !== undefined) this.#refused.delete(stolen)
        this.#readiness.listeners.add(listener, stolen !== undefined)
      },
      closed: (id) => this.#readiness.listeners.remove(id),
      unreachable: (address, errno) =>
        this.#words.note(`the connection to ${address} failed: ${getSystemErrorName(-errno)}`),
      refused: (port, error) => this.#refuse(port, error),
      stopped: () => this.foreground.stopped(),
      continued: () => this.foreground.continued(),
      outputBroken: (reason) => this.fail(outputBroken(this.#spec.program.name, reason), this.#graceMs),
      log: this.#log,
    })
    this.#output = output
    const {container} = prepared
    this.#adopt(trap, dataPlane, container)
    this.#teardown.add('port watch', 100, close)
    if (container) this.#inContainer = await describeContainer(container)
    const runs = this.#inContainer ?? `process ${trap.programPid}`
    return {text: `Program ${this.#spec.program.name} runs as ${runs}`}
  }

  /** A program that can be told decides itself what to do without the port; the session goes on. */
  #refuse(port: number, error: unknown): void {
    // The end of the connection has a report of its own.
    if (this.#ending.signal.aborted || error instanceof ConnectionError) return
    const failure = stealRefused(port, error)
    if (!this.#spec.intercept) return this.#ending.request({by: 'failure', failure, graceMs: this.#graceMs})
    if (!this.#refused.has(port)) this.#progress.warn(`${failure.what} ${failure.why} The program's listen failed.`)
    this.#refused.set(port, failure)
  }

  /** From here on the trap's tree is this session's: it ends it, and ends when it ends. */
  #adopt(trap: Trap, dataPlane: DataPlane, container: ContainerProgram | undefined): void {
    this.#trap = trap
    dataPlane.trap = trap
    this.#journal.update({trap: identify(trap.pid), programPid: container ? undefined : trap.programPid})
    this.#teardown.add('program', MAX_GRACE_MS + 10_000, () => this.#ending.endTree(trap))
    void trap.exited.then((exit) => {
      this.#exit = exit
      this.#journal.update({exit})
      this.#log(`program: ended. ${describeExit(exit)}`)
      this.foreground.continued()
      // Like the program alone: what it leaves behind does not hold up its caller.
      if (this.#spec.foreground && (exit.code !== undefined || exit.signal))
        this.#ending.request({by: 'program', graceMs: this.#graceMs})
    })
    void trap.ended.then(async ({clean, reason}) => {
      const {name} = this.#spec.program
      if (!clean)
        return this.#ending.request({by: 'failure', failure: trapLost(name, reason), graceMs: 0, atOnce: true})
      if (!this.#spec.foreground) await this.#output?.finish() // the report shows its last lines
      const exit = this.#exit ?? {}
      const end = (failure?: ErrorReport) => this.#ending.request({by: 'program', failure, graceMs: 0})
      if (this.#journal.record.state === 'starting' && !this.#spec.foreground) {
        const died = this.#words.addTo(diedBeforeReady(name, exit, this.#spec.outputDirectory))
        return end(afterRefusals(died, this.#refused.values(), false))
      }
      if (exit.code === 0 || this.#spec.foreground) return end()
      const died = this.#words.addTo(diedDuringRun(name, exit, this.#spec.outputDirectory))
      end(afterRefusals(died, this.#refused.values(), true))
    })
  }

  /** Undoes everything; the result is what had failed. */
  async #end(end: End, start: Promise<void> | undefined): Promise<ErrorReport | undefined> {
    const {by, failure, atOnce} = end
    this.#log(`end: ${failure ? `${failure.code}: ${failure.what}` : 'asked to stop'}`)
    this.#failure = failure
    if (this.#started && !failure && !this.#exit) this.#agent.ask()
    this.#agent.stopKeeping()
    this.#ending.begin(end)
    this.#journal.update({state: 'stopping', endedBy: by})
    if (atOnce) this.#trap?.killTree()
    // What a step of the start is still making must exist before it can be undone.
    if (start)
      await within(
        OVERTAKEN_MS,
        start.catch(() => {}),
      )
    await this.#teardown.run()
    this.#journal.update({state: 'ended', endedAt: new Date().toISOString(), failure: this.#failure})
    return this.#failure
  }

  /** What could not be brought to the target is kept beside the program's output, and fails the stop. */
  async #saveFiles(dataPlane: DataPlane): Promise<void> {
    const unsaved = await dataPlane.saveFiles()
    if (unsaved.length === 0) return
    const folder = keepUnsaved(unsaved, this.#spec.outputDirectory ?? this.#spec.program.cwd)
    const failure = filesUnsaved(unsaved, folder)
    this.#log(`files: ${failure.what} ${failure.detail ?? ''}`)
    this.#failure ??= failure
  }

  #emitExit(failure: ErrorReport | undefined): void {
    if (failure) this.#emit({type: 'failed', report: failure})
    else this.#emit({type: 'exited', ...this.#exit})
  }

  #summary(target: ResolvedTarget | undefined): ReadySummary {
    return {
      name: this.#spec.name,
      programPid: this.#trap!.programPid,
      inContainer: this.#inContainer,
      pod: target ? `pod/${target.name}` : 'the cluster',
      container: target?.container,
      incoming: this.#spec.config.feature.network.incoming.mode === 'steal' ? 'steal' : 'off',
      ports: this.#dataPlane!.incoming.subscribedPorts,
      outputDirectory: this.#spec.outputDirectory,
    }
  }
}
