import yoctoSpinner, {type Spinner} from 'yocto-spinner'
import type {LaunchObserver} from '../session/launch.ts'
import type {ReadySummary} from '../session/launch-protocol.ts'
import {colorFor} from '../util/color.ts'
import {jsonObserver} from './progress-json.ts'
import {progressMode} from './progress-mode.ts'

/** Where a start's progress is shown, and how. */
export interface StartOutput {
  stream: NodeJS.WriteStream
  env: Readonly<Record<string, string | undefined>>
  /** From the moment the program runs the terminal is the program's: no spinner then. */
  foreground: boolean
  /** The command, as its task is called in JSON. */
  title: string
}

/** Told of a start; `close` must be called whatever became of it. */
type StartObserver = LaunchObserver & {close(succeeded: boolean): void}

/** Shows a start's progress as MIRRORD_PROGRESS_MODE says. */
export function startObserver(output: StartOutput): StartObserver {
  const {mode, warning} = progressMode(output.env)
  const observer =
    mode === 'off' ? silent : mode === 'json' ? jsonObserver(output.stream, output) : lineObserver(output, mode)
  if (warning !== undefined) observer.warning(warning)
  return observer
}

const nothing = () => {}
const silent: StartObserver = {phase: nothing, waiting: nothing, warning: nothing, ready: nothing, close: nothing}

/** One line a phase with its duration; on a terminal a spinner says what is waited for, but not in the simple mode. */
function lineObserver({stream, env, foreground}: StartOutput, mode: 'standard' | 'simple'): StartObserver {
  const color = colorFor(stream, mode === 'simple' ? {...env, NO_COLOR: '1'} : env)
  const spinner =
    mode === 'standard' && interactive(stream, env) ? yoctoSpinner({stream, handleSignals: false}) : undefined
  let shared = false
  /** Lines go between two pictures of the spinner. */
  const line = (text: string) => {
    const spinning = spinner?.isSpinning
    spinner?.stop()
    stream.write(`${text}\n`)
    if (spinning && !shared) spinner?.start()
  }
  return {
    phase({phase, text, ms}) {
      shared ||= foreground && phase === 'program'
      line(`${color.green('✓')} ${text} ${color.dim(`(${(ms / 1000).toFixed(2)} s)`)}`)
    },
    waiting(text) {
      if (spinner && !shared) show(spinner, text)
    },
    warning(text) {
      line(`${color.yellow('!')} ${text}`)
    },
    ready(summary) {
      line(incomingLine(summary))
    },
    close() {
      shared = true
      spinner?.stop()
    },
  }
}

/** A terminal that a person looks at: never the log of a CI job, also where that is given a terminal. */
function interactive(stream: NodeJS.WriteStream, env: StartOutput['env']): boolean {
  return stream.isTTY && env.TERM !== 'dumb' && env.CI === undefined
}

function show(spinner: Spinner, text: string): void {
  spinner.text = text
  spinner.start()
}

/** What a background start prints on stdout at its end. */
export function formatReady(summary: ReadySummary): string {
  const lines = [incomingLine(summary)]
  if (summary.outputDirectory) lines.push(`Output:   ${summary.outputDirectory}/{stdout,stderr}`)
  lines.push(`Program:  ${summary.inContainer ?? `pid ${summary.programPid}`}`, 'Stop it:  mirrord ci stop')
  return lines.join('\n')
}

function incomingLine({incoming, ports, pod, container}: ReadySummary): string {
  const where = container ? `${pod}, container ${container}` : pod
  if (incoming === 'off') return `Incoming: off (${where} keeps its traffic)`
  if (ports.length === 0) return `Incoming: steal, no port yet (${where} keeps its traffic until the program listens)`
  const text = ports.length === 1 ? `port ${ports[0]}` : `ports ${ports.join(', ')}`
  return `Incoming: steal, all connections to ${text} of ${where} now go to the program`
}
