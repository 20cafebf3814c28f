import {randomBytes} from 'node:crypto'
import {renameSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import type {ResolvedTarget} from '../kube/index.ts'
import {Recorder, type Figures} from '../report/recorder.ts'
import type {AgentLink} from './agent-link.ts'
import type {LaunchEvent} from './launch-protocol.ts'
import type {Log} from './log.ts'
import type {SessionSpec} from './spec.ts'
import {REPORT_NAME, type SessionDirectory, type SessionRecord} from './state.ts'

/** How much of a report is lost at most when the session is killed. */
const WRITE_MS = 5000

/**
 * A session's `report.json`, in its state directory and beside the program's output: written at each change of the session's
 * record, and every five seconds while there is traffic. The second outlives the session.
 */
export class ReportFile {
  /** Told of the traffic. */
  readonly recorder: Recorder
  readonly #files: string[]
  readonly #log: Log
  readonly #timer: NodeJS.Timeout
  #written = ''
  #failed = false

  constructor(spec: SessionSpec, directory: SessionDirectory, record: SessionRecord, log: Log) {
    const {id, name, job, program, target, outputDirectory, createdAt: startedAt} = record
    this.#log = log
    this.#files = [directory.report, ...(outputDirectory ? [path.join(outputDirectory, REPORT_NAME)] : [])]
    this.recorder = new Recorder({
      version: spec.version,
      run: spec.run,
      mode: spec.config.feature.network.incoming.mode,
      session: {id, name, job, program, target, outputDirectory, startedAt},
    })
    for (const warning of spec.warnings) this.recorder.warning(warning)
    this.#timer = setInterval(() => this.#write(), WRITE_MS).unref()
  }

  /** What `ci status` shows. */
  get figures(): Figures {
    return this.recorder.figures()
  }

  /** As last written; at the end of the session it may be in no file any more. */
  get text(): string {
    return this.#written
  }

  /** Takes down what the launcher is told, and passes it on. */
  listen(emit: (event: LaunchEvent) => void): (event: LaunchEvent) => void {
    return (event) => {
      if (event.type === 'phase') this.recorder.phase({name: event.phase, text: event.text, ms: event.ms})
      if (event.type === 'warning') this.recorder.warning(event.text)
      emit(event)
    }
  }

  target({namespace, name, container}: ResolvedTarget): void {
    this.recorder.session({namespace, pod: name, container})
  }

  agent({pod, job: {image}}: AgentLink): void {
    this.recorder.session({agent: {pod, image}})
  }

  /** The session's record has changed. At the end this is the last word. */
  update({state, readyAt, endedAt, exit, failure}: SessionRecord): void {
    this.recorder.session({readyAt, endedAt})
    if (exit) this.recorder.exit(exit)
    if (failure) this.recorder.failure(failure)
    if (state === 'ended') clearInterval(this.#timer)
    this.#write()
  }

  /** Atomically; nothing of it may end or delay the session. */
  #write(): void {
    const text = `${JSON.stringify(this.recorder.report(), undefined, 2)}\n`
    if (text === this.#written) return
    this.#written = text
    for (const file of this.#files) {
      const temporary = `${file}.${randomBytes(4).toString('hex')}`
      try {
        writeFileSync(temporary, text, {mode: 0o600})
        renameSync(temporary, file)
      } catch (error) {
        rmSync(temporary, {force: true})
        if (!this.#failed) this.#log(`report: ${(error as Error).message}`)
        this.#failed = true
      }
    }
  }
}
