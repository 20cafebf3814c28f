import {randomInt} from 'node:crypto'
import {accessSync, constants} from 'node:fs'
import type {Socket} from 'node:net'
import {dirname, join} from 'node:path'
import process from 'node:process'
import {fileURLToPath} from 'node:url'
import {parseCli, type AgentOptions} from './cli.ts'
import {Guard} from './guard.ts'
import {makeLog, type Log} from './log.ts'
import {tlsClient} from './secure.ts'
import {readSettings, type AgentSettings} from './settings.ts'
import {findTarget, isFullId, sharedNamespaceLookup} from './target/find.ts'
import {agentVersion} from './version.ts'
import {Worker} from './worker.ts'
import {workerVariable, type ToGuard, type ToWorker, type WorkerStart} from './worker-link.ts'

/** Writes everything that is still queued for stdout before it ends the process. */
function exit(code: number): void {
  process.exitCode = code
  process.stdout.write('', () => process.exit(code))
}

function fail(log: Log, error: unknown): void {
  log('error', error instanceof Error ? error.message : String(error))
  exit(1)
}

const cli = parseCli(process.argv.slice(2), process.env)
if (cli.type === 'print') {
  // Usage errors belong to stderr, answers to stdout.
  ;(cli.exitCode === 0 ? process.stdout : process.stderr).write(`${cli.text}\n`)
  process.exitCode = cli.exitCode
} else {
  const {settings, problems} = readSettings(process.env)
  const inner = process.env[workerVariable]
  const role = inner === undefined ? 'guard' : 'worker'
  const log = makeLog(settings.logFilter, settings.jsonLog, role, (line) => process.stdout.write(`${line}\n`))
  if (inner === undefined) {
    for (const {level, text} of problems) log(level, text)
    if (cli.options.metrics !== undefined) log('warn', 'metrics are not supported by this agent: no endpoint is opened')
    runGuard(cli.options, settings, log)
  } else runWorker(cli.options, settings, JSON.parse(inner) as WorkerStart, log)
}

function runGuard(options: AgentOptions, settings: AgentSettings, log: Log): void {
  try {
    const start = locate(options, settings, log)
    const guard = new Guard(
      {
        // The bundle is one file; both roles start from it, with the same arguments.
        command: [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
        env: process.env,
        start,
        enterNamespace: options.mode.type === 'targeted',
        port: options.communicatePort,
        firstClientTimeout: options.communicationTimeout * 1000,
        idleTtl: settings.idleTtl,
      },
      log,
      () => process.stdout.write(`agent ready - version ${agentVersion}\n`),
    )
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => guard.stop(0))
    guard.run().then(exit, (error: unknown) => fail(log, error))
  } catch (error) {
    fail(log, error)
  }
}

function locate(options: AgentOptions, settings: AgentSettings, log: Log): WorkerStart {
  const {mode} = options
  const mark = randomInt(2 ** 24)
  if (mode.type === 'targetless') return {containerId: '', mark}
  if (mode.type === 'targeted') {
    const {pid, by} = findTarget(mode.containerId)
    log('info', `the target is process ${pid} (found by ${by})`)
    return {targetPid: pid, containerId: mode.containerId, mark}
  }
  // The pod's pid 1 is the target, unless the containers share a PID namespace.
  const containerId = settings.ephemeralContainerId
  const pid = isFullId(containerId) ? sharedNamespaceLookup().find(containerId) : undefined
  return {targetPid: pid ?? 1, containerId, mark}
}

function runWorker(options: AgentOptions, settings: AgentSettings, start: WorkerStart, log: Log): void {
  try {
    // What a container runtime starts programs with; modes of files that clients create must not depend on it.
    process.umask(0o022)
    const worker = new Worker({
      start,
      options,
      settings,
      gid: process.getgid?.() ?? 0,
      env: process.env,
      helper: findHelper(),
      secure: options.operatorCert === undefined ? undefined : tlsClient(options.operatorCert),
      // The guard may be gone; that is noticed by the disconnect.
      send: (message: ToGuard) => void process.send?.(message, undefined, {}, () => {}),
      exit,
      log,
    })
    process.on('message', (message: ToWorker, handle: unknown) => {
      if (message.type === 'stop') void worker.stop()
      else if (handle) worker.accept(handle as Socket)
    })
    process.on('disconnect', () => void worker.stop())
    // Only the guard decides about the end; signals to the group must not race with it.
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void worker.stop())
    worker.run().catch((error: unknown) => fail(log, error))
  } catch (error) {
    fail(log, error)
  }
}

/** The static C program that does what Node cannot; it is shipped beside the bundle. */
function findHelper(): string | undefined {
  // import.meta.dirname is empty, not "/", for a module in the root directory (Node 22), as in the sandbox's image.
  const file = join(dirname(fileURLToPath(import.meta.url)), 'mirrord-trap')
  try {
    accessSync(file, constants.X_OK)
    return file
  } catch {
    return undefined
  }
}
