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
      this.#agent.fileRequest<T>(request).then(
        (reply) => {
          clearTimeout(timer)
          this.#replied()
          if (over && reply.type === 'Ok') late?.(reply.value)
          else if (reply.type === 'Ok') resolve(reply.value)
          else reject(remoteFailure(reply.value, what))
        },
        (error: unknown) => {
          clearTimeout(timer)
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

  /** Closes a descriptor of `open`; there is no reply, and with the connection it is gone anyway. */
  close(fd: Int64): void {
    this.#closeQuietly({type: 'Close', value: {fd}})
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
