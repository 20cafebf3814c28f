import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import {MirrordError, type ErrorReport} from '../errors/mirrord-error.ts'
import {randomId} from '../util/hash.ts'
import type {ProcessId} from '../util/process.ts'
import {stateUnusable} from './disk.ts'
import type {ContainerRecord} from './left-container.ts'
import type {ReportPlace} from './left-report.ts'
import type {NameClaim} from './naming.ts'
import {parseClaim, parseRecord} from './record.ts'
import {followed, own, SOCKET_NAME, unlink} from './roots.ts'

/** Of the report, here and beside the program's output, where it outlives the session. */
export const REPORT_NAME = 'report.json'

/** A missing parent of the root looks like a pruned directory, so the attempts have an end. */
const CREATE_ATTEMPTS = 100

/** What `session.json` holds: everything another command needs to know of a session, and nothing secret. */
export interface SessionRecord {
  format: 1
  id: string
  job: string
  /** Unique among the live sessions of the job: what `ci stop`, `ci logs` and `ci wait` are given. */
  name: string
  /** The program as the user typed it. */
  program: string
  /** The target as the user wrote it; absent without one. */
  target?: string
  /** `running`: the start has returned, or the program has the foreground, and it is not known to be ready yet. */
  state: 'starting' | 'running' | 'ready' | 'stopping' | 'ended'
  createdAt: string
  readyAt?: string
  endedAt?: string
  /** The pod of the target; absent until it is found, and without a target. */
  pod?: string
  /** The agent is lost since then, and another one is being started. */
  reconnectingSince?: string
  session: ProcessId
  /** The trap's outer process, the ancestor of the program's whole tree. */
  trap?: ProcessId
  /** Not of a program in a container, whose number counts there only. */
  programPid?: number
  /** The container that the program runs in; `trap` is then its runtime's client. */
  container?: ContainerRecord
  outputDirectory?: string
  /** Where the job's report goes. */
  report?: ReportPlace
  /** Between the first signal to the program's tree and SIGKILL when nobody says another time; 10,000 where it is absent. */
  graceMs?: number
  /** How the program ended. */
  exit?: {code?: number; signal?: NodeJS.Signals}
  /** What ended the session: its program by itself, a request (`ci stop`, a cancelled start), or a failure of anything else. */
  endedBy?: 'program' | 'request' | 'failure'
  /** Set when the session ended by itself: what `ci stop` has to report. */
  failure?: ErrorReport
}

/** What only a running session knows of itself. */
export interface LiveFigures {
  /** The pod's ports whose traffic arrives here, and where the program listens for it (`address:port`). */
  ports: {port: number; local: string}[]
  /** Requests that the program got from the cluster, as far as its protocol is known, and their connections. */
  requests?: number
  connections?: number
  /** What the program received from the cluster, and sent to it. */
  bytesIn?: number
  bytesOut?: number
}

/** The sessions of one job: one directory each, no shared file, so that parallel starts cannot lose each other. */
export class SessionStore {
  /** Where new sessions are made. */
  readonly directory: string
  readonly job: string
  /** Where older ones may be as well, made by a command with another RUNNER_TEMP or TMPDIR. */
  readonly #others: readonly string[]

  constructor(root: string, job: string, otherRoots: readonly string[] = []) {
    this.job = job
    this.directory = path.join(root, job)
    this.#others = otherRoots.map((other) => path.join(other, job)).filter((other) => other !== this.directory)
  }

  /** Makes the directory of a new session, mode 0700. Errors: MirrordError STATE_DIRECTORY (exit 81). */
  create(): SessionDirectory {
    try {
      for (let attempt = 1; ; attempt++) {
        const id = randomId()
        try {
          privateDirectory(path.dirname(this.directory))
          privateDirectory(this.directory)
          mkdirSync(path.join(this.directory, id), {mode: 0o700})
          return new SessionDirectory(path.join(this.directory, id), id)
        } catch (error) {
          // EEXIST: the id is taken. ENOENT: another command pruned an empty directory between two of these steps.
          const {code} = error as NodeJS.ErrnoException
          if ((code !== 'EEXIST' && code !== 'ENOENT') || attempt === CREATE_ATTEMPTS) throw error
        }
      }
    } catch (error) {
      this.prune() // a full disk may have taken the first of the directories
      throw stateUnusable(this.directory, error)
    }
  }

