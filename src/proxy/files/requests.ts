import {
  UnsupportedRequestError,
  type AnsweredFileRequest,
  type ClientSession,
  type FileReply,
  type Int64,
  type OpenOptions,
} from '../../protocol/index.ts'
import {ByteBudget} from './byte-budget.ts'
import {failure, remoteFailure, toFailure} from './failure.ts'

/** The part of the agent's session that files need. */
export type FileAgent = Pick<ClientSession, 'fileRequest' | 'closeFile' | 'supports' | 'version'>

/** What a successful reply carries. */
export type Reply<T extends AnsweredFileRequest['type']> = Extract<FileReply<T>, {type: 'Ok'}>['value']

/** An open whose reply is under way. */
export interface Opening {
  fd: Promise<Int64>
  /** The number that the descriptor will have if the opens before it succeed. */
  expected: number
}

/** How long in ms a descriptor that is not needed may stay open. */
const CLOSE_MS = 10

/** Requests whose success takes the next descriptor number of the connection (spec protocol.md 3.8.3). */
const numbering: ReadonlySet<AnsweredFileRequest['type']> = new Set(['Open', 'OpenRelative', 'FdOpenDir'])

/** Tells the user something once for each key. */
export type WarnOnce = (key: string, text: string) => void

const noOptions: OpenOptions = {
  read: false,
  write: false,
  append: false,
  truncate: false,
  create: false,
  createNew: false,
}

/** File requests to the agent that end: with the reply's content, or with a `FileFailure`, also when the agent falls silent. */
export class Requests {
  readonly #agent: FileAgent
  readonly #warnOnce: WarnOnce
  readonly #stallMs: number
  /** Content on its way, both directions together: 8 MiB. */
  readonly budget = new ByteBudget(8 * 1024 * 1024)
  #lastReply = 0
  /** The next descriptor's number after the replies so far, and how many requests that take one are under way. */
  #nextFd = 0
  #opening = 0
  /** Descriptors that are to be closed. */
  readonly #unused: Int64[] = []
  #closing: NodeJS.Timeout | undefined
  /** Called after replies, at most once a second: the agent is at work. */
  onProgress: () => void = () => undefined
  #progressTold = 0

  /** @param stallMs how long the agent may answer no file request at all while one waits */
  constructor(agent: FileAgent, warnOnce: WarnOnce, stallMs = 30_000) {
    this.#agent = agent
    this.#warnOnce = warnOnce
    this.#stallMs = stallMs
  }

  /** Whether the agent's version has a capability. */
  get supports(): FileAgent['supports'] {
    return (gate) => this.#agent.supports(gate)
  }

  /** The version agreed with the agent. */
  get version(): string {
    return this.#agent.version
  }

  /**
   * Sends one request; `what` says in errors what was tried. `late` gets the content of a reply that came after the failure.
   * @throws FileFailure
   */
  send<T extends AnsweredFileRequest['type']>(
    request: Extract<AnsweredFileRequest, {type: T}>,
    what: string,
    late?: (value: Reply<T>) => void,
  ): Promise<Reply<T>> {
    this.#closeUnused()
    return new Promise((resolve, reject) => {
      const started = performance.now()
      let over = false
      const check = () => {
        const quiet = performance.now() - Math.max(started, this.#lastReply)
        if (quiet < this.#stallMs) {
          timer = setTimeout(check, this.#stallMs - quiet + 1)
          return
        }
        over = true
        const seconds = Math.round(this.#stallMs / 1000)
        this.#warnOnce(
          `stall ${Math.floor(performance.now() / 60_000)}`,
          `The agent has not answered a file request for ${seconds} s (${what}): the program gets EIO. The target's disk or the connection hangs.`,
        )
        reject(failure('EIO', `${what}: no answer for ${seconds} s`))
      }
      let timer = setTimeout(check, this.#stallMs + 1)
      const numbered = numbering.has(request.type)
      if (numbered) this.#opening++
      this.#agent.fileRequest<T>(request).then(
        (reply) => {
          clearTimeout(timer)
          this.#replied()
          if (numbered) this.#opening--
          if (numbered && reply.type === 'Ok') this.#nextFd = Number((reply.value as {fd: Int64}).fd) + 1
          if (over && reply.type === 'Ok') late?.(reply.value)
          else if (reply.type === 'Ok') resolve(reply.value)
          else reject(remoteFailure(reply.value, what))
        },
        (error: unknown) => {
          clearTimeout(timer)
          if (numbered) this.#opening--
          if (error instanceof UnsupportedRequestError) this.#refused(error, what)
          // The session's end is told by the session itself.
          reject(toFailure(error, what))
        },
      )
    })
  }

  /** Opens a file of the target. @throws FileFailure */
  async open(path: string, options: Partial<OpenOptions>): Promise<Int64> {
    const value = {path, openOptions: {...noOptions, ...options}}
    const {fd} = await this.send({type: 'Open', value}, `open ${path}`, ({fd}) => this.close(fd))
    return fd
  }

  /** Opens a file for reading; `readAhead` may ask for its content before the reply. The promise is handled. */
  openAhead(path: string): Opening {
    const expected = this.#nextFd + this.#opening
    const fd = this.open(path, {read: true})
    fd.catch(() => undefined)
    return {fd, expected}
  }

  /**
   * Asks for the first `length` bytes of a file whose open is under way, so that both take one round trip: requests are
   * served in order, and descriptors are numbered in that order, no number twice on a connection (spec protocol.md 3.8.3).
   * Undefined when the number was another, the read failed, or others need the budget: then nothing is known. Never rejects.
   */
  async readAhead({fd, expected}: Opening, path: string, length: number): Promise<Uint8Array | undefined> {
    const giveBack = this.budget.take(length)
    if (!giveBack) return undefined
    const value = {remoteFd: expected, bufferSize: length, startFrom: 0}
    try {
      const [opened, read] = await Promise.all([fd, this.send({type: 'ReadLimited', value}, `read ${path}`)])
      return Number(opened) === expected ? read.bytes : undefined
    } catch {
      return undefined
    } finally {
      giveBack()
    }
  }

  /** Closes a descriptor of `open`; there is no reply, and with the connection it is gone anyway. */
  close(fd: Int64): void {
    this.#closeQuietly({type: 'Close', value: {fd}})
  }

  /** The same with the next request, or soon: a message of its own would cost the agent time that the program waits for. */
  closeSoon(fd: Int64): void {
    this.#unused.push(fd)
    this.#closing ??= setTimeout(() => this.#closeUnused(), CLOSE_MS)
  }

  #closeUnused(): void {
    clearTimeout(this.#closing)
    this.#closing = undefined
    for (const fd of this.#unused.splice(0)) this.close(fd)
  }

  closeDirectory(fd: Int64): void {
    this.#closeQuietly({type: 'CloseDir', value: {remoteFd: fd}})
  }

  #replied(): void {
    this.#lastReply = performance.now()
    if (this.#lastReply - this.#progressTold < 1000) return
    this.#progressTold = this.#lastReply
    this.onProgress()
  }

  #closeQuietly(request: Parameters<FileAgent['closeFile']>[0]): void {
    try {
      this.#agent.closeFile(request)
    } catch {
      // The connection has ended, and with it the agent's descriptors.
    }
  }

  #refused(error: UnsupportedRequestError, what: string): void {
    this.#warnOnce(
      `gate ${error.gate}`,
      `${what} failed: ${error.message} The program gets EOPNOTSUPP. Use a newer agent image.`,
    )
  }
}
