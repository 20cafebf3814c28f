import type {Duplex} from 'node:stream'
import {constants} from 'node:os'
import {ConnectQuestions} from './connect-questions.ts'
import {FileQuestions} from './file-questions.ts'
import {startFailure, TrapError} from './trap-error.ts'
import type {ProgramExit, Trap, TrapHandlers, TrapOptions} from './types.ts'
import {Decoder, encode, type Fields, type Message, type MessageName, type Send, startedFlags} from './wire.ts'

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals]))

/** Node has no names for the real-time signals, which begin at 34 (glibc's and musl's SIGRTMIN differ by one). */
const signalName = (number: number) => signalNames.get(number) ?? (`SIG${number}` as NodeJS.Signals)

/** The process that a trap is known by here, the socket to it, and what is to be waited for at its end. */
interface Peer {
  pid: number
  socket: Duplex | undefined
  settle(): Promise<void>
}

/** The session's end of the socket to one trap. */
export class Connection {
  private readonly peer: Peer
  private readonly socket: Duplex | undefined
  private readonly options: TrapOptions
  private readonly handlers: TrapHandlers
  private readonly resolve: (trap: Trap) => void
  private readonly reject: (error: TrapError) => void
  private readonly decoder = new Decoder()
  private readonly connects: ConnectQuestions
  private readonly files: FileQuestions
  private readonly exit = Promise.withResolvers<ProgramExit>()
  private readonly end = Promise.withResolvers<{clean: boolean; reason?: string}>()
  private reason: string | undefined
  private clean = false
  private over = false

  constructor(
    peer: Peer,
    options: TrapOptions,
    handlers: TrapHandlers,
    resolve: (trap: Trap) => void,
    reject: (error: TrapError) => void,
  ) {
    this.peer = peer
    this.socket = peer.socket
    this.options = options
    this.handlers = handlers
    this.resolve = resolve
    this.reject = reject
    const send: Send = (name, fields) => this.send(name, fields)
    this.connects = new ConnectQuestions(handlers, send)
    this.files = new FileQuestions(handlers, send)
  }

  begin(hello: Buffer): void {
    const {socket} = this
    if (!socket) return
    socket.on('data', (chunk: Buffer) => this.receive(chunk))
    socket.on('error', (error) => (this.reason ??= error.message))
    socket.on('close', () => this.finish())
    socket.write(hello)
  }

  fail(error: TrapError): void {
    this.reject(error)
    this.finish()
  }

  /** The connection goes on, but nothing good can come of it: the trap ends the tree. */
  abandon(reason: string): void {
    if (this.over) return
    this.reason ??= reason
    this.socket?.destroy()
  }

  private receive(chunk: Buffer): void {
    try {
      for (const message of this.decoder.push(chunk)) this.dispatch(message)
    } catch (error) {
      this.reason ??= `the trap broke its protocol: ${error instanceof Error ? error.message : String(error)}`
      this.socket?.destroy() // the trap ends the tree
    }
  }

  private send<N extends MessageName>(name: N, fields: Fields<N>): Promise<void> {
    const {socket} = this
    if (!socket || this.over || socket.destroyed || socket.writableEnded) return Promise.resolve()
    const frame = encode(name, fields)
    return new Promise((resolve) => socket.write(frame, () => resolve()))
  }

  private dispatch(message: Message): void {
    switch (message.name) {
      case 'started':
        this.resolve(this.trap(message))
        break
      case 'failed':
        this.reject(startFailure(message, this.options))
        break
      case 'connect':
        void this.connects.ask(message)
        break
      case 'connectHurry':
        this.connects.hurry(message.id)
        break
      case 'connectGone':
        this.connects.gone(message.id)
        break
      case 'connected':
        this.connects.connected(message)
        break
      case 'listen':
        void this.listen(message)
        break
      case 'listenerClosed':
        this.handlers.listenerClosed(message.id)
        break
      case 'file':
        void this.files.ask(message)
        break
      case 'fileGone':
        this.files.gone(message.id)
        break
      case 'fileClosed':
        this.handlers.fileClosed?.(message.object, message.opens)
        break
      case 'connectUnix':
        void this.files.askUnix(message)
        break
      case 'exited':
        this.exit.resolve(message.signal ? {signal: signalName(message.signal)} : {code: message.code})
        break
      case 'stopped':
        if (message.signal) this.handlers.stopped?.()
        else this.handlers.continued?.()
        break
      case 'treeEmpty':
        this.clean = true
        this.socket?.end() // the trap waits for this
        break
      case 'warning':
        this.handlers.warning(message.text)
        break
      case 'fatal':
        this.reason ??= `the trap refused a message: ${message.text}`
        break
      default:
        throw new Error(`a message for the trap came back (${message.name})`)
    }
  }

  private async listen(message: Fields<'listen'>): Promise<void> {
    const {id, pid, asked, actual, held} = message
    if (!asked || !actual) throw new Error('a listener without an address')
    let errno: number
    try {
      errno = (await this.handlers.listen({id, pid, asked, actual})).errno ?? 0
    } catch (error) {
      this.handlers.warning(`listen on port ${asked.port || actual.port} failed: ${String(error)}`)
      errno = constants.errno.EACCES
    }
    if (held) void this.send('listenAnswer', {id, errno})
  }

  private finish(): void {
    if (this.over) return
    this.over = true
    this.connects.end()
    this.files.end()
    const reason = this.clean ? undefined : (this.reason ?? 'the trap was lost')
    this.reject(new TrapError('lost', reason ?? 'the program ended before it was started'))
    this.exit.resolve({})
    void this.peer.settle().then(() => this.end.resolve(this.clean ? {clean: true} : {clean: false, reason}))
  }

  private trap({pid: programPid, flags}: Fields<'started'>): Trap {
    return {
      pid: this.peer.pid,
      programPid,
      features: {
        killable: (flags & startedFlags.killable) !== 0,
        syncWakeUp: (flags & startedFlags.syncWakeUp) !== 0,
        pidfdGetfd: (flags & startedFlags.withoutGetfd) === 0,
      },
      registerPeer: (source, peer, local) => this.send('peer', {source, peer, local}),
      forgetPeer: (source) => void this.send('peerGone', {source}),
      filesChanged: () => void this.send('filesChanged', {}),
      signalProgram: (signal) => void this.send('signalProgram', {signal: constants.signals[signal]}),
      signalTree: (signal) => void this.send('signalTree', {signal: constants.signals[signal]}),
      killTree: () => void this.send('killTree', {}),
      exited: this.exit.promise,
      ended: this.end.promise,
    }
  }
}
