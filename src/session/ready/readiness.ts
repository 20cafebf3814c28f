import {MirrordError, type ErrorReport} from '../../errors/mirrord-error.ts'
import {outputTail} from '../output-tail.ts'
import type {Progress, Step} from '../progress.ts'
import type {SessionSpec} from '../spec.ts'
import {aliveProbe} from './alive.ts'
import {execProbe} from './exec.ts'
import {httpProbe} from './http.ts'
import {Listeners} from './listeners.ts'
import {listeningProbe} from './listening.ts'
import {logProbe} from './log.ts'
import type {Probe} from './probe.ts'
import {tcpProbe} from './tcp.ts'
import {NotReadyInTime, waitUntilReady, type Unmet} from './wait.ts'

/** What `Readiness` needs of its session. */
export interface ReadinessContext {
  spec: SessionSpec
  progress: Progress
  /** Aborts when the session ends. */
  signal: AbortSignal
  /** Completes the report of a program that was not ready in time. */
  explain(report: ErrorReport): ErrorReport
}

/** When one session's program is ready. */
export class Readiness {
  readonly listeners = new Listeners()
  readonly #context: ReadinessContext

  constructor(context: ReadinessContext) {
    this.#context = context
  }

  /** Waits for everything that was asked for. Errors: MirrordError PROGRAM_NOT_READY (exit 71); the signal's reason. */
  async wait(environment: Record<string, string>): Promise<Step<void>> {
    const {spec, progress, signal, explain} = this.#context
    const {name} = spec.program
    const seconds = spec.config.ci.ready.timeout
    try {
      const seen = await waitUntilReady(probesOf(spec, environment, this.listeners), {
        timeoutMs: this.#endless ? undefined : seconds * 1000,
        signal,
        waiting: (unmet) => progress.waiting(`Waiting for ${name}: ${unmet.map(describe).join('; ')}`),
      })
      return {text: `Program ${name} is ready: ${seen.join(', ')}`}
    } catch (error) {
      if (!(error instanceof NotReadyInTime)) throw error
      throw new MirrordError(explain(notReadyInTime(name, seconds, error.unmet, spec.outputDirectory)))
    }
  }

  /** In the foreground nobody waits: a program that never listens is as good as any, unless something was asked for. */
  get #endless(): boolean {
    const {spec} = this.#context
    const {timeout: _, ...probes} = spec.config.ci.ready
    return spec.foreground && Object.values(probes).every((value) => value === undefined)
  }
}

function describe({label, failure}: Unmet): string {
  return failure ? `${label} (${failure})` : label
}

/** The probes that a session was asked for, by flags or file; else the default of ruling R8. */
function probesOf(spec: SessionSpec, environment: Record<string, string>, listeners: Listeners): Probe[] {
  const {config, outputDirectory, trapPath, program, directory} = spec
  const {state, tcp = [], http = [], log = [], exec = []} = config.ci.ready
  const stealing = config.feature.network.incoming.mode === 'steal'
  const place = {trapPath, cwd: program.cwd, environment, directory}
  const probes = [
    ...tcp.map((probe) => tcpProbe(probe, listeners)),
    ...http.map((probe) => httpProbe(probe, listeners)),
    // Without output files there is no such probe: `checkProbes` has refused it.
    ...(outputDirectory === undefined ? [] : log.map((pattern) => logProbe(pattern, outputDirectory))),
    ...exec.map((command) => execProbe(command, place, listeners)),
  ]
  const wanted = state ?? (probes.length > 0 ? undefined : stealing ? 'listening' : 'started')
  if (wanted === 'listening') probes.unshift(listeningProbe(listeners, stealing))
  if (wanted === 'started') probes.unshift(aliveProbe())
  return probes
}

/** The program lives, but was not ready in time: exit 71. */
function notReadyInTime(
  name: string,
  seconds: number,
  unmet: readonly Unmet[],
  outputDirectory: string | undefined,
): ErrorReport {
  return {
    code: 'PROGRAM_NOT_READY',
    exit: 'programNotReady',
    what: `The program "${name}" was not ready after ${seconds} s.`,
    why: `It runs. Waited for: ${unmet.map(describe).join('; ')}.`,
    next: [...new Set(unmet.flatMap(({hints}) => hints)), 'Give it more time with --ready-timeout SECONDS.'],
    detail: outputTail(outputDirectory),
  }
}
