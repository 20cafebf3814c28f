import {
  ConnectionError,
  type Accept,
  type AnsweredFileRequest,
  type ClientHandlers,
  type ClientMessage,
  type ClientSession,
  type ConnectReply,
  type DaemonConnect,
  type FileReply,
  type FileRequest,
  type GateName,
  type IncomingTraffic,
  type Int64,
  type SocketAddress,
} from '../protocol/index.ts'
import {deferred, type Deferred} from '../util/time.ts'
import {ownNumber, plainNumber} from './agent-numbers.ts'

/** Of which agents a connection is. */
export type Owned = (connectionId: Int64) => boolean

/** What a switch tells of what its agents send; connection ids are the switch's own, see `AgentSwitch`. */
export type SwitchHandlers = Pick<ClientHandlers, 'steal' | 'outgoingRead' | 'outgoingClosed'> & {
  /** A full tunnel takes data again. */
  drained(): void
  /** An agent is gone, and these connections with it. */
  lost(owned: Owned): void
}

interface Link {
  index: number
  session: ClientSession
  /** Stolen ports, with the agent's answers. */
  ports: Map<number, ReturnType<ClientSession['subscribeSteal']>>
}

/** File requests that may be asked again when their agent went away before it answered: they change nothing. */
const harmless: ReadonlySet<FileRequest['type']> = new Set(['Access', 'Xstat', 'ReadLink', 'StatFs', 'StatFsV2'])

/**
 * The agents of a session, shown as one. New requests go to the newest agent; what was begun with an older one stays with it
 * until that is over or the agent is gone. Between the loss of the newest and the next one, requests wait. Agents number
 * their connections and descriptors each for itself, so those of later agents get a range of numbers of their own.
 */
export class AgentSwitch {
  readonly #handlers: SwitchHandlers
  readonly #links = new Map<number, Link>()
  #count = 0
  #current: Link | undefined
  /** The newest, whether it is still there or not. */
  #newest!: ClientSession
  /** Settled with the next agent. */
  #next: Deferred<Link> | undefined
  #ended: ConnectionError | undefined
  #pauses = false

  constructor(first: ClientSession, handlers: SwitchHandlers) {
    this.#handlers = handlers
    this.attach(first)
  }

  /** The agent that gets new requests; undefined between a loss and the next agent. */
  get current(): ClientSession | undefined {
    return this.#current?.session
  }

