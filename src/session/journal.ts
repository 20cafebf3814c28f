import {formatTarget} from '../config/index.ts'
import {identify} from '../util/process.ts'
import type {Log} from './log.ts'
import type {SessionSpec} from './spec.ts'
import type {SessionDirectory, SessionRecord} from './state.ts'

/** A session's own record: on disk for whoever looks later, and told at each change to those who watch it now. */
export class Journal {
  readonly #directory: SessionDirectory
  readonly #log: Log
  readonly #watchers = new Set<(record: SessionRecord) => void>()
  #record: SessionRecord

  constructor(spec: SessionSpec, directory: SessionDirectory, log: Log) {
    this.#directory = directory
    this.#log = log
    const target = spec.config.target.path
    this.#record = {
      format: 1,
      id: spec.id,
      job: spec.job,
      name: spec.name,
      program: spec.program.name,
      target: target && formatTarget(target),
      state: 'starting',
      createdAt: new Date().toISOString(),
      session: identify(process.pid)!,
      outputDirectory: spec.outputDirectory,
      report: spec.report,
      graceMs: spec.config.ci.grace * 1000,
    }
  }

  get record(): SessionRecord {
    return this.#record
  }

  /** Writes the record for the first time. Errors: those of the file system; a session that nobody can find must not start. */
  open(): void {
    this.#directory.write(this.#record)
  }

  /** Changes the record. */
  update(change: Partial<SessionRecord>): void {
    this.#record = {...this.#record, ...change}
    try {
      this.#directory.write(this.#record)
    } catch (error) {
      // A full disk must not keep the session from undoing what it did.
      this.#log(`state: ${(error as Error).message}`)
    }
    for (const tell of this.#watchers) tell(this.#record)
  }

  /** Tells the record now and after each change. Returns what ends that. */
  watch(tell: (record: SessionRecord) => void): () => void {
    this.#watchers.add(tell)
    tell(this.#record)
    return () => this.#watchers.delete(tell)
  }
}
