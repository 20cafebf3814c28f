import {constants, type Stats} from 'node:fs'
import {lstat, open, opendir, readdir, rmdir, unlink} from 'node:fs/promises'
import path from 'node:path'
import {HTML_NAME, JSON_NAME, MARKDOWN_NAME, PARTS} from '../report/files.ts'
import {outputFileNames, rotatedName} from './output-files.ts'
import {REPORT_NAME} from './state.ts'

/** How long a folder is kept after the last word in it. */
const KEPT_MS = 7 * 24 * 3600 * 1000
/** What one start removes at most; the next one goes on. */
const MOST = 1000
/** A process that is killed while it replaces a file leaves the new one under such a name. */
const UNFINISHED = /\.[\da-f]{8}$/

/** What a folder of ours may hold. */
interface Kind {
  /** Its name, and in it the unix seconds of its making, where the name says them. */
  name: RegExp
  /** Whether a file of that name is one of ours. */
  file: (name: string) => boolean
  /** Always there: a file, or a directory of such files. It goes last, so that what is left half removed is found again. */
  mark: string | {directory: string; file: RegExp}
}
const replaced = (name: string) => name.replace(UNFINISHED, '')

/** What `makeOutputDirectory` makes: program, unix seconds, 7 characters. */
const outputFiles: ReadonlySet<string> = new Set(outputFileNames.flatMap((name) => [name, rotatedName(name)]))
const output: Kind = {
  name: /^.+-(\d{9,11})-[\da-z]{7}$/,
  file: (name) => outputFiles.has(name) || replaced(name) === REPORT_NAME,
  mark: 'mirrord.log',
}
/** What `publishReports` makes, for each job. */
const reportFiles: ReadonlySet<string> = new Set([JSON_NAME, MARKDOWN_NAME, HTML_NAME])
const report: Kind = {
  name: /^report-[\w-]+$/,
  file: (name) => reportFiles.has(replaced(name)),
  mark: {directory: PARTS, file: /^[\da-z]+\.json(\.[\da-f]{8})?$/},
}

/**
 * Removes, from a folder that may be every user's, at most `most` folders that are provably this user's and ours: named by
 * us, with the mark of their kind, with nothing in it but plain files of our names, none of them younger than seven days.
 * Links are not followed, neither as the folder nor in it. `inUse` gives the names of those that are never removed; it is
 * called only when there are candidates. Errors: those of reading `base`.
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
    const kind = [output, report].find((kind) => kind.name.test(name))
    // By its name alone nearly every folder is passed over; a name that says nothing is not ours.
    if (!kind || now - Number(kind.name.exec(name)?.[1] ?? 0) * 1000 <= KEPT_MS) continue
    const folder = path.join(base, name)
    const unused = async () => !(used ??= await inUse()).has(name)
    try {
      if (!(await removeFolder(folder, kind, now, unused))) continue
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
async function removeFolder(folder: string, kind: Kind, now: number, unused: () => Promise<boolean>): Promise<boolean> {
  const {mark} = kind
  const marked = typeof mark === 'string' ? mark : mark.directory
  const handle = await openFolder(folder)
  try {
    const inside = pathOf(handle)
    const names = await readdir(inside)
    // What is not ours (files that could not be saved to the target, or the user's own) may exist nowhere else.
    if (!names.includes(marked) || !mine(await handle.stat())) return false
    const files = names.filter((name) => name !== marked)
    if (!files.every((name) => kind.file(name)) || !(await allOld(inside, files, now))) return false
    const removeFiles = async () => {
      for (const name of files) await unlink(path.join(inside, name))
    }
    if (typeof mark === 'string') {
      if (!(await allOld(inside, [mark], now)) || !(await unused())) return false
      await removeFiles()
      await unlink(path.join(inside, mark))
    } else {
      const below = await openFolder(path.join(inside, mark.directory))
      try {
        const parts = await readdir(pathOf(below))
        if (!mine(await below.stat()) || !parts.every((name) => mark.file.test(name))) return false
        if (!(await allOld(pathOf(below), parts, now)) || !(await unused())) return false
        await removeFiles()
        for (const name of parts) await unlink(path.join(pathOf(below), name))
      } finally {
        await below.close()
      }
      await rmdir(path.join(inside, mark.directory))
    }
  } finally {
    await handle.close()
  }
  await rmdir(folder)
  return true
}

const openFolder = (folder: string) => open(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
/** By its descriptor: the owner of the folder above may put something else in its place meanwhile (proc(5)). */
const pathOf = ({fd}: {fd: number}) => `/proc/self/fd/${fd}`
const mine = ({uid}: Stats) => uid === process.getuid?.()

/** Whether these are plain files of this user and of long ago. */
async function allOld(folder: string, names: readonly string[], now: number): Promise<boolean> {
  for (const name of names) {
    const file = await lstat(path.join(folder, name))
    if (!file.isFile() || !mine(file) || now - file.mtimeMs <= KEPT_MS) return false
  }
  return true
}
