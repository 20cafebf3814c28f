import {MirrordError} from '../errors/mirrord-error.ts'

/** IDEs set this variable to `true` for the form with namespaces. */
export const RICH_VARIABLE = 'MIRRORD_LS_RICH_OUTPUT'

/** Whether the rich form of `mirrord ls` is asked for. Errors: MirrordError RICH_OUTPUT_INVALID (exit configInvalid). */
export function richOutput(env: Readonly<Record<string, string | undefined>>): boolean {
  const text = env[RICH_VARIABLE] ?? 'false'
  if (text === 'true' || text === 'false') return text === 'true'
  throw new MirrordError({
    code: 'RICH_OUTPUT_INVALID',
    exit: 'configInvalid',
    what: `The variable ${RICH_VARIABLE} must be true or false.`,
    next: ['Correct it, or unset it.'],
  })
}
