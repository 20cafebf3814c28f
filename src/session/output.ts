import {spawn, type ChildProcess} from 'node:child_process'
import {closeSync, constants, openSync} from 'node:fs'
import type {Duplex} from 'node:stream'
import {within} from '../util/time.ts'
import {outputUnusable} from './disk.ts'
import type {Log} from './log.ts'
import {outputFile, outputStreams, type OutputStream} from './output-files.ts'

/** Exit code of `mirrord-trap --copy` (native/trap/copy.c): the file lacks something. */
const COPY_LOST = 4
/** For a reader that is about to take what is left. */
const HURRY_MS = 1000
/** The descriptor over which a copier is told to begin, and that its program is gone. */
const LIFE_LINE = 3

/** Where a program's output goes. */
export interface OutputOptions {
  /** Absent: to this process's own streams only. */
  directory?: string
  /** Also to this process's own streams. */
  tee: boolean
  /** Size in bytes at which a file is rotated. */
  max?: number
  trapPath: string
  log: Log
  /** A copier ended before its program, and nobody ended it: the program will meet SIGPIPE. */
  broken(reason: string): void
}

/** The descriptors 1 and 2 of a program, and what becomes of what it writes. */
export interface Output {
  stdout: number
  stderr: number
  /** Closes our copies of the descriptors: the program has its own. */
  release(): void
  /**
   * The program's tree is gone: resolves when all that it had written is where it belongs. A reader may take as long as
   * it likes, until `hurry`: what it has not taken a second after that is left to the files.
   */
  finish(hurry?: AbortSignal): Promise<void>
}

/**
 * Opens the output of a program. Files are written by the program itself, appending, so that a reader sees each write at
 * once. Where a stream goes to two places, or its file has a limit, a process of its own copies it through a pipe: a slow
 * reader holds up that stream, a reader that goes away ends it with SIGPIPE, as without us.
 * Errors: MirrordError OUTPUT_FILES (exit 81).
 */
export async function openOutput(options: OutputOptions): Promise<Output> {
  const {directory, tee, max} = options
  if (directory === undefined) return {stdout: 1, stderr: 2, release: () => {}, finish: async () => {}}
  if (!tee && max === undefined) return filesOnly(directory)
  const copiers: Copier[] = []
  try {
    for (const name of outputStreams) copiers.push(await Copier.start(name, directory, options))
  } catch (error) {
    for (const copier of copiers) {
      copier.release()
      void copier.finish(AbortSignal.abort())
    }
    throw outputUnusable(directory, error)
  }
  return {
    stdout: copiers[0]!.fd,
    stderr: copiers[1]!.fd,
    release: () => copiers.forEach((copier) => copier.release()),
    finish: async (hurry) => void (await Promise.all(copiers.map((copier) => copier.finish(hurry)))),
  }
}

function filesOnly(directory: string): Output {
  const open: number[] = []
  const release = () => open.splice(0).forEach((fd) => closeSync(fd))
  try {
    for (const name of outputStreams) open.push(openSync(outputFile(directory, name), 'a', 0o644))
  } catch (error) {
    release()
    throw outputUnusable(directory, error)
  }
  return {stdout: open[0]!, stderr: open[1]!, release, finish: async () => {}}
}

/** The process that copies one stream. */
class Copier {
  /** The writing end of its pipe. */
  readonly fd: number
  readonly #child: ChildProcess
  readonly #ended: Promise<void>
  #finishing = false
  #released = false

  private constructor(child: ChildProcess, fd: number, name: string, {log, broken}: OutputOptions) {
    this.#child = child
    this.fd = fd
    this.#ended = new Promise((resolve) =>
      child.once('exit', (code, signal) => {
        if (code === COPY_LOST) log(`output: not all of ${name} could be written to its file`)
        else if (code !== 0 && !this.#finishing) broken(`the copier of ${name} ended (${signal ?? code})`)
        resolve()
      }),
    )
  }

  static async start(name: OutputStream, directory: string, options: OutputOptions): Promise<Copier> {
    const file = outputFile(directory, name)
    const child = spawn(options.trapPath, ['--copy', file, String(options.max ?? 0)], {
      argv0: 'mirrord-trap',
      // Not of the terminal's group: what ends or stops that must not keep the program's last words.
      detached: true,
      stdio: ['ignore', options.tee ? (name === 'stdout' ? 1 : 2) : 'ignore', 'ignore', 'pipe'],
    })
    const life = child.stdio[LIFE_LINE] as Duplex
    life.on('error', () => {}) // its end is told by `exit`
    const number = await new Promise<string>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', () => reject(new Error(`${file} cannot be opened, or there are no more pipes`)))
      life.once('data', (data: Buffer) => resolve(data.toString().trim()))
    })
    // Of this process: the writing end as an open file of its own, which is not shared with anybody but the program.
    const copier = new Copier(child, openSync(`/proc/${child.pid}/fd/${number}`, constants.O_WRONLY), name, options)
    life.write('\n')
    return copier
  }

  release(): void {
    if (!this.#released) closeSync(this.fd)
    this.#released = true
  }

  async finish(hurry?: AbortSignal): Promise<void> {
    this.#finishing = true
    const lifeLine = this.#child.stdio[LIFE_LINE] as Duplex
    lifeLine.destroy()
    const impatient = async () => {
      await within(HURRY_MS, this.#ended)
      this.#child.kill('SIGKILL')
    }
    if (hurry?.aborted) void impatient()
    else hurry?.addEventListener('abort', () => void impatient(), {once: true})
    return this.#ended
  }
}
