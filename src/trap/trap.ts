import {spawn} from 'node:child_process'
import {readlinkSync} from 'node:fs'
import type {Duplex} from 'node:stream'
import {constants} from 'node:os'
import {startContainer} from './container.ts'
import {startFailure, TrapError} from './trap-error.ts'
import type {
  Address,
  ConnectAnswer,
  ContainerLaunch,
  FileAnswer,
  FileOperation,
  ProgramExit,
  Trap,
  TrapHandlers,
  TrapOptions,
  UnixConnectAnswer,
} from './types.ts'
import {
  connectFlags,
  Decoder,
  encode,
  type Fields,
  fileOperations,
  helloFlags,
  outcomes,
  startedFlags,
  wireVersion,
} from './wire.ts'
import type {Message, MessageName} from './wire.ts'

export {TrapError, type TrapErrorReason} from './trap-error.ts'
export {probeTrap} from './probe.ts'
export type * from './types.ts'
export {pathClasses} from './types.ts'

const nothing = new Uint8Array(0)
/** ms between two messages that a question about files is still under way; the trap gives up after 60 s without one. */
const busyInterval = 5000
const operationNames = new Map<number, FileOperation>(
  Object.entries(fileOperations).map(([name, number]) => [number, name as FileOperation]),
)
const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals]))

/** Node has no names for the real-time signals, which begin at 34 (glibc's and musl's SIGRTMIN differ by one). */
const signalName = (number: number) => signalNames.get(number) ?? (`SIG${number}` as NodeJS.Signals)

/** A question that the session has not answered, or whose connection is not yet made. */
class Question {
  readonly hurry = new Happening()
  readonly gone = new Happening()
  onConnected?: (source: Address | undefined) => void
}

/** Something that may happen, as a signal for who asks; an AbortController is dear, and most are never looked at. */
class Happening {
  private controller: AbortController | undefined
  private happened = false

  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController()
      if (this.happened) this.controller.abort()
    }
    return this.controller.signal
  }

  happen(): void {
    this.happened = true
    this.controller?.abort()
  }
}

/**
 * Starts mirrord-trap and, below it, the program. Resolves when the program has been exec'ed; from then on the handlers
 * answer for its whole tree.
 * @throws TrapError (see its reasons).
 */
export function startTrap(options: TrapOptions, handlers: TrapHandlers): Promise<Trap> {
  const hello = encode('hello', helloOf(options))
  return options.container
    ? startInContainer(options.container, hello, options, handlers)
    : startHere(hello, options, handlers)
}

async function startInContainer(
  launch: ContainerLaunch,
  hello: Buffer,
  options: TrapOptions,
  handlers: TrapHandlers,
): Promise<Trap> {
  let connection: Connection | undefined
  const {pid, socket, settle} = await startContainer(launch, options, (reason) => connection?.abandon(reason))
  try {
    return await new Promise((resolve, reject) => {
      connection = new Connection({pid, socket, settle}, options, handlers, resolve, reject)
      connection.begin(hello)
    })
  } catch (error) {
    socket.destroy()
    await settle() // nothing is left of what did not start
    throw error
  }
}

function startHere(hello: Buffer, options: TrapOptions, handlers: TrapHandlers): Promise<Trap> {
  const child = spawn(options.trapPath, [], {
    argv0: 'mirrord-trap',
    cwd: '/',
    env: options.env,
    // A SIGKILL to the session's process group must not take the trap along: it ends the tree.
    detached: options.newSession,
    stdio: [options.stdio.stdin, options.stdio.stdout, options.stdio.stderr, 'pipe'],
  })
  return new Promise((resolve, reject) => {
    const socket = child.stdio[3] as Duplex | undefined
    const settle = () => Promise.resolve()
    const connection = new Connection({pid: child.pid ?? 0, socket, settle}, options, handlers, resolve, reject)
    child.once('error', (cause) => {
      const errno = (cause as NodeJS.ErrnoException).errno
      connection.fail(
        new TrapError('unavailable', `${options.trapPath} cannot be run: ${cause.message}`, {
          unavailable: 'not-executable',
          errno: errno === undefined ? undefined : Math.abs(errno),
        }),
      )
    })
    if (child.pid !== undefined) connection.begin(hello)
  })
}

function helloOf(options: TrapOptions): Fields<'hello'> {
  const {newSession, incoming, tcp, udp, intercept, filesWrite} = helloFlags
  return {
    version: wireVersion,
    flags:
      (options.newSession ? newSession : 0) |
      (options.incoming ? incoming : 0) |
      (options.outgoing.tcp ? tcp : 0) |
      (options.outgoing.udp ? udp : 0) |
      (options.intercept ? intercept : 0) |
      (options.files?.writable ? filesWrite : 0),
    holdMs: options.nonBlockingHold ?? 1000,
    connectMs: options.limits?.connect ?? 90_000,
    listenMs: options.limits?.listen ?? 60_000,
    fileMs: options.limits?.file ?? 60_000,
    datagramMs: options.limits?.datagram ?? 10_000,
    program: options.program,
    cwd: options.cwd,
    argv: options.argv.length > 0 ? options.argv : [options.program],
    overlays: options.overlays,
    local: options.local.map(({cidr, port}) => {
      const [address = '', prefix] = cidr.split('/')
      return {network: {address, port: port ?? 0}, prefix: Number(prefix ?? (address.includes(':') ? 128 : 32))}
    }),
    files: options.files?.directory ?? '',
    rules: options.files?.rules ?? nothing,
    mapping: options.files?.mapping ?? nothing,
    unixStreams: options.unixStreams ?? nothing,
    skip: options.skip ?? [],
    hostname: options.hostname ?? '',
    environment: [...(options.environment ?? [])],
    network: options.container ? readlinkSync('/proc/self/ns/net') : '',
  }
}

