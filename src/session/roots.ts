import {
  accessSync,
  constants,
  lstatSync,
  mkdirSync,
  readlinkSync,
  rmdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs'
import path from 'node:path'

type Environment = Readonly<Record<string, string | undefined>>

/** unix(7): sun_path has 108 bytes, the last one for the terminating zero. */
const SOCKET_PATH_MAX = 107
export const SOCKET_NAME = 'control.sock'
/** `/<job>/<session>/control.sock` with two names of 8 hex digits. */
const SOCKET_SUFFIX = 2 * 9 + 1 + SOCKET_NAME.length

/** How long a link is kept that leads nowhere: as long as the record of a session of another machine. */
const LINK_MS = 7 * 24 * 3600 * 1000

/** Where a command looks when its environment says nothing: links to the sessions that live elsewhere are here. */
export function commonRoot(uid: number): string {
  return `/tmp/mirrord-${uid}`
}

/** The folder where a start puts the sessions of this user, by the design's order of preference. */
export function stateRoot(env: Environment, uid: number): string {
  // A control socket below a deep folder could not be bound, so such a folder is passed over, and so is a read-only one.
  return candidates(env, uid).find((root) => fits(root) && usable(path.dirname(root))) ?? commonRoot(uid)
}

/** Every folder where a session of this user may be found: start and stop need not have the same TMPDIR. */
export function searchRoots(env: Environment, uid: number): string[] {
  return [...new Set([...candidates(env, uid).filter(fits), commonRoot(uid)])]
}

function candidates(env: Environment, uid: number): string[] {
  return [env.RUNNER_TEMP, env.XDG_RUNTIME_DIR, env.TMPDIR, '/tmp']
    .filter((value) => value !== undefined && value.startsWith('/'))
    .map((base) => path.join(base as string, `mirrord-${uid}`))
}

const fits = (root: string) => Buffer.byteLength(root) + SOCKET_SUFFIX <= SOCKET_PATH_MAX

function usable(base: string): boolean {
  try {
    accessSync(base, constants.W_OK | constants.X_OK)
    return statSync(base).isDirectory()
  } catch {
    return false
  }
}

/**
 * Links a session's directory from the common root, so that a command with another RUNNER_TEMP or TMPDIR finds it. Where
 * /tmp cannot be written the session is found by its own root only, as before.
 */
export function link(directory: string, uid: number): void {
  const at = linkOf(directory, uid)
  if (at === undefined) return
  try {
    // Retried: another command may prune the empty folder between the two steps.
    for (let attempt = 0; attempt < 3; attempt++) {
      mkdirSync(path.dirname(at), {recursive: true, mode: 0o700})
      if (!own(path.dirname(path.dirname(at))) || !own(path.dirname(at))) return
      try {
        return symlinkSync(directory, at)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
    }
  } catch {
    return
  }
}

/** Removes the link to a session's directory, and what is empty then. */
export function unlink(directory: string, uid: number): void {
  const at = linkOf(directory, uid)
  if (at === undefined) return
  try {
    if (readlinkSync(at) !== directory) return
    unlinkSync(at)
    rmdirSync(path.dirname(at))
    rmdirSync(path.dirname(path.dirname(at)))
  } catch {
    return // there is none, or others are there
  }
}

/**
 * The session's directory behind an entry of a job's folder; undefined for a link that leads nowhere. Such a link is removed
 * only when it is old: the session may run in another container that shares /tmp, but not what the link leads to.
 */
export function followed(entry: string): string | undefined {
  try {
    const stat = lstatSync(entry)
    if (!stat.isSymbolicLink()) return entry
    const directory = readlinkSync(entry)
    if (own(directory)) return directory
    if (Date.now() - stat.mtimeMs > LINK_MS) unlinkSync(entry)
  } catch {
    return undefined // another command has removed it
  }
  return undefined
}

/** Where the link to `<root>/<job>/<id>` is; undefined for a directory of the common root itself. */
function linkOf(directory: string, uid: number): string | undefined {
  const job = path.dirname(directory)
  const at = path.join(commonRoot(uid), path.basename(job), path.basename(directory))
  return at === directory ? undefined : at
}

/** A directory (not a link to one) of this user: what somebody else's /tmp entry claims must not steer us. */
export function own(directory: string): boolean {
  const stat = lstatSync(directory, {throwIfNoEntry: false})
  return stat !== undefined && stat.isDirectory() && stat.uid === process.getuid?.()
}
