import net from 'node:net'
import {readLines, writeLine} from '../util/json-lines.ts'
import {toReport, type ErrorReport} from '../errors/mirrord-error.ts'
import {passedSignals} from './foreground.ts'
import {LAUNCH_FD, type LaunchEvent, type LaunchRequest} from './launch-protocol.ts'
import {logTo} from './log-file.ts'
import {outputFile} from './output-files.ts'
import {Session} from './session.ts'
import type {SessionSpec} from './spec.ts'

// The session process: one for each start. It is told what to do over a private pipe and ends when all is undone.
process.title = 'mirrord-session'

// Half-open: a launcher that cancels ends its side, and is still told what became of the start.
const pipe = new net.Socket({fd: LAUNCH_FD, allowHalfOpen: true})
let running: {session: Session; spec: SessionSpec; ready: boolean} | undefined

readLines<LaunchRequest>(
  pipe,
  (request) => {
    if (request.type === 'signal') void running?.session.foreground.ofLauncher(request.signal)
    else if (!running) launch(request.spec)
  },
  () => {
    // The launcher is gone: before `ready` its start is cancelled; in the foreground the session lives as long as it.
    if (!running) process.exit(1)
    if (!running.ready || running.spec.foreground)
      void running.session.stop(running.ready ? running.spec.config.ci.grace * 1000 : 0)
  },
)

function launch(spec: SessionSpec): void {
  const log = logTo(outputFile(spec.outputDirectory ?? spec.directory, 'mirrord.log'), spec.config.ci.log_max)
  for (const note of spec.notes ?? []) log(`before: ${note}`)
  const emit = (event: LaunchEvent) => {
    writeLine(pipe, event)
    if (event.type !== 'ready' || !running || running.ready) return
    running.ready = true
    // Only now, and loaded only now: nobody waits for it.
    import('./old-output.ts')
      .then(({removeOldOutput}) => removeOldOutput(spec, log))
      .catch((error: Error) => log(`output: ${error.message}`))
  }
  const session = new Session(spec, emit, log)
  running = {session, spec, ready: false}
  const defect = (error: unknown) => {
    log(`defect: ${error instanceof Error ? error.stack : String(error)}`)
    session.fail(toReport(error), 0)
  }
  process.on('uncaughtException', defect)
  process.on('unhandledRejection', defect)
  const end = () => session.fail(terminated(spec.program.name), spec.config.ci.grace * 1000)
  if (spec.foreground) followGroup(session, end)
  else {
    for (const signal of ['SIGINT', 'SIGQUIT', 'SIGHUP'] as const) process.on(signal, () => {})
    process.on('SIGTERM', end)
  }
  session.run().then(finish, (error: unknown) => {
    log(`defect: ${error instanceof Error ? error.stack : String(error)}`)
    finish()
  })
}

/** In the foreground the signals of the terminal and of the whole process group reach this process too. */
function followGroup(session: Session, end: () => void): void {
  for (const signal of passedSignals) process.on(signal, () => session.foreground.ofGroup(signal, end))
  // A program that reads the terminal from the background stops, we do not.
  for (const signal of ['SIGTTIN', 'SIGTTOU'] as const) process.on(signal, () => {})
}

function terminated(name: string): ErrorReport {
  return {
    code: 'SESSION_TERMINATED',
    exit: 'programCrashed',
    what: `The session of "${name}" was ended by SIGTERM, not by \`mirrord ci stop\`.`,
    why: 'Something on this machine ends processes: a runner that cleans up, or a script.',
    next: ['What ran against the service after that moment did not meet the local program: run it again.'],
  }
}

/** Lets the last event reach the launcher, which may be gone or slow. */
function finish(): void {
  pipe.end(() => process.exit())
  setTimeout(() => process.exit(), 1000)
}
