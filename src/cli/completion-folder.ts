import {accessSync, constants, mkdirSync} from 'node:fs'
import path from 'node:path'
import {MirrordError} from '../errors/mirrord-error.ts'

/** What bin/user.js gives as the home of a user who has none. */
const NO_HOME = '/dev/null'

/**
 * Makes the folder into which oclif's plugin writes the files for completion; the shell sources them later, from anywhere.
 * Errors: MirrordError COMPLETION_FOLDER (exit 81) where that is not possible, or the path is not absolute.
 */
export function makeCompletionFolder(cacheDir: string): void {
  const problem = path.isAbsolute(cacheDir) ? whyUnusable(path.join(cacheDir, 'autocomplete')) : 'The path is relative.'
  if (problem === undefined) return
  throw new MirrordError({
    code: 'COMPLETION_FOLDER',
    exit: 'permission',
    what: 'The files for completion cannot be written.',
    why: cacheDir.startsWith(`${NO_HOME}/`)
      ? 'HOME is not set, and this user has no home directory in /etc/passwd.'
      : `They belong into ${path.join(cacheDir, 'autocomplete')}. ${problem}`,
    next: ['Set HOME, or XDG_CACHE_HOME, to the absolute path of a folder that this user can write to.'],
  })
}

function whyUnusable(folder: string): string | undefined {
  try {
    mkdirSync(folder, {recursive: true})
    accessSync(folder, constants.W_OK | constants.X_OK)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}
