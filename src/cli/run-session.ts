import path from 'node:path'
import type {ResolvedConfig} from '../config/index.ts'
import {checkRunLine, parseRunLine} from '../container/index.ts'
import type {LaunchOutcome} from '../session/launch.ts'
import type {ReadySummary} from '../session/launch-protocol.ts'
import {startSession} from '../session/start.ts'
import {grouped, logGroup} from './ci-log.ts'
import {processSignals} from './signals.ts'
import {standardError} from './standard-error.ts'
import {startObserver} from './start-output.ts'

/** What the prerun hook found out, as far as a start needs it. */
interface Prepared {
  flags: Readonly<Record<string, unknown>>
  words: readonly string[]
  resolved?: ResolvedConfig
  /** What the configuration's profile does. */
  profile?: {text: string; ms: number}
  /** What the log should tell of the checks. */
  notes?: readonly string[]
}

/** How a command starts its session. */
interface Manner {
  /** The command's words, `ci start`. */
  name: string
  /** Of mirrord. */
  version: string
  /** The product's folder. */
  root: string
  foreground: boolean
  wait: boolean
  /** The words are a run line of a container runtime. */
  container?: boolean
  /** What else is to be said before anything starts. */
  warnings?: readonly string[]
}

/**
 * Runs a session and shows its progress on stderr; in the foreground until its program has ended.
 * Errors: those of `startSession`, and of a run line (exit 2).
 */
export async function runSession(
  {flags, words, resolved, profile, notes}: Prepared,
  {name, version, root, foreground, wait, container, warnings = []}: Manner,
): Promise<LaunchOutcome & {warn(text: string): void}> {
  const line = container ? parseRunLine(words) : undefined
  const ofWords = line ? checkRunLine(line, {foreground}) : containerWarnings(words[0] ?? '', name)
  const stream = standardError()
  const title = `mirrord ${name}`
  const progress = startObserver({stream, env: process.env, foreground, title})
  const group = logGroup(title, stream, process.env)
  const observer = grouped(progress, group, foreground)
  const {config, warnings: ofConfig} = resolved!
  if (profile) observer.phase({type: 'phase', phase: 'profile', ...profile})
  for (const warning of [...warnings, ...ofWords, ...ofConfig]) observer.warning(warning)
  let succeeded = false
  const outcome = await startSession(
    {
      version,
      config,
      warnings: [...(line ? ofWords : []), ...ofConfig],
      notes,
      run: {
        environment: flags.environment as string | undefined,
        pipeline: flags.pipeline as string | undefined,
        trigger: flags['triggered-by'] as string | undefined,
      },
      words,
      container: line,
      cwd: process.cwd(),
      env: process.env,
      lib: path.join(root, 'lib'),
      foreground,
      intercept: flags.intercept !== false,
      wait,
    },
    observer,
    processSignals,
  )
    .then((ended) => {
      succeeded = true
      return ended
    })
    .finally(() => {
      progress.close(succeeded)
      group.close()
    })
  return {...outcome, warn: (text) => progress.warning(text)}
}

/** What a container runtime starts is no child of it, and not intercepted. */
function containerWarnings(program: string, command: string): string[] {
  const [runtime] = /docker|podman|nerdctl/.exec(program) ?? []
  if (runtime === undefined) return []
  const instead = command === 'exec' ? 'mirrord container' : 'mirrord ci container'
  return [
    `Only ${program} itself is intercepted, not the containers that it starts: for those, \`${instead} -- ${runtime} run …\`.`,
  ]
}

/** A background start's result for programs. */
export function readyJson(summary: ReadySummary): string {
  return JSON.stringify(summary, undefined, 2)
}
