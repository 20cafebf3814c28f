import fs from 'node:fs'
import {setImmediate as nextTurn} from 'node:timers/promises'
import type {Int64} from '../../protocol/index.ts'
import type {pathClasses} from '../../trap/types.ts'
import {childOf} from './metadata.ts'
import type {Mirror} from './mirror.ts'
import type {Requests} from './requests.ts'

/** How the program's paths are judged. */
export type PathClass = keyof typeof pathClasses

/** A name and what kind of entry shows it. */
export interface Entry {
  name: string
  type: 'directory' | 'link' | 'file'
  /** It is of this machine, not of the target. */
  local?: boolean
}

/** Entries in one answer, as upstream's client asks for. */
const BATCH = 128
/** Questions about one directory that are on their way at the same time. */
const WINDOW = 4
/** More new entries than this share an inode until they are looked at. */
const MANY = 1000
/** How long in ms a listing keeps others waiting at a time. */
const TURN_MS = 10
/** DT_* of <dirent.h>. */
const DT_DIR = 4
const DT_LNK = 10

/** All entries of a remote directory that is open as `fd`. @throws FileFailure */
export async function readDirectory(requests: Requests, fd: Int64, path: string): Promise<Entry[]> {
  const what = `list ${path}`
  const stream = await requests.send({type: 'FdOpenDir', value: {remoteFd: fd}}, what, ({fd}) =>
    requests.closeDirectory(fd),
  )
  const entries = new Map<string, Entry>()
  const add = ({name, fileType}: {name: string; fileType: number}) => {
    // A name that would lead elsewhere on our own disk is no name.
    if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) return
    entries.set(name, {name, type: fileType === DT_DIR ? 'directory' : fileType === DT_LNK ? 'link' : 'file'})
  }
  const batched = requests.supports('readDirBatch')
  const next = async (): Promise<boolean> => {
    if (batched) {
      const value = {remoteFd: stream.fd, amount: BATCH}
      const {dirEntries} = await requests.send({type: 'ReadDirBatch', value}, what)
      dirEntries.forEach(add)
      return dirEntries.length > 0
    }
    const {direntry} = await requests.send({type: 'ReadDir', value: {remoteFd: stream.fd}}, what)
    if (direntry) add(direntry)
    return direntry !== undefined
  }
  try {
    // Several questions at once: those behind the end are answered with nothing.
    const window = batched ? WINDOW : BATCH
    for (let more = true; more;) {
      const answers = await Promise.allSettled(Array.from({length: window}, next))
      for (const answer of answers) if (answer.status === 'rejected') throw answer.reason
      more = answers.every((answer) => answer.status === 'fulfilled' && answer.value)
    }
  } finally {
    requests.closeDirectory(stream.fd)
  }
  return [...entries.values()]
}

/**
 * What the program may open in a directory: the target's entries that are judged remote, and this machine's that are judged
 * local.
 */
export function visibleEntries(
  directory: string,
  remote: readonly Entry[],
  classify: (path: string) => PathClass,
): Entry[] {
  const shown = new Map<string, Entry>()
  for (const entry of remote) {
    const verdict = classify(childOf(directory, entry.name))
    if (verdict !== 'local' && verdict !== 'notFound') shown.set(entry.name, entry)
  }
  for (const entry of localEntries(directory))
    if (!shown.has(entry.name) && classify(childOf(directory, entry.name)) === 'local')
      shown.set(entry.name, {...entry, local: true})
  return [...shown.values()]
}

/**
 * Makes the mirror's directory show these entries. Copies that are there stay. A large directory is done in parts, so that
 * others get their turn. @throws errors of the local disk
 */
export async function showEntries(
  mirror: Mirror,
  directory: string,
  entries: readonly Entry[],
  classify: (path: string) => PathClass,
): Promise<void> {
  let turn = performance.now() + TURN_MS
  const pause = async () => {
    await nextTurn()
    turn = performance.now() + TURN_MS
  }
  const missing = new Map(entries.map((entry) => [entry.name, entry]))
  const shown = new Map(missing)
  for (const there of mirror.names(directory)) {
    if (performance.now() > turn) await pause()
    const path = childOf(directory, there.name)
    const entry = shown.get(there.name)
    if (entry && fits(there, entry)) missing.delete(there.name)
    else if (mirror.isBusy(path)) missing.delete(there.name)
    // A directory on the way to something remote, whose own name is not: nothing says that it has vanished.
    else if (!entry && there.isDirectory() && classify(path) === 'local') continue
    else mirror.remove(path)
  }
  for (const entry of missing.values()) {
    if (performance.now() > turn) await pause()
    mirror.standIn(childOf(directory, entry.name), entry.type, missing.size <= MANY)
  }
}

/** A link in the target may be here what it leads to. */
function fits(there: fs.Dirent, entry: Entry): boolean {
  if (entry.type === 'link') return true
  if (entry.type === 'directory') return there.isDirectory()
  return there.isFile()
}

function localEntries(directory: string): Entry[] {
  try {
    return fs.readdirSync(directory, {withFileTypes: true}).map((entry) => ({
      name: entry.name,
      type: entry.isDirectory() ? 'directory' : entry.isSymbolicLink() ? 'link' : 'file',
    }))
  } catch {
    return [] // There is no such directory here, or not for us.
  }
}
