import {constants, type Stats} from 'node:fs'
import {lstat, open, opendir, readdir, rmdir, unlink} from 'node:fs/promises'
import path from 'node:path'
import {knownRecord} from './known-record.ts'
import {isRunning} from './liveness.ts'
import type {Log} from './log.ts'
import {outputFileNames, rotatedName} from './output-files.ts'
import {jobsIn} from './reap.ts'
import {searchRoots} from './roots.ts'
import type {SessionSpec} from './spec.ts'
import {REPORT_NAME, SessionStore} from './state.ts'

/** How long an output folder is kept after the last word in it. */
const KEPT_MS = 7 * 24 * 3600 * 1000
/** What one start removes at most; the next one goes on. */
const MOST = 1000
/** What `makeOutputDirectory` makes: program, unix seconds, 7 characters. */
const FOLDER = /^.+-(\d{9,11})-[\da-z]{7}$/
const MARK = 'mirrord.log'
const known: ReadonlySet<string> = new Set([
  ...outputFileNames.flatMap((name) => [name, rotatedName(name)]),
  REPORT_NAME,
])
/** A session that is killed while it writes its report leaves this. */
const UNFINISHED_REPORT = /^report\.json\.[\da-f]{8}$/

/**
 * Removes the output folders of earlier sessions below our own default folder, when this session's is there too: never where
 * the user chose the place (`ci.output_dir`). Says in the log how many, and never throws.
 */
export async function removeOldOutput(
  {config, outputDirectory, environment}: Pick<SessionSpec, 'config' | 'outputDirectory' | 'environment'>,
  log: Log,
): Promise<void> {
  if (config.ci.output_dir !== undefined || outputDirectory === undefined) return
  try {
    const {removed, problems} = await removeOldFolders(path.dirname(outputDirectory), Date.now(), () =>
      foldersInUse(environment),
    )
    if (removed > 0) log(`output: old folders removed: ${removed}`)
    if (problems.length > 0) log(`output: old folders that could not be removed: ${problems.length} (${problems[0]})`)
  } catch (error) {
    log(`output: old folders could not be looked for: ${(error as Error).message}`)
  }
}

/**
 * Removes, from a folder that may be every user's, at most `most` folders that are provably this user's and ours: named by
 * us, with a mirrord.log, with nothing in it but plain files of our names, none of them younger than seven days. Links are
 * not followed, neither as the folder nor in it. `inUse` gives the names of those that are never removed; it is called only
 * when there are candidates. Errors: those of reading `base`.
 */
export async function removeOldFolders(
  base: string,
  now: number,
  inUse: () => Promise<ReadonlySet<string>>,
  most = MOST,
): Promise<{removed: number; problems: string[]}> {
  const problems: string[] = []
  let removed = 0
  let used: ReadonlySet<string> | undefined
  // Somebody else's link would lead us to where the user chose the place.
  if (!(await lstat(base)).isDirectory()) return {removed, problems}
  for await (const {name} of await opendir(base)) {
    const seconds = Number(FOLDER.exec(name)?.[1])
    // By its name alone nearly every folder is passed over; a name that says nothing is not ours.
    if (!(now - seconds * 1000 > KEPT_MS)) continue
    const folder = path.join(base, name)
    const unused = async () => !(used ??= await inUse()).has(name)
    try {
      if (!(await removeFolder(folder, now, unused))) continue
      if (++removed === most) break
    } catch (error) {
      const {code, message} = error as NodeJS.ErrnoException
      // ENOENT: another session has removed it. ELOOP, ENOTDIR: a link, or a file.
      if (code !== 'ENOENT' && code !== 'ELOOP' && code !== 'ENOTDIR') problems.push(message)
    }
  }
  return {removed, problems}
}

/** Removes one folder, if it may be; false when it may not. Errors: those of the file system. */
async function removeFolder(folder: string, now: number, unused: () => Promise<boolean>): Promise<boolean> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    // By its descriptor: the owner of the folder above may put something else in its place meanwhile (proc(5)).
    const inside = `/proc/self/fd/${handle.fd}`
    const names = await readdir(inside)
    if (!mine(await handle.stat()) || !(await allOld(inside, names, now)) || !(await unused())) return false
    // The mark goes last: what is left half removed is found again.
    for (const name of names.filter((name) => name !== MARK)) await unlink(path.join(inside, name))
    await unlink(path.join(inside, MARK))
  } finally {
    await handle.close()
  }
  await rmdir(folder)
  return true
}

const mine = ({uid}: Stats) => uid === process.getuid?.()

/** Whether a folder has a mirrord.log, and nothing but our files of long ago. */
async function allOld(folder: string, names: readonly string[], now: number): Promise<boolean> {
  // What is not ours (files that could not be saved to the target, or the user's own) may exist nowhere else.
  if (!names.includes(MARK) || !names.every((name) => known.has(name) || UNFINISHED_REPORT.test(name))) return false
  for (const name of names) {
    const file = await lstat(path.join(folder, name))
    if (!file.isFile() || !mine(file) || now - file.mtimeMs <= KEPT_MS) return false
  }
  return true
}

/** The names of the output folders of this user's sessions that run, of whichever job. */
async function foldersInUse(env: Readonly<Record<string, string | undefined>>): Promise<ReadonlySet<string>> {
  const names = new Set<string>()
  for (const root of searchRoots(env, process.getuid?.() ?? 0))
    for (const job of jobsIn(root))
      for (const directory of new SessionStore(root, job).list()) {
        const record = await knownRecord(directory)
        // By name, which is unique: the folder above it may be reached by several paths.
        if (record?.outputDirectory !== undefined && (await isRunning(directory, record)))
          names.add(path.basename(record.outputDirectory))
      }
  return names
}