/** The process that a trap is known by here, the socket to it, and what is to be waited for at its end. */
interface Peer {
  pid: number
  socket: Duplex | undefined
  settle(): Promise<void>
}

/** The session's end of the socket to one trap. */
class Connection {
  private readonly peer: Peer
  private readonly socket: Duplex | undefined
  private readonly options: TrapOptions
  private readonly handlers: TrapHandlers
  private readonly resolve: (trap: Trap) => void
  private readonly reject: (error: TrapError) => void
  private readonly decoder = new Decoder()
  private readonly questions = new Map<number, Question>()
  /** Questions about files and unix sockets: their callers may go. */
  private readonly asking = new Map<number, AbortController>()
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
        void this.connect(message)
        break
      case 'connectHurry':
        this.questions.get(message.id)?.hurry.happen()
        break
      case 'connectGone':
        this.gone(message.id)
        break
      case 'connected': {
        const question = this.questions.get(message.id)
        this.questions.delete(message.id)
        question?.onConnected?.(message.errno === 0 ? message.source : undefined)
        break
      }
      case 'listen':
        void this.listen(message)
        break
      case 'listenerClosed':
        this.handlers.listenerClosed(message.id)
        break
      case 'file':
        void this.file(message)
        break
      case 'fileGone':
        this.asking.get(message.id)?.abort()
        break
      case 'fileClosed':
        this.handlers.fileClosed?.(message.object, message.opens)
        break
      case 'connectUnix':
        void this.connectUnix(message)
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

  private async connect(message: Fields<'connect'>): Promise<void> {
    const {id, flags, remote} = message
    if (!remote) throw new Error('a connect without an address')
    const question = new Question()
    this.questions.set(id, question)
    const nowhere = undefined
    try {
      const answer = await this.handlers.connect({
        pid: message.pid,
        protocol: flags & connectFlags.udp ? 'udp' : 'tcp',
        unconnected: (flags & connectFlags.unconnected) !== 0,
        nonBlocking: (flags & (connectFlags.nonBlocking | connectFlags.udp)) === connectFlags.nonBlocking,
        remote,
        relayFamily: flags & connectFlags.relayIpv6 ? 6 : 4,
        get hurry() {
          return question.hurry.signal
        },
        get gone() {
          return question.gone.signal
        },
      })
      const gone = !this.questions.has(id)
      if ('relay' in answer) {
        if (gone) {
          answer.onConnected?.(undefined)
          return
        }
        question.onConnected = answer.onConnected // an unconnected question stays until its relay is gone
        void this.send('connectAnswer', {
          id,
          outcome: answer.later ? outcomes.pending : outcomes.relay,
          errno: 0,
          relay: answer.relay,
          local: answer.local,
        })
        if (answer.later) void this.later(id, question, answer.later)
        return
      }
      this.questions.delete(id)
      if (gone) return
      const outcome = 'errno' in answer ? outcomes.errno : outcomes.direct
      const errno = 'errno' in answer ? answer.errno : 0
      void this.send('connectAnswer', {id, outcome, errno, relay: nowhere, local: nowhere})
    } catch (error) {
      this.questions.delete(id)
      this.handlers.warning(`connect to ${remote.address}:${remote.port} failed: ${String(error)}`)
      const errno = constants.errno.ENETUNREACH
      void this.send('connectAnswer', {id, outcome: outcomes.errno, errno, relay: nowhere, local: nowhere})
    }
  }

  /** The second answer to a connect that is under way. Without the question, its `onConnected` has been called. */
  private async later(
    id: number,
    question: Question,
    answer: NonNullable<Extract<ConnectAnswer, {relay: Address}>['later']>,
  ): Promise<void> {
    const final = await answer
    if (this.questions.get(id) !== question) return
    if ('relay' in final) {
      question.onConnected = (source) => final.onConnected(source)
      const {relay, local} = final
      return void this.send('connectAnswer', {id, outcome: outcomes.relay, errno: 0, relay, local})
    }
    this.questions.delete(id)
    const nowhere = {relay: undefined, local: undefined}
    void this.send('connectAnswer', {id, outcome: outcomes.errno, errno: final.errno, ...nowhere})
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

  private async file(message: Fields<'file'>): Promise<void> {
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

  private async connectUnix(message: Fields<'connectUnix'>): Promise<void> {
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

  private gone(id: number): void {
    const question = this.questions.get(id)
    this.questions.delete(id)
    question?.gone.happen()
    question?.onConnected?.(undefined)
  }

  private finish(): void {
    if (this.over) return
    this.over = true
    for (const id of [...this.questions.keys()]) this.gone(id)
    for (const caller of this.asking.values()) caller.abort()
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
