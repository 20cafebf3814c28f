import {randomBytes} from 'node:crypto'
import {accessSync, chmodSync, constants, statSync} from 'node:fs'
import path from 'node:path'
import {MirrordError} from '../errors/mirrord-error.ts'
import {makeDirectories} from '../util/directories.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** execvp(3) of glibc searches these when PATH is unset. */
const DEFAULT_PATH = '/bin:/usr/bin'

/**
 * The absolute path of a program as execvp(3) would find it: a name with a slash as it is, any other on PATH.
 * Errors: MirrordError PROGRAM_NOT_FOUND, PROGRAM_NOT_EXECUTABLE (exit 72).
 */
export function findProgram(name: string, env: Environment, cwd: string): string {
  if (name === '') throw notFound(name, 'missing')
  if (name.includes('/')) {
    const file = path.resolve(cwd, name)
    const problem = whyNotExecutable(file)
    if (!problem) return file
    throw notFound(name, problem, file)
  }
  let denied: string | undefined
  for (const entry of (env.PATH ?? DEFAULT_PATH).split(':')) {
    const file = path.resolve(cwd, entry, name)
    const problem = whyNotExecutable(file)
    if (!problem) return file
    if (problem !== 'missing') denied ??= file
  }
  if (denied) throw notFound(name, whyNotExecutable(denied) ?? 'missing', denied)
  throw notFound(name, 'missing')
}

function whyNotExecutable(file: string): 'missing' | 'directory' | 'permission' | undefined {
  try {
    if (statSync(file).isDirectory()) return 'directory'
    accessSync(file, constants.X_OK)
    return undefined
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException
    return code === 'EACCES' || code === 'EPERM' ? 'permission' : 'missing'
  }
}

function notFound(name: string, problem: 'missing' | 'directory' | 'permission', file?: string): MirrordError {
  if (problem === 'missing')
    return new MirrordError({
      code: 'PROGRAM_NOT_FOUND',
      exit: 'programNotFound',
      what: `The program "${name}" was not found.`,
      why: file ? `There is no file ${file}.` : 'It is in no directory of PATH.',
      next: ['Check the spelling, give a path such as ./build/server, or build the program first.'],
    })
  return new MirrordError({
    code: 'PROGRAM_NOT_EXECUTABLE',
    exit: 'programNotFound',
    what: `The program "${name}" cannot be executed.`,
    why: problem === 'directory' ? `${file} is a directory.` : `${file} is not executable for this user.`,
    next: problem === 'directory' ? ['Name the program inside it.'] : [`Run: chmod +x ${file}`],
  })
}

/**
 * Makes the folder of a program's output files, `<base>/<program>-<unix seconds>-<7 characters>`. A `shared` base is one that
 * all users of the machine have in common, such as /tmp/mirrord.
 * Errors: MirrordError OUTPUT_DIRECTORY (exit 81).
 */
export function makeOutputDirectory(base: string, programName: string, shared = false): string {
  const unique = `${Math.floor(Date.now() / 1000)}-${randomBytes(8).readBigUInt64BE().toString(36).slice(-7).padStart(7, '0')}`
  const directory = path.join(base, `${path.basename(programName)}-${unique}`)
  try {
    // Like /tmp itself: every user of the machine may add folders, nobody may remove those of others.
    if (shared && makeDirectories(base)) chmodSync(base, 0o1777)
    makeDirectories(directory)
    return directory
  } catch (error) {
    throw new MirrordError(
      {
        code: 'OUTPUT_DIRECTORY',
        exit: 'permission',
        what: `The folder ${directory} for the program's output cannot be made.`,
        why: (error as Error).message,
        next: ['Set ci.output_dir in the configuration to a folder that this user can write to.'],
      },
      {cause: error},
    )
  }
}