  /** From now on this agent gets new requests. Its `steal` and `outgoing…` handlers and `onDrain` are the switch's. */
  attach(session: ClientSession): void {
    const link: Link = {index: this.#count++, session, ports: new Map()}
    this.#links.set(link.index, link)
    this.#newest = session
    const {handlers} = session
    handlers.steal = (message) => this.#handlers.steal(numbered(link, message))
    handlers.outgoingRead = (kind, id, bytes) => this.#handlers.outgoingRead(kind, ownNumber(link.index, id), bytes)
    handlers.outgoingClosed = (kind, id) => this.#handlers.outgoingClosed(kind, ownNumber(link.index, id))
    session.onDrain = () => this.#handlers.drained()
    if (this.#pauses) session.connection.pause()
    this.#current = link
    this.#next?.resolve(link)
    this.#next = undefined
  }

  /** This agent is gone. What was begun with it is over; requests wait if it was the newest. */
  detach(session: ClientSession): void {
    for (const [index, link] of this.#links) {
      if (link.session !== session) continue
      this.#links.delete(index)
      if (this.#current?.index === index) this.#current = undefined
      this.#handlers.lost((id) => plainNumber(id).index === index)
      // Streams that wait for this tunnel to drain would wait for ever.
      this.#handlers.drained()
    }
  }

  /** No agent will follow: what waits, and every later request, rejects with the reason. */
  end(reason: ConnectionError): void {
    this.#ended ??= reason
    this.#next?.reject(reason)
    this.#next = undefined
  }

  /** Stops reading from all agents: the one back-pressure of the protocol. */
  pause(): void {
    this.#pauses = true
    for (const {session} of this.#links.values()) session.connection.pause()
  }

  resume(): void {
    this.#pauses = false
    for (const {session} of this.#links.values()) session.connection.resume()
  }

  /** Sends at once what is queued. */
  flush(): void {
    for (const {session} of this.#links.values()) session.connection.flush()
  }

  /** Of the newest agent, also when it is gone: the next one is made from the same image. */
  supports(gate: GateName): boolean {
    return this.#newest.supports(gate)
  }

  get version(): string {
    return this.#newest.version
  }

  /** As `ClientSession.send`: of a connection whose agent is gone nothing is sent, and that is no error. */
  send(message: ClientMessage): boolean {
    const place = idPlace(message)
    if (!place) throw new Error(`${message.type} belongs to no connection`)
    const {index, plain} = plainNumber(place.holder[place.key] as Int64)
    const session = this.#links.get(index)?.session
    if (!session) return true
    place.holder[place.key] = plain
    return session.send(message)
  }

  /** As `ClientSession.getEnv`. */
  getEnv(request: Parameters<ClientSession['getEnv']>[0]): ReturnType<ClientSession['getEnv']> {
    return this.#ask(({session}) => session.getEnv(request))
  }

  /** As `ClientSession.connectTcp`; asked again when the agent went away before it answered. */
  connectTcp(address: SocketAddress, accept?: Accept): Promise<ConnectReply> {
    return this.#connect((session, accepted) => session.connectTcp(address, accepted), accept)
  }

  connectUdp(address: SocketAddress, accept?: Accept): Promise<ConnectReply> {
    return this.#connect((session, accepted) => session.connectUdp(address, accepted), accept)
  }

  connectSeqpacket(address: SocketAddress, accept?: Accept): Promise<ConnectReply> {
    return this.#connect((session, accepted) => session.connectSeqpacket(address, accepted), accept)
  }

  /** As `ClientSession.subscribeSteal`: resolves when the newest agent of that moment has the port. */
  async subscribeSteal(port: number): ReturnType<ClientSession['subscribeSteal']> {
    for (;;) {
      const {link, answer} = await this.#ask(async (link) => {
        const answer = link.ports.get(port) ?? link.session.subscribeSteal(port)
        link.ports.set(port, answer)
        return {link, answer: await answer}
      })
      if (answer.type === 'Err') link.ports.delete(port)
      if (answer.type === 'Err' || !this.#current || this.#current === link) return answer
    }
  }

  /** Ends the subscription with every agent that has it. */
  unsubscribeSteal(port: number): void {
    for (const {session, ports} of this.#links.values()) if (ports.delete(port)) session.unsubscribe('steal', port)
  }

  /**
   * As `ClientSession.fileRequest`. A request with a descriptor goes to the agent that has given it, and rejects with a
   * ConnectionError when that is gone; one that changes nothing is asked again.
   */
  async fileRequest<T extends AnsweredFileRequest['type']>(
    request: Extract<AnsweredFileRequest, {type: T}>,
  ): Promise<FileReply<T>> {
    const place = descriptorPlace(request)
    if (place) {
      const {session, plain, index} = this.#ofDescriptor(place.holder[place.key] as Int64)
      const sent = {type: request.type, value: {...place.holder, [place.key]: plain}} as typeof request
      return withDescriptor(index, await session.fileRequest<T>(sent))
    }
    const again = harmless.has(request.type) || opensOnly(request)
    const once = async (link: Link) => withDescriptor(link.index, await link.session.fileRequest<T>(request))
    return again ? this.#ask(once) : once(this.#current ?? (await this.#awaitNext()))
  }

  /** As `ClientSession.closeFile`; a descriptor of an agent that is gone is closed. */
  closeFile(request: Extract<FileRequest, {type: 'Close' | 'CloseDir'}>): boolean {
    const {holder, key} = descriptorPlace(request)!
    const {index, plain} = plainNumber(holder[key] as Int64)
    const session = this.#links.get(index)?.session
    return session?.closeFile({type: request.type, value: {...holder, [key]: plain}} as typeof request) ?? true
  }

  async #connect(
    connect: (session: ClientSession, accept: Accept | undefined) => Promise<ConnectReply>,
    accept: Accept | undefined,
  ): Promise<ConnectReply> {
    return this.#ask(async (link) => {
      const own = (connection: DaemonConnect) =>
        link.index === 0 ? connection : {...connection, connectionId: ownNumber(link.index, connection.connectionId)}
      const reply = await connect(link.session, accept && ((connection) => accept(own(connection))))
      return reply.type === 'Ok' ? {type: 'Ok', value: own(reply.value)} : reply
    })
  }

  /** Asks the newest agent, and the next one when it goes away before it answers. */
  async #ask<T>(ask: (link: Link) => Promise<T>): Promise<T> {
    for (;;) {
      const link = this.#current ?? (await this.#awaitNext())
      try {
        return await ask(link)
      } catch (error) {
        if (!(error instanceof ConnectionError) || this.#ended) throw error
        this.detach(link.session)
      }
    }
  }

  #awaitNext(): Promise<Link> {
    if (this.#ended) return Promise.reject(this.#ended)
    this.#next ??= deferred<Link>()
    return this.#next.promise
  }

  #ofDescriptor(fd: Int64): {index: number; session: ClientSession; plain: Int64} {
    const {index, plain} = plainNumber(fd)
    const session = this.#links.get(index)?.session
    if (!session) throw new ConnectionError('CLOSED', 'The agent that had the file open is gone.')
    return {index, session, plain}
  }
}

function opensOnly(request: FileRequest): boolean {
  if (request.type !== 'Open') return false
  const {write, append, truncate, create, createNew} = request.value.openOptions
  return !write && !append && !truncate && !create && !createNew
}

type Holder = Record<string, unknown>

/** Where a message names its connection: below any number of variants, the last of which may be the id itself. */
function idPlace(message: {value?: unknown}): {holder: Holder; key: string} | undefined {
  for (let holder = message as Holder; ;) {
    if ('connectionId' in holder) return {holder, key: 'connectionId'}
    const {value} = holder
    if (typeof value === 'number' || typeof value === 'bigint') return {holder, key: 'value'}
    const next = value ?? holder.connection
    if (typeof next !== 'object' || next === null) return undefined
    holder = next as Holder
  }
}

/** Stolen traffic with the switch's own connection id; the message is ours alone, so it is changed in place. */
function numbered({index}: Link, message: IncomingTraffic): IncomingTraffic {
  if (index === 0) return message
  const place = idPlace(message)
  if (place) place.holder[place.key] = ownNumber(index, place.holder[place.key] as Int64)
  return message
}

const descriptorKeys = ['fd', 'remoteFd', 'relativeFd', 'dirfd'] as const

function descriptorPlace({value}: {value?: unknown}): {holder: Holder; key: string} | undefined {
  const holder = value as Holder
  const key = descriptorKeys.find((name) => holder[name] !== undefined)
  return key && {holder, key}
}

/** A reply whose descriptor has the switch's own number. */
function withDescriptor<R extends {type: string; value?: unknown}>(index: number, reply: R): R {
  const value = reply.value as {fd?: Int64} | undefined
  if (index === 0 || reply.type !== 'Ok' || value?.fd === undefined) return reply
  return {...reply, value: {...value, fd: ownNumber(index, value.fd)}}
}
