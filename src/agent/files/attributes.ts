import {spawn, type ChildProcess} from 'node:child_process'
import {constants} from 'node:os'
import {createInterface} from 'node:readline'
import type {FsMetadataV2, Timespec} from '../../protocol/index.ts'
import {fromErrno} from '../os-error.ts'
import {RequestError} from './table.ts'

/** UTIME_NOW of utimensat(2), <linux/stat.h>: the time of the kernel's own clock. */
const UTIME_NOW = 0x3fff_ffff
const {EIO} = constants.errno

/**
 * What Node cannot ask the kernel for, asked by the agent's helper program: exact times (Node hands them over as a
 * double, which rounds to about 240 ns) and all of statfs(2). The helper reaches our descriptors through /proc; it is
 * started when first needed and serves until this process ends.
 */
export class Attributes {
  readonly #helper: string
  readonly #warn: (text: string) => void
  #process: ChildProcess | undefined
  /** Who waits for a line, in the order of the questions. */
  #waiting: {resolve: (line: string) => void; reject: (error: Error) => void}[] = []

  /** @param helper the `mirrord-trap` beside the agent. @param warn for the agent's log */
  constructor(helper: string, warn: (text: string) => void) {
    this.#helper = helper
    this.#warn = warn
  }

  /** Sets the access and modification time of an open file; without `times` both are now. @throws RequestError with the kernel's error, EIO without the helper */
  async setTimes(fd: number, times: readonly [Timespec, Timespec] | undefined): Promise<void> {
    const now = {tvSec: 0, tvNsec: UTIME_NOW}
    const [access, modification] = times ?? [now, now]
    const words = [access.tvSec, access.tvNsec, modification.tvSec, modification.tvNsec]
    await this.#ask(`utimens ${fd} ${words.join(' ')}`)
  }

  /** statfs(2) of an open file; also of an O_PATH descriptor. @throws as `setTimes` */
  async statFs(fd: number): Promise<FsMetadataV2> {
    const [type, size, blocks, free, available, files, filesFree, first, second, name, fragment, flags] =
      await this.#ask(`statfs ${fd}`)
    return {
      filesystemType: type!,
      blockSize: size!,
      blocks: blocks!,
      blocksFree: free!,
      blocksAvailable: available!,
      files: files!,
      filesFree: filesFree!,
      filesystemId: [Number(first), Number(second)],
      nameLen: name!,
      fragmentSize: fragment!,
      flags: flags!,
    }
  }

  /** The numbers behind the errno. */
  async #ask(question: string): Promise<bigint[]> {
    const line = await new Promise<string>((resolve, reject) => {
      this.#waiting.push({resolve, reject})
      this.#running().stdin!.write(`${question}\n`)
    })
    const [code, ...numbers] = line.split(' ').map(BigInt)
    if (code !== 0n) throw new RequestError({type: 'RemoteIO', value: fromErrno(Number(code))})
    return numbers
  }

  #running(): ChildProcess {
    if (this.#process) return this.#process
    const child = spawn(this.#helper, ['--attributes'], {stdio: ['pipe', 'pipe', 'inherit']})
    this.#process = child
    const lost = (cause: string) => {
      if (this.#process !== child) return
      this.#process = undefined
      this.#warn(`the agent's helper ${this.#helper} ${cause}`)
      const error = new RequestError({type: 'RemoteIO', value: fromErrno(EIO)})
      for (const {reject} of this.#waiting.splice(0)) reject(error)
    }
    child.on('error', (error) => lost(`cannot be run: ${error.message}`))
    child.on('close', (code, signal) => lost(`ended (${signal ?? `exit ${code}`})`))
    child.stdin.on('error', () => {}) // 'close' follows
    createInterface({input: child.stdout}).on('line', (line) => this.#waiting.shift()?.resolve(line))
    return child
  }
}
