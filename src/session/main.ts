import {appendFileSync} from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import {readLines, writeLine} from '../util/json-lines.ts'
import {toReport, type ErrorReport} from '../errors/mirrord-error.ts'
import {LAUNCH_FD, type LaunchEvent, type LaunchRequest} from './launch-protocol.ts'
import {Session} from './session.ts'
import type {SessionSpec} from './spec.ts'

// The session process: one for each start. It is told what to do over a private pipe and ends when all is undone.
process.title = 'mirrord-session'

/** Grace of the program when the session ends because its launcher or its machine goes away. */
const GRACE_MS = 10_000

// Half-open: a launcher that cancels ends its side, and is still told what became of the start.
const pipe = new net.Socket({fd: LAUNCH_FD, allowHalfOpen: true})
let running: {session: Session; spec: SessionSpec; ready: boolean} | undefined

readLines<LaunchRequest>(
  pipe,
  (request) => {
    if (request.type === 'signal') running?.session.signal(request.signal)
    else if (!running) launch(request.spec)
  },
  () => {
    // The launcher is gone: before `ready` its start is cancelled; in the foreground the session lives as long as it.
    if (!running) process.exit(1)
    if (!running.ready || running.spec.foreground) void running.session.stop(running.ready ? GRACE_MS : 0)
  },
)

function launch(spec: SessionSpec): void {
  const log = logTo(path.join(spec.outputDirectory ?? spec.directory, 'mirrord.log'))
  const emit = (event: LaunchEvent) => {
    if (event.type === 'ready' && running) running.ready = true
    writeLine(pipe, event)
  }
  const session = new Session(spec, emit, log)
  running = {session, spec, ready: false}
  const defect = (error: unknown) => {
    log(`defect: ${error instanceof Error ? error.stack : String(error)}`)
    session.fail(toReport(error), 0)
  }
  process.on('uncaughtException', defect)
  process.on('unhandledRejection', defect)
  // In the foreground the terminal's signals reach this process too; the launcher passes on what the program must get.
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGHUP'] as const) process.on(signal, () => {})
  process.on('SIGTERM', () => session.fail(terminated(spec.program.name), GRACE_MS))
  session.run().then(finish, (error: unknown) => {
    log(`defect: ${error instanceof Error ? error.stack : String(error)}`)
    finish()
  })
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

function logTo(file: string): (text: string) => void {
  return (text) => {
    try {
      appendFileSync(file, `${new Date().toISOString()} ${text}\n`)
    } catch {
      // A full disk must not end the session; the program meets it by itself.
    }
  }
}
