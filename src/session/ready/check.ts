import type {Config} from '../../config/index.ts'
import {MirrordError} from '../../errors/mirrord-error.ts'

/**
 * Refuses, before anything is started, a probe that can never succeed. `hasOutput`: the program's output goes to files.
 * Errors: MirrordError READY_LOG_UNAVAILABLE (exit 2).
 */
export function checkProbes({ci}: Config, hasOutput: boolean): void {
  if (ci.ready.log === undefined || hasOutput) return
  throw new MirrordError({
    code: 'READY_LOG_UNAVAILABLE',
    exit: 'usage',
    what: 'The output of a program in the foreground cannot be looked at (ci.ready.log, --ready-log).',
    why: 'It goes to the terminal only.',
    next: ['Set ci.output_dir, or use another probe.'],
  })
}
