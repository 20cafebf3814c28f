import {spawn} from 'node:child_process'
import type {Duplex} from 'node:stream'
import {cancelledBy} from '../errors/exit-codes.ts'
import {MirrordError} from '../errors/mirrord-error.ts'
import {readLines, writeLine} from '../util/json-lines.ts'
import {exitStatus} from './exit-status.ts'
import {passedSignals} from './foreground.ts'
import type {LaunchEvent, LaunchRequest, ReadySummary} from './launch-protocol.ts'
import {outputFile} from './output-files.ts'
import type {SessionSpec} from './spec.ts'

/** Told while a start goes on; nothing of it decides anything. */
export interface LaunchObserver {
  phase(event: Extract<LaunchEvent, {type: 'phase'}>): void
  /** What is being waited for now; the next phase or the end replaces it. */
  waiting(text: string): void
  warning(text: string): void
  /** Foreground only: the program is ready, and the launch goes on until it ends. */
  ready(summary: ReadySummary): void
}

/** How a launch ended well. */
export type LaunchOutcome = {type: 'ready'; summary: ReadySummary} | {type: 'exited'; status: number}

/**
 * Starts the session process and follows it: in the background until the program is ready, in the foreground until it has
 * ended. Closing the pipe early (this process dies, `signal` aborts) makes the session undo everything.
 * Errors: the session's own report as MirrordError; when its process ends without a word SESSION_KILLED (exit 74), or
 * SESSION_DIED (exit 1) when no signal ended it.
 */
export async function launchSession(
  spec: SessionSpec,
  options: {sessionEntry: string; logFd: number; observer: LaunchObserver; signals: SignalSource},
): Promise<LaunchOutcome> {
  const {observer} = options
  const child = spawn(process.execPath, ['--title=mirrord-session', options.sessionEntry], {
    cwd: spec.program.cwd,
    env: spec.environment,
    // The background session is its own session leader: it outlives the CI step and its terminal.
    detached: !spec.foreground,
    stdio: spec.foreground
      ? ['inherit', 'inherit', 'inherit', 'pipe']
      : ['ignore', options.logFd, options.logFd, 'pipe'],
  })
  const pipe = child.stdio[3] as Duplex
  const send = (request: LaunchRequest) => writeLine(pipe, request)

  return new Promise((resolve, reject) => {
    let cancelled: NodeJS.Signals | undefined
    const unsubscribe = options.signals.subscribe(
      (signal) => {
        cancelled ??= signal
        if (spec.foreground) send({type: 'signal', signal})
        else pipe.end() // cancelled before it was ready: the session undoes everything and says so
      },
      spec.foreground ? passedSignals : undefined,
    )
    const settle = (act: () => void) => {
      unsubscribe()
      pipe.destroy()
      child.unref()
      act()
    }
    child.once('error', (error) => settle(() => reject(error)))
    let failure: MirrordError | undefined
    const ended = new Promise<NodeJS.Signals | null>((resolve) =>
      child.once('exit', (_code, signal) => resolve(signal)),
    )
    readLines<LaunchEvent>(
      pipe,
      (event) => {
        switch (event.type) {
          case 'phase':
            return observer.phase(event)
          case 'waiting':
            return observer.waiting(event.text)
          case 'warning':
            return observer.warning(event.text)
          case 'ready':
            if (spec.foreground) observer.ready(event.summary)
            else settle(() => resolve({type: 'ready', summary: event.summary}))
            return
          case 'failed':
            failure = new MirrordError(
              event.report.code === 'START_CANCELLED' ? {...event.report, exit: cancelledBy(cancelled)} : event.report,
            )
            return
          case 'exited':
            return settle(() => resolve({type: 'exited', status: exitStatus(event)}))
        }
      },
      // Not before its process is gone: the caller is told that nothing is left, and how it ended.
      () =>
        void ended.then((signal) =>
          settle(() => reject(failure ?? (signal ? sessionKilled(spec, signal) : sessionDied(spec)))),
        ),
    )
    send({type: 'launch', spec})
  })
}

/** Where the launcher's signals come from; the CLI's entry point gives the process's own. */
export interface SignalSource {
  /** Without `signals`: those that ask for the end. The result ends the subscription. */
  subscribe(listener: (signal: NodeJS.Signals) => void, signals?: readonly NodeJS.Signals[]): () => void
}

function sessionKilled({foreground, outputDirectory}: SessionSpec, signal: NodeJS.Signals): MirrordError {
  return new MirrordError({
    code: 'SESSION_KILLED',
    exit: 'programCrashed',
    what: `The session process was killed${foreground ? '' : ' before the program was ready'}.`,
    why: `${signal} ended it, and the program with it. Its agent leaves by itself.`,
    next: [
      'See whether the machine ran out of memory (dmesg), and start again.',
      ...(outputDirectory ? [`Its log: ${outputFile(outputDirectory, 'mirrord.log')}`] : []),
    ],
  })
}

function sessionDied(spec: SessionSpec): MirrordError {
  return new MirrordError({
    code: 'SESSION_DIED',
    exit: 'unexpected',
    what: 'The session process ended before the program was ready.',
    why: 'It met a defect of mirrord.',
    next: [`Read its log${spec.outputDirectory ? `: ${outputFile(spec.outputDirectory, 'mirrord.log')}` : ''}.`],
  })
}
