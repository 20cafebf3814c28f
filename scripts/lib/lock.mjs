// One set-up or build at a time in this tree: `npm run demo` and `npm test` may be started together.
import {closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {setTimeout as delay} from 'node:timers/promises'
import {root, ScriptError} from './run.mjs'

/** Field 22 of /proc/<pid>/stat tells a living process from a later one with the same number. */
function startTime(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

function take(file) {
  try {
    const fd = openSync(file, 'wx')
    writeSync(fd, `${process.pid} ${startTime(process.pid) ?? ''}`)
    closeSync(fd)
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    return false
  }
}

/** The holder of the lock while it lives; a lock of a process that is gone is removed. */
function holder(file) {
  let text
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
  const [pid, started] = text.split(' ')
  // Between creating and writing the file it is empty: whoever does that lives.
  if (!pid) return 'starting'
  if (startTime(pid) === started) return pid
  rmSync(file, {force: true})
  return undefined
}

/** Runs `work` while holding the tree's lock. */
export async function withLock(work, {timeout = 15 * 60_000} = {}) {
  const file = join(root, '.setup-stamp/lock')
  mkdirSync(dirname(file), {recursive: true})
  const deadline = Date.now() + timeout
  let said = false
  while (!take(file)) {
    const pid = holder(file)
    if (!pid) continue
    if (Date.now() > deadline) throw new ScriptError(`Another set-up (process ${pid}) holds ${file} for too long.`)
    if (!said) console.error(`setup: waiting for another set-up (process ${pid})`)
    said = true
    await delay(200)
  }
  const release = () => rmSync(file, {force: true})
  process.once('exit', release)
  try {
    return await work()
  } finally {
    process.off('exit', release)
    release()
  }
}
