import {MirrordError, type ErrorReport} from '../../errors/mirrord-error.ts'
import {outputTail} from '../failures.ts'
import type {SessionSpec} from '../spec.ts'
import {aliveProbe} from './alive.ts'
import {execProbe} from './exec.ts'
import {httpProbe} from './http.ts'
import type {Listeners} from './listeners.ts'
import {listeningProbe} from './listening.ts'
import {logProbe} from './log.ts'
import type {Probe} from './probe.ts'
import {tcpProbe} from './tcp.ts'
import type {Unmet} from './wait.ts'

/** The probes that a session was asked for, by flags or file; else the default of ruling R8. */
export function probesOf(spec: SessionSpec, environment: Record<string, string>, listeners: Listeners): Probe[] {
  const {config, outputDirectory, trapPath, program, directory} = spec
  const {state, tcp = [], http = [], log = [], exec = []} = config.ci.ready
  const stealing = config.feature.network.incoming.mode === 'steal'
  const place = {trapPath, cwd: program.cwd, environment, directory}
  const probes = [
    ...tcp.map((probe) => tcpProbe(probe, listeners)),
    ...http.map((probe) => httpProbe(probe, listeners)),
    // Without output files there is no such probe: `checkReady` has refused it.
    ...(outputDirectory === undefined ? [] : log.map((pattern) => logProbe(pattern, outputDirectory))),
    ...exec.map((command) => execProbe(command, place, listeners)),
  ]
  const wanted = state ?? (probes.length > 0 ? undefined : stealing ? 'listening' : 'started')
  if (wanted === 'listening') probes.unshift(listeningProbe(listeners, stealing))
  if (wanted === 'started') probes.unshift(aliveProbe())
  return probes
}

/** Whether flags or file say when the program is ready. */
export function asksForProbes({config}: Pick<SessionSpec, 'config'>): boolean {
  const {timeout: _, ...probes} = config.ci.ready
  return Object.values(probes).some((value) => value !== undefined)
}

/**
 * Refuses, before anything is started, what can never succeed.
 * Errors: MirrordError READY_LOG_UNAVAILABLE (exit 2).
 */
export function checkReady({config, outputDirectory}: Pick<SessionSpec, 'config' | 'outputDirectory'>): void {
  if (config.ci.ready.log === undefined || outputDirectory !== undefined) return
  throw new MirrordError({
    code: 'READY_LOG_UNAVAILABLE',
    exit: 'usage',
    what: 'The output of a program in the foreground cannot be looked at (ci.ready.log, --ready-log).',
    why: 'It goes to the terminal only.',
    next: ['Set ci.output_dir, or use another probe.'],
  })
}

/** The program lives, but was not ready in time: exit 71. */
export function notReadyInTime(
  name: string,
  seconds: number,
  unmet: readonly Unmet[],
  outputDirectory: string | undefined,
): ErrorReport {
  return {
    code: 'PROGRAM_NOT_READY',
    exit: 'programNotReady',
    what: `The program "${name}" was not ready after ${seconds} s.`,
    why: `It runs. Waited for: ${unmet.map(({label, failure}) => (failure ? `${label} (${failure})` : label)).join('; ')}.`,
    next: [...new Set(unmet.flatMap(({hints}) => hints)), 'Give it more time with --ready-timeout SECONDS.'],
    detail: outputTail(outputDirectory),
  }
}
