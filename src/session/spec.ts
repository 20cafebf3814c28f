import type {CiRun} from '../ci/index.ts'
import type {Config} from '../config/index.ts'
import type {RunLine} from '../container/index.ts'
import type {ReportPlace} from './left-report.ts'

/** All that a session process needs to know; travels once, over its private launch pipe, never through argv or a file. */
export interface SessionSpec {
  /** Of mirrord. */
  version: string
  id: string
  job: string
  /** The run of the CI system; empty outside of any. */
  run: Partial<CiRun> & {environment?: string}
  /** Unique among the live sessions of the job. */
  name: string
  /** The session's state directory, made by the launcher. */
  directory: string
  /** Absolute path of `mirrord-trap`. */
  trapPath: string
  program: {
    /** What the user typed first; of a container, its name or that of its image. */
    name: string
    /** Absolute path of the executable; of a container, of its runtime's client. */
    path: string
    argv: string[]
    cwd: string
  }
  /** The program runs in a container, which this line starts. */
  container?: RunLine
  /** The environment of the CLI: kubeconfig discovery reads it, the program inherits it. */
  environment: Record<string, string>
  config: Config
  /** What the user was told of the configuration. */
  warnings: readonly string[]
  /** What happened before the session began, for its log. */
  notes?: readonly string[]
  foreground: boolean
  /** Folder of the `stdout` and `stderr` files; absent in the foreground. */
  outputDirectory?: string
  /** Where the job's report goes. */
  report: ReportPlace
  /** False: environment and incoming traffic only, no system call is intercepted (ruling R11). */
  intercept: boolean
  /** False: the start does not wait for the program to be ready; `ci wait` can. */
  wait: boolean
}
