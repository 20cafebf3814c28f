import {MirrordError} from '../errors/mirrord-error.ts'

/** What a file system that is full, or read-only, answers (open(2), write(2), quotactl(2)). */
const diskErrors = ['ENOSPC', 'EDQUOT', 'EROFS']

/** The session's state cannot be written. Errors of ours are passed on as they are. */
export function stateUnusable(directory: string, error: unknown): MirrordError {
  if (error instanceof MirrordError) return error
  return new MirrordError(
    {
      code: 'STATE_DIRECTORY',
      exit: 'permission',
      what: `The session's state cannot be written below ${directory}.`,
      why: (error as Error).message,
      next: ['Make room there, or set RUNNER_TEMP or TMPDIR to a folder that this user can write to.'],
    },
    {cause: error},
  )
}

/** The files of the program's output cannot be made. */
export function outputUnusable(directory: string, cause: unknown): MirrordError {
  return new MirrordError(
    {
      code: 'OUTPUT_FILES',
      exit: 'permission',
      what: `The files for the program's output cannot be opened in ${directory}.`,
      why: (cause as Error).message,
      next: ['Set ci.output_dir in the configuration to a folder that this user can write to.'],
    },
    {cause},
  )
}

/**
 * Tells a full or read-only disk from a defect of ours: the session itself writes only below its own `directory`, at many
 * places. A watch has the same error when the kernel's number of watches is used up (inotify_add_watch(2)).
 */
export function diskFailure(error: unknown, directory: string): unknown {
  const {code, syscall} = error as NodeJS.ErrnoException
  const disk = error instanceof Error && diskErrors.includes(code ?? '') && syscall !== 'watch'
  return disk ? stateUnusable(directory, error) : error
}
