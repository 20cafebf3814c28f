import {closeSync, fstatSync, openSync, readSync, statSync, watch, type FSWatcher} from 'node:fs'
import {StringDecoder} from 'node:string_decoder'
import {outputFile, outputStreams} from './output-files.ts'

const CHUNK = 64 * 1024
/** A longer line is taken in pieces: output without line breaks must not fill the memory. */
const LONGEST_LINE = 256 * 1024
/** A line without its end counts when nothing follows for this long: a prompt, for example. */
const UNFINISHED_MS = 200
/** How often to look where the kernel has no watch left to give (inotify(7), max_user_watches). */
const LOOK_MS = 250

/**
 * Calls `line` for every line of the files `stdout` and `stderr` of a directory, from their first byte, as they are written.
 * Truncated and replaced files are read anew. An unfinished last line may be told twice: as it is, and when it is complete.
 */
export function followOutput(directory: string, line: (text: string) => void): {close(): void} {
  const files = outputStreams.map((name) => new FollowedFile(outputFile(directory, name), line))
  let closed = false
  const look = () => {
    if (closed) return
    // A piece at a time: a program that writes without end must not keep this process from its other work.
    const more = files.map((file) => file.read())
    if (more.includes(true)) setImmediate(look)
  }
  let watcher: FSWatcher | undefined
  let timer: NodeJS.Timeout | undefined
  try {
    watcher = watch(directory, look)
    watcher.on('error', () => {
      timer ??= setInterval(look, LOOK_MS)
    })
  } catch {
    timer = setInterval(look, LOOK_MS)
  }
  setImmediate(look) // after the watch began, so that nothing is missed between the two
  return {
    close() {
      closed = true
      watcher?.close()
      clearInterval(timer)
      for (const file of files) file.close()
    },
  }
}

class FollowedFile {
  readonly #file: string
  readonly #line: (text: string) => void
  readonly #buffer = Buffer.alloc(CHUNK)
  #fd?: number
  #inode?: number
  #offset = 0
  #decoder = new StringDecoder('utf8')
  #pending = ''
  #unfinished?: NodeJS.Timeout
  #closed = false

  constructor(file: string, line: (text: string) => void) {
    this.#file = file
    this.#line = line
  }

  /** Reads what is new, at most one piece; true when there may be more. */
  read(): boolean {
    if (this.#fd !== undefined && this.#piece(this.#fd)) return true
    const now = statSync(this.#file, {throwIfNoEntry: false})
    if (this.#closed || !now || now.ino === this.#inode) return false
    this.#release()
    try {
      this.#fd = openSync(this.#file, 'r')
    } catch {
      return false // renamed again; that is an event of its own
    }
    this.#inode = fstatSync(this.#fd).ino
    return true
  }

  #piece(fd: number): boolean {
    if (fstatSync(fd).size < this.#offset) this.#offset = 0
    const length = readSync(fd, this.#buffer, 0, CHUNK, this.#offset)
    this.#offset += length
    if (length > 0) this.#take(this.#decoder.write(this.#buffer.subarray(0, length)))
    return length > 0 && !this.#closed
  }

  #take(text: string): void {
    clearTimeout(this.#unfinished)
    const lines = (this.#pending + text).split('\n')
    this.#pending = lines.pop() ?? ''
    if (this.#pending.length > LONGEST_LINE) {
      lines.push(this.#pending)
      this.#pending = ''
    }
    for (const line of lines) {
      if (this.#closed) return
      this.#line(line.replace(/\r$/, ''))
    }
    if (this.#pending === '' || this.#closed) return
    this.#unfinished = setTimeout(() => this.#line(this.#pending), UNFINISHED_MS)
  }

  #release(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
    this.#inode = undefined
    this.#offset = 0
    this.#decoder = new StringDecoder('utf8')
    this.#pending = ''
    clearTimeout(this.#unfinished)
  }

  close(): void {
    this.#closed = true
    this.#release()
  }
}
