import {closeSync, openSync, rmdirSync} from 'node:fs'
import path from 'node:path'
import {detectCi} from '../ci/index.ts'
import type {Config} from '../config/index.ts'
import {containerName, type RunLine} from '../container/index.ts'
import {identify} from '../util/process.ts'
import {currentJob} from './current-job.ts'
import {outputUnusable, stateUnusable} from './disk.ts'
import {reportPlace} from './left-report.ts'
import {outputFile} from './output-files.ts'
import {launchSession, type LaunchObserver, type LaunchOutcome, type SignalSource} from './launch.ts'
import {claimName} from './naming.ts'
import {findProgram, makeOutputDirectory} from './program.ts'
import {checkProbes} from './ready/check.ts'
import type {SessionSpec} from './spec.ts'
import {reapStale} from './reap.ts'
import {link} from './roots.ts'
import type {SessionDirectory} from './state.ts'

/** What `ci start` and `exec` were asked to do. */
export interface StartRequest {
  /** Of mirrord. */
  version: string
  config: Config
  /** What the user was told of the configuration. */
  warnings: readonly string[]
  /** What the session's log should tell of the time before it. */
  notes?: readonly string[]
  /** What the user says of the CI run, in the place of what its system says. */
  run?: Pick<SessionSpec['run'], 'environment' | 'pipeline' | 'trigger'>
  /** The program and its arguments, as typed. */
  words: readonly string[]
  /** The same words taken apart, where they start a container. */
  container?: RunLine
  cwd: string
  env: Readonly<Record<string, string | undefined>>
  /** The folder with the built product: session entry and trap are found below it. */
  lib: string
  foreground: boolean
  intercept: boolean
  wait: boolean
}

/**
 * Starts one session. In the background it returns when the program is ready, in the foreground when it has ended.
 * Errors: MirrordError of the exit-code table; nothing is left behind then, except the output files of a program that ran.
 */
export async function startSession(
  request: StartRequest,
  observer: LaunchObserver,
  signals: SignalSource,
): Promise<LaunchOutcome> {
  const {env, cwd} = request
  const [word = ''] = request.words
  const name = request.container ? containerName(request.container) : word
  checkProbes(request.config, !request.foreground || request.config.ci.output_dir !== undefined)
  const programPath = findProgram(word, env, cwd)
  const store = currentJob(env)
  await reapStale(env, store.job)
  const directory = store.create()
  link(directory.path, process.getuid?.() ?? 0)
  try {
    const launcher = identify(process.pid)!
    const sessionName = await claimName(store, directory, {wanted: request.config.ci.name, program: name, launcher})
    const found = {program: {name, path: programPath}, directory, job: store.job, name: sessionName}
    return await launch(request, found, observer, signals)
  } catch (error) {
    directory.remove() // the session removes it itself unless it was killed
    store.prune()
    throw error
  }
}

async function launch(
  request: StartRequest,
  found: {program: {name: string; path: string}; directory: SessionDirectory; job: string; name: string},
  observer: LaunchObserver,
  signals: SignalSource,
): Promise<LaunchOutcome> {
  const {env, cwd, foreground, config} = request
  const {program, directory} = found
  if (foreground && config.ci.output_dir === undefined && config.ci.log_max !== undefined)
    observer.warning('ci.log_max has no effect: in the foreground there are files only with ci.output_dir.')
  const temporary = env.TMPDIR?.startsWith('/') ? env.TMPDIR : '/tmp'
  const outputDirectory =
    foreground && config.ci.output_dir === undefined
      ? undefined
      : makeOutputDirectory(
          path.resolve(cwd, config.ci.output_dir ?? path.join(temporary, 'mirrord')),
          program.name,
          config.ci.output_dir === undefined,
        )
  const {provider, url, job, pipeline, trigger} = detectCi(env) ?? {}
  const {run = {}} = request
  const spec: SessionSpec = {
    version: request.version,
    id: directory.id,
    job: found.job,
    run: {
      provider,
      url,
      job,
      environment: run.environment,
      pipeline: run.pipeline ?? pipeline,
      trigger: run.trigger ?? trigger,
    },
    name: found.name,
    directory: directory.path,
    trapPath: path.join(request.lib, 'trap', 'mirrord-trap'),
    program: {...program, argv: [...request.words], cwd},
    container: request.container,
    environment: Object.fromEntries(
      Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
    config,
    warnings: request.warnings,
    notes: request.notes,
    foreground,
    outputDirectory,
    report: reportPlace(found.job, {
      reportDir: config.ci.report_dir,
      outputDir: config.ci.output_dir,
      temporary,
      cwd,
    }),
    intercept: request.intercept,
    wait: request.wait,
  }
  const logFd = openLog(directory.path, outputDirectory)
  try {
    return await launchSession(spec, {
      sessionEntry: path.join(request.lib, 'session', 'main.js'),
      logFd,
      observer,
      signals,
    })
  } finally {
    closeSync(logFd)
  }
}

/** The file to which the session's process writes. Errors: MirrordError OUTPUT_FILES or STATE_DIRECTORY (exit 81). */
function openLog(stateDirectory: string, outputDirectory: string | undefined): number {
  try {
    return openSync(outputFile(outputDirectory ?? stateDirectory, 'mirrord.log'), 'a', 0o600)
  } catch (error) {
    if (outputDirectory === undefined) throw stateUnusable(stateDirectory, error)
    rmdirSync(outputDirectory)
    throw outputUnusable(outputDirectory, error)
  }
}
