import {watch} from 'node:fs'
import {MirrordError} from '../errors/mirrord-error.ts'
import {deferred} from '../util/time.ts'
import type {FoundSession} from './lookup.ts'
import {outputFile, rotatedName, type OutputStream} from './output-files.ts'
import {OutputReader} from './output-reader.ts'
import {watchSession} from './watch.ts'

/** Whole lines of a program's output. */
export interface OutputLines {
  /** The session's name. */
  name: string
  stream: OutputStream
  /** One or more lines, each with its line break, the bytes as the program wrote them. */
  lines: Buffer
  /** When they were seen; absent for what was there before the following began. */
  arrived?: Date
}

/** What of the output is shown. */
export interface LogOptions {
  streams: readonly OutputStream[]
  /** Only the last lines of each stream. */
  tail?: number
  /** Goes on until the session has ended. */
  follow: boolean
}

/**
 * Hands on the output of a session, stream by stream, and with `follow` what is written from then on, until the session has
 * ended. `show` may take its time: nothing is read meanwhile. Errors: MirrordError OUTPUT_NOT_KEPT (exit 2), CANNOT_WATCH (81).
 */
export async function showOutput(
  session: FoundSession,
  {streams, tail, follow}: LogOptions,
  show: (lines: OutputLines) => Promise<void>,
): Promise<void> {
  const {name, outputDirectory} = session.record
  if (outputDirectory === undefined) throw notKept(name)
  const readers = streams.map((stream) => {
    const file = outputFile(outputDirectory, stream)
    return {stream, reader: new OutputReader(file, rotatedName(file))}
  })
  const changes = new Changes()
  // Before the first read, so that nothing falls between.
  const watcher = follow ? watchDirectory(outputDirectory, changes) : undefined
  let ended = !follow
  const leave = new AbortController()
  if (follow)
    void watchSession(session, () => {}, leave.signal).then(() => {
      ended = true
      changes.tell()
    })
  try {
    if (tail !== undefined) for (const {reader} of readers) await reader.tail(tail)
    for (let first = true; ; first = false) {
      // All that a session's program wrote is there when the session has ended.
      const last = ended
      const change = changes.next()
      for (const {stream, reader} of readers) {
        for await (const lines of reader.read())
          await show({name, stream, lines, arrived: first ? undefined : new Date()})
      }
      if (last) break
      await change
    }
    for (const {stream, reader} of readers) {
      const lines = reader.rest()
      if (lines) await show({name, stream, lines, arrived: follow ? new Date() : undefined})
    }
  } finally {
    leave.abort()
    watcher?.close()
    for (const {reader} of readers) await reader.close()
  }
}

/** Events that are not lost while somebody is busy. */
class Changes {
  #next = deferred<void>()

  /** Resolves with the first event after this call. */
  next(): Promise<void> {
    this.#next = deferred<void>()
    return this.#next.promise
  }

  tell(): void {
    this.#next.resolve()
  }
}

function watchDirectory(directory: string, changes: Changes): {close(): void} {
  try {
    const watcher = watch(directory, () => changes.tell())
    // A folder that is removed meanwhile has no more to show; the end of the session ends the following.
    watcher.on('error', () => {})
    return watcher
  } catch (error) {
    throw new MirrordError(
      {
        code: 'CANNOT_WATCH',
        exit: 'permission',
        what: `The folder ${directory} cannot be followed.`,
        why: (error as Error).message,
        next: [
          'Without --follow its files are shown as they are now.',
          'ENOSPC and EMFILE mean a limit of inotify: sysctl fs.inotify.max_user_watches, fs.inotify.max_user_instances.',
        ],
      },
      {cause: error},
    )
  }
}

function notKept(name: string): MirrordError {
  return new MirrordError({
    code: 'OUTPUT_NOT_KEPT',
    exit: 'usage',
    what: `The output of session ${name} is in no files.`,
    why: 'It was started with --foreground and without ci.output_dir, so its output goes only where it was started.',
    next: ['Look there, or set ci.output_dir in the configuration.'],
  })
}
