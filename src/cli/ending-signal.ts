import {MirrordError} from '../errors/mirrord-error.ts'

/** Signals with which programs are asked, or made, to end. Others stop, continue or report, and would be a mistake. */
const endings = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGABRT', 'SIGKILL'] as const

/**
 * The signal that a user names, in any case and with or without SIG. Numbers differ between architectures and are refused.
 * Errors: MirrordError SIGNAL_UNKNOWN (exit 2).
 */
export function endingSignal(text: string): NodeJS.Signals {
  const name = text.toUpperCase()
  const found = endings.find((signal) => signal === name || signal === `SIG${name}`)
  if (found) return found
  throw new MirrordError({
    code: 'SIGNAL_UNKNOWN',
    exit: 'usage',
    what: `"${text}" is no signal that ends a program.`,
    why: /^\d+$/.test(text) ? 'Signals are given by name: their numbers differ between machines.' : undefined,
    next: [`Give one of ${endings.join(', ')}.`],
  })
}
