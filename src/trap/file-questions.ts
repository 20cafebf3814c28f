import {constants} from 'node:os'
import type {FileAnswer, FileOperation, TrapHandlers, UnixConnectAnswer} from './types.ts'
import {type Fields, fileOperations, outcomes, type Send} from './wire.ts'

/** ms between two messages that a question about files is still under way; the trap gives up after 60 s without one. */
const busyInterval = 5000
const operationNames = new Map<number, FileOperation>(
  Object.entries(fileOperations).map(([name, number]) => [number, name as FileOperation]),
)

/** Questions about files and unix sockets of the pod that are under way: their callers may go. */
export class FileQuestions {
  private readonly asking = new Map<number, AbortController>()
  private readonly handlers: TrapHandlers
  private readonly send: Send

  constructor(handlers: TrapHandlers, send: Send) {
    this.handlers = handlers
    this.send = send
  }

  /** Answers one question about a file. */
  async ask(message: Fields<'file'>): Promise<void> {
    const {id, path} = message
    const operation = operationNames.get(message.operation)
    if (!operation || !this.handlers.file) throw new Error('a question about files that nobody answers')
    const caller = new AbortController()
    this.asking.set(id, caller)
    let answer: FileAnswer
    try {
      let told = performance.now()
      const busy = () => {
        if (performance.now() - told < busyInterval || !this.asking.has(id)) return
        told = performance.now()
        void this.send('fileBusy', {id})
      }
      answer = await this.handlers.file({...message, operation, gone: caller.signal, busy})
    } catch (error) {
      if (!caller.signal.aborted) this.handlers.warning(`${operation} of ${path} failed: ${String(error)}`)
      answer = {errno: constants.errno.EIO}
    }
    this.asking.delete(id)
    // Sent also when the caller is gone: what was opened for it has to be given back, which the trap does.
    const {errno = 0, validMs = 0, source = '', text = '', object = 0, mode = 0, uid = 0, gid = 0} = answer
    const {links = 0, blocks = 0, rdev = 0, numbers = []} = answer
    void this.send('fileAnswer', {
      id,
      errno,
      validMs,
      source,
      text,
      object,
      mode,
      uid,
      gid,
      links,
      blocks,
      rdev,
      numbers,
    })
  }

  /** Answers one connect to a unix socket. */
  async askUnix(message: Fields<'connectUnix'>): Promise<void> {
    const {id, pid, path, seqpacket} = message
    const caller = new AbortController()
    this.asking.set(id, caller)
    let answer: UnixConnectAnswer
    try {
      if (!this.handlers.connectUnix) throw new Error('nobody answers for unix sockets')
      answer = await this.handlers.connectUnix({pid, path, seqpacket: seqpacket !== 0, gone: caller.signal})
    } catch (error) {
      this.handlers.warning(`connect to the unix socket ${Buffer.from(path).toString()} failed: ${String(error)}`)
      answer = {errno: constants.errno.ECONNREFUSED}
    }
    this.asking.delete(id)
    if (caller.signal.aborted) return
    const outcome = 'relay' in answer ? outcomes.relay : 'errno' in answer ? outcomes.errno : outcomes.direct
    const errno = 'errno' in answer ? answer.errno : 0
    void this.send('connectUnixAnswer', {id, outcome, errno, relay: 'relay' in answer ? answer.relay : ''})
  }

  /** The caller of this one is gone. */
  gone(id: number): void {
    this.asking.get(id)?.abort()
  }

  /** All callers are gone. */
  end(): void {
    for (const caller of this.asking.values()) caller.abort()
  }
}
