import {appendFileSync} from 'node:fs'
import {annotationsOf, formatOutputs, systemOf, type CiSystem} from '../ci/index.ts'
import type {ErrorReport} from '../errors/mirrord-error.ts'
import type {LaunchObserver} from '../session/launch.ts'
import type {ReadySummary} from '../session/launch-protocol.ts'
import {progressMode} from './progress-mode.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** The system whose marks this process may write: none with `CI=false`, the general way to say "as if in no CI". */
const system = (env: Environment): CiSystem | undefined => (env.CI === 'false' ? undefined : systemOf(env))

/** Lines that belong together in a CI system's log. */
export interface LogGroup {
  /** Before the first line of the group; only the first call counts. */
  open(): void
  /** After the last one; without `open` nothing happens. */
  close(): void
}

/**
 * A group on `stream`, opened when there is something to show. `MIRRORD_CI_GROUPS=off` leaves the marks out: no system but
 * GitLab nests groups, so that ours would end one that the job has opened around us.
 */
export function logGroup(title: string, stream: NodeJS.WritableStream, env: Environment): LogGroup {
  // Marks would be no JSON, and a silent start has nothing to group.
  const plain = env.MIRRORD_CI_GROUPS === 'off' || ['json', 'off'].includes(progressMode(env).mode)
  const dialect = plain ? undefined : system(env)?.dialect
  const name = `mirrord_${process.pid}`
  let state: 'before' | 'open' | 'closed' = dialect ? 'before' : 'closed'
  return {
    open() {
      if (state !== 'before') return
      state = 'open'
      stream.write(`${dialect!.openGroup(title, name, new Date())}\n`)
    },
    close() {
      if (state === 'open') stream.write(`${dialect!.closeGroup(title, name, new Date())}\n`)
      state = 'closed'
    },
  }
}

/**
 * The observer's lines inside a group. In the foreground the group ends before the program starts: what the program says
 * must not be collapsed with it.
 */
export function grouped(observer: LaunchObserver, group: LogGroup, foreground: boolean): LaunchObserver {
  return {
    ...observer,
    phase(event) {
      group.open()
      observer.phase(event)
      if (foreground && event.phase === 'environment') group.close()
    },
    warning(text) {
      group.open()
      observer.warning(text)
    },
  }
}

/** Shows an error beside the run and at the file that is at fault, where the CI system can. */
export function annotate(report: ErrorReport, stream: NodeJS.WritableStream, env: Environment): void {
  const found = system(env)
  const error = found?.dialect?.error
  if (!error) return
  const workspace = found.workspace === undefined ? undefined : env[found.workspace]
  for (const annotation of annotationsOf(report, workspace)) stream.write(`${error(annotation)}\n`)
}

/** Gives the start's result to later steps where the CI system takes it from a file. Returns a warning when it could not. */
export function writeOutputs(summary: ReadySummary, env: Environment): string | undefined {
  const variable = system(env)?.outputFile
  const file = variable === undefined ? undefined : env[variable]
  if (!file) return undefined
  try {
    // One write to the end of the file: starts side by side do not mix.
    appendFileSync(
      file,
      formatOutputs({
        'mirrord-session': summary.name,
        'mirrord-pod': summary.pod,
        'mirrord-ports': summary.ports.join(','),
        'mirrord-output-directory': summary.outputDirectory ?? '',
      }),
    )
    return undefined
  } catch (error) {
    return `the step's outputs could not be written to ${variable} (${file}): ${(error as Error).message}`
  }
}