  /**
   * Every session directory of this job, by name; empty when there is none. A directory of another user holds none of
   * ours (`create` refuses it), and what it claims to be a session of ours would be a way to have our processes killed.
   */
  list(): SessionDirectory[] {
    const found = [this.directory, ...this.#others].flatMap((directory) => sessionsIn(directory))
    return [...new Map(found.map((session) => [session.id, session])).values()]
  }

  /** Removes the job's directories and the user's roots where they are empty. */
  prune(): void {
    for (const directory of [this.directory, ...this.#others].flatMap((job) => [job, path.dirname(job)])) {
      try {
        rmdirSync(directory)
      } catch {
        continue // not empty, or gone already: another start is using it
      }
    }
  }
}

function sessionsIn(job: string): SessionDirectory[] {
  if (!own(path.dirname(job)) || !own(job)) return []
  let names: string[]
  try {
    names = readdirSync(job)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  return names
    .filter((name) => /^[\da-f]{8}$/.test(name))
    .sort()
    .flatMap((name) => {
      const directory = followed(path.join(job, name))
      return directory === undefined ? [] : [new SessionDirectory(directory, name)]
    })
}

/** One session's directory. */
export class SessionDirectory {
  readonly path: string
  readonly id: string

  constructor(directory: string, id: string) {
    this.path = directory
    this.id = id
  }

  get socket(): string {
    return path.join(this.path, SOCKET_NAME)
  }

  /** What the session did; the same is beside the program's output, if that is kept. */
  get report(): string {
    return path.join(this.path, REPORT_NAME)
  }

  get files(): string {
    return path.join(this.path, 'files')
  }

  /** Writes `session.json` atomically: readers see the old record or the new one, never a part. Errors: STATE_DIRECTORY (81). */
  write(record: SessionRecord): void {
    writeWhole(path.join(this.path, 'session.json'), record)
  }

  /** Writes, as atomically, what this session wants to be called; the start does, before there is a record. */
  claim(claim: NameClaim): void {
    writeWhole(path.join(this.path, 'name.json'), claim)
  }

  /** When the directory was last changed, in milliseconds of the epoch; undefined when it is gone. */
  get changedAt(): number | undefined {
    return statSync(this.path, {throwIfNoEntry: false})?.mtimeMs
  }

  /** The record, or undefined when the session has not written one, is being removed, or it is damaged. */
  read(): SessionRecord | undefined {
    return this.#look().record
  }

  /** Why there is a `session.json` that is no record; undefined when it is one, or is not there. */
  get damage(): string | undefined {
    return this.#look().damage
  }

  #look(): ReturnType<typeof parseRecord> {
    let text: string
    try {
      text = readFileSync(path.join(this.path, 'session.json'), 'utf8')
    } catch (error) {
      const {code, message} = error as NodeJS.ErrnoException
      return code === 'ENOENT' || code === 'ESTALE' ? {} : {damage: `it cannot be read (${message})`}
    }
    return parseRecord(text)
  }

  /** Takes the claim back, for those that wait for its decision. */
  unclaim(): void {
    rmSync(path.join(this.path, 'name.json'), {force: true})
  }

  /** The claim, or undefined when there is none yet. */
  readClaim(): NameClaim | undefined {
    try {
      return parseClaim(readFileSync(path.join(this.path, 'name.json'), 'utf8'))
    } catch {
      return undefined
    }
  }

  /** Removes what only a running session needs. */
  keepRecord(): void {
    rmSync(this.files, {recursive: true, force: true})
  }

  /** Removes the directory with everything in it, and the link to it. */
  remove(): void {
    rmSync(this.path, {recursive: true, force: true})
    unlink(this.path, process.getuid?.() ?? 0)
  }

  /** Removes it, and the directories of its job and its user where they are empty then. */
  removeWithJob(): void {
    this.remove()
    const job = path.dirname(this.path)
    new SessionStore(path.dirname(job), path.basename(job)).prune()
  }
}

function writeWhole(file: string, value: unknown): void {
  const temporary = `${file}.${randomId()}`
  try {
    writeFileSync(temporary, `${JSON.stringify(value, undefined, 2)}\n`, {mode: 0o600})
    renameSync(temporary, file)
  } catch (error) {
    rmSync(temporary, {force: true}) // a full disk keeps the empty file
    throw stateUnusable(path.dirname(file), error)
  }
}

/** Makes or accepts a directory that only this user can enter: anything else in a shared /tmp could be an attack. */
function privateDirectory(directory: string): void {
  try {
    mkdirSync(directory, {mode: 0o700})
    return
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const stat = lstatSync(directory)
  if (!stat.isDirectory() || stat.uid !== process.getuid?.())
    throw new MirrordError({
      code: 'STATE_DIRECTORY_FOREIGN',
      exit: 'permission',
      what: `${directory} cannot hold this session's state.`,
      why: stat.isDirectory() ? `It belongs to user ${stat.uid}.` : 'It is not a directory.',
      next: ['Remove it, or set RUNNER_TEMP to a folder of your own.'],
    })
  if (stat.mode & 0o077) chmodSync(directory, 0o700)
}
