import {constants} from 'node:os'

/** The status with which a shell shows this end of a program: its own, or 128 and the number of the signal. */
export function exitStatus({code, signal}: {code?: number; signal?: NodeJS.Signals}): number {
  if (!signal) return code ?? 1
  return 128 + (constants.signals[signal] ?? Number(signal.slice('SIG'.length)))
}
