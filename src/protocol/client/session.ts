import {randomBytes} from 'node:crypto'
import type {ByteChannel} from '../channel.ts'
import {ConnectionError} from '../connection-error.ts'
import {clientConnection, type ClientConnection, type ConnectionOptions} from '../connection.ts'
import type {ClientMessage} from '../messages/client.ts'
import type {DaemonMessage, GetEnvVarsResponse} from '../messages/daemon.ts'
import type {AddressFamily, GetAddrInfoResponse, SockType} from '../messages/dns.ts'
import type {Result} from '../messages/errors.ts'
import {fileResponses, type FileRequest} from '../messages/files.ts'
import type {HttpFilter} from '../messages/filters.ts'
import type {DaemonOutgoing, DaemonSeqpacket} from '../messages/outgoing.ts'
import type {DaemonTcp} from '../messages/tcp.ts'
import {requiredGates} from '../required-gates.ts'
import type {SocketAddress} from '../schema/net.ts'
import {minVersion, PROTOCOL_VERSION, supports, type GateName} from '../versions.ts'
import type {Pending} from './pending.ts'
import {PingMonitor} from './ping.ts'
import {PendingReplies, type Accept, type Violation} from './replies.ts'
import type {AnsweredFileRequest, ClientHandlers, ConnectReply, FileReply, OutgoingKind} from './traffic.ts'
import {UnsupportedRequestError} from './unsupported.ts'

/** Options of a client session; times in milliseconds. */
export interface ClientSessionOptions extends ConnectionOptions {
  /** Receivers of unsolicited traffic; may be set later too, see `ClientSession.handlers`. */
  handlers?: Partial<ClientHandlers>
  /** The version to announce. Default: 1.29.0, everything this implementation decodes. */
  version?: string
  /** Ask the agent for its log messages (when its version can). Default true. */
  logs?: boolean
  /** How long to wait for the version response. Default 30,000. */
  handshakeTimeoutMs?: number
  /** Interval of the liveness check. Default 30,000. */
  pingIntervalMs?: number
}

/**
 * The client role of the protocol on one connection: version handshake, liveness, and requests as promises. Requests
 * resolve with the agent's `Result`; they reject with ConnectionError when the session ends first, and with
 * UnsupportedRequestError, unsent, when the agent's version lacks them. A message that the conversation does not allow
 * ends the session (`VIOLATION`).
 */
export class ClientSession {
  /** Receivers of unsolicited traffic; traffic without a receiver is dropped. */
  readonly handlers: Partial<ClientHandlers>
  readonly #connection: ClientConnection
  readonly #announced: string
  readonly #replies = new PendingReplies()
  #nextUid = randomBytes(15).reduce((uid, byte) => (uid << 8n) | BigInt(byte), 0n) << 8n
  #handshake: Pending<void> | undefined
  #ping: PingMonitor | undefined
  #version: string
  /** What is known of this version's capabilities: asked for each message. */
  readonly #gates = new Map<GateName, boolean>()
  #ended: ConnectionError | undefined

  private constructor(channel: ByteChannel, options: ClientSessionOptions) {
    this.handlers = {...options.handlers}
    this.#announced = this.#version = options.version ?? PROTOCOL_VERSION
    this.#connection = clientConnection(channel, {divide: true, ...options})
    this.#connection.onMessage = (message) => this.#receive(message)
    this.#connection.onClose = (reason) => this.#end(reason)
  }

  /** Negotiates the version on a fresh channel. Rejects with ConnectionError; the channel is closed then. */
  static async open(channel: ByteChannel, options: ClientSessionOptions = {}): Promise<ClientSession> {
    const session = new ClientSession(channel, options)
    await session.#negotiate(options.handshakeTimeoutMs ?? 30_000)
    if (options.logs !== false && session.supports('readyForLogs')) session.#connection.send({type: 'ReadyForLogs'})
    session.#startPing(options.pingIntervalMs ?? 30_000)
    return session
  }

  /** The negotiated version. */
  get version(): string {
    return this.#version
  }

  /** Whether the agent has a capability. */
  supports(gate: GateName): boolean {
    let supported = this.#gates.get(gate)
    if (supported === undefined) this.#gates.set(gate, (supported = supports(this.#version, gate)))
    return supported
  }

  /** The connection below: `pause`, `resume`, `drained`, `queuedBytes`, `activeStreams`, `closed`. */
  get connection(): Pick<
    ClientConnection,
    'pause' | 'resume' | 'paused' | 'drained' | 'queuedBytes' | 'activeStreams' | 'closed' | 'flush'
  > {
    return this.#connection
  }

  /** Called when sending makes sense again after `send` answered false. */
  set onDrain(callback: () => void) {
    this.#connection.onDrain = callback
  }

  /**
   * Sends a message that has no reply (data, responses, closes). Answers false when the sender should wait for
   * `onDrain`. Throws UnsupportedRequestError or ProtocolError `UNENCODABLE`; nothing is sent then.
   */
  send(message: ClientMessage): boolean {
    for (const gate of requiredGates(message)) {
      if (!this.supports(gate)) throw new UnsupportedRequestError(gate, this.#version)
    }
    return this.#connection.send(message)
  }

  /** Environment of the target; patterns as of spec protocol.md 3.4. */
  async getEnv(request: {filter?: Iterable<string>; select?: Iterable<string>} = {}): Promise<GetEnvVarsResponse> {
    const value = {envVarsFilter: new Set(request.filter), envVarsSelect: new Set(request.select)}
    this.#require({type: 'GetEnvVarsRequest', value})
    return this.#replies.env.wait(undefined)
  }

  /** Addresses of a name. Agents below 1.15.0 look up IPv4 only, whatever `family` says (spec protocol.md 4.9). */
  async resolve(
    node: string,
    hints: {family?: AddressFamily['type']; socktype?: SockType['type']} = {},
  ): Promise<GetAddrInfoResponse> {
    const family = {type: hints.family ?? 'Both'} as const
    const socktype = {type: hints.socktype ?? 'Any'} as const
    const v2 = {node, servicePort: 0, family, socktype, flags: 0, protocol: 0}
    if (this.supports('addrInfoV2')) this.#require({type: 'GetAddrInfoRequestV2', value: v2})
    else this.#require({type: 'GetAddrInfoRequest', value: {node}})
    return this.#replies.dns.wait(undefined)
  }

  /** A file operation with a reply; replies come in order (spec protocol.md 4.10). */
  async fileRequest<T extends AnsweredFileRequest['type']>(
    request: Extract<AnsweredFileRequest, {type: T}>,
  ): Promise<FileReply<T>> {
    this.#require({type: 'FileRequest', value: request})
    // The reply was checked to be the variant that belongs to the request.
    return (await this.#replies.files.wait(fileResponses[request.type])) as FileReply<T>
  }

  /** Closes a file or directory stream; there is no reply. */
  closeFile(request: Extract<FileRequest, {type: 'Close' | 'CloseDir'}>): boolean {
    return this.send({type: 'FileRequest', value: request})
  }

  /** Connects TCP or a unix stream from the target. */
  connectTcp(address: SocketAddress, accept?: Accept): Promise<ConnectReply> {
    return this.#connect('TcpOutgoing', address, accept)
  }

  /** "Connects" a UDP socket of the target: only datagrams of this peer arrive. */
  connectUdp(address: SocketAddress, accept?: Accept): Promise<ConnectReply> {
    return this.#connect('UdpOutgoing', address, accept)
  }

  /** Connects a unix SOCK_SEQPACKET socket of the target; needs 1.27.0. */
  connectSeqpacket(address: SocketAddress, accept?: Accept): Promise<ConnectReply> {
    return this.#connect('SeqpacketOutgoing', address, accept)
  }

  /** Steals a port, or the HTTP requests on it that match. Resolves when the redirection is active. */
  async subscribeSteal(port: number, filter?: HttpFilter): Promise<Result<number>> {
    const value = filter
      ? ({type: 'FilteredHttpEx', value: {port, filter}} as const)
      : ({type: 'All', value: port} as const)
    this.#require({type: 'TcpSteal', value: {type: 'PortSubscribe', value}})
    return this.#replies.subscriptions.TcpSteal.wait(port)
  }

  /** Mirrors a port, or the HTTP requests on it that match (needs 1.21.1). */
  async subscribeMirror(port: number, filter?: HttpFilter): Promise<Result<number>> {
    const value = filter
      ? ({type: 'PortSubscribeFilteredHttp', value: {port, filter}} as const)
      : ({type: 'PortSubscribe', value: port} as const)
    this.#require({type: 'Tcp', value})
    return this.#replies.subscriptions.Tcp.wait(port)
  }

  /** Ends a subscription; existing connections continue. There is no reply. */
  unsubscribe(mode: 'steal' | 'mirror', port: number): boolean {
    return this.send({type: mode === 'steal' ? 'TcpSteal' : 'Tcp', value: {type: 'PortUnsubscribe', value: port}})
  }

  /** Sends what is queued, then closes. Waiting requests reject. */
  close(): void {
    this.#connection.close()
  }

  /** Closes at once. */
  destroy(): void {
    this.#connection.destroy()
  }

  /** Sends a request whose reply will be waited for; throws when the session has ended or the agent lacks it. */
  #require(message: ClientMessage): void {
    if (this.#ended) throw this.#ended
    this.send(message)
  }

  async #connect(kind: OutgoingKind, remoteAddress: SocketAddress, accept?: Accept): Promise<ConnectReply> {
    if (kind !== 'SeqpacketOutgoing' && !this.supports('outgoingConnectV2')) {
      this.#require({type: kind, value: {type: 'Connect', value: {remoteAddress}}})
      return this.#replies.connectsV1[kind].wait(accept)
    }
    const uid = this.#nextUid++
    this.#require({type: kind, value: {type: 'ConnectV2', value: {uid, remoteAddress}}})
    return this.#replies.waitConnectV2(kind, uid, accept)
  }

  async #negotiate(timeoutMs: number): Promise<void> {
    const response = new Promise<void>((resolve, reject) => (this.#handshake = {resolve, reject}))
    this.#connection.send({type: 'SwitchProtocolVersion', value: this.#announced})
    const timer = setTimeout(() => {
      const message = `The agent did not answer the version handshake within ${timeoutMs} ms.`
      this.#connection.destroy(new ConnectionError('HANDSHAKE_TIMEOUT', message))
    }, timeoutMs)
    try {
      await response
    } finally {
      clearTimeout(timer)
    }
  }

  #startPing(intervalMs: number): void {
    if (this.#ended) return
    this.#ping = new PingMonitor(intervalMs, {
      sendPing: () => void this.#connection.send({type: 'Ping'}),
      isPaused: () => this.#connection.paused,
      lost: () => {
        const message = `The agent has not answered a ping for ${intervalMs} ms.`
        this.#connection.destroy(new ConnectionError('PING_TIMEOUT', message))
      },
    })
  }

  #receive(message: DaemonMessage): void {
    this.#ping?.heard()
    switch (message.type) {
      case 'TcpSteal':
      case 'Tcp':
        return this.#receiveIncoming(message.type, message.value)
      case 'TcpOutgoing':
      case 'UdpOutgoing':
      case 'SeqpacketOutgoing':
        return this.#receiveOutgoing(message.type, message.value)
      case 'File':
        return this.#check(this.#replies.resolveFile(message.value))
      case 'GetAddrInfoResponse':
        return this.#check(this.#replies.resolveDns(message.value))
      case 'GetEnvVarsResponse':
        return this.#check(this.#replies.resolveEnv(message.value))
      case 'Pong':
        return this.#check(this.#ping?.pong() ? undefined : 'a Pong that no Ping asked for')
      case 'OperatorPing':
        this.#connection.send({type: 'OperatorPong', value: message.value})
        return
      case 'LogMessage':
        this.handlers.log?.(message.value)
        return
      case 'SwitchProtocolVersionResponse':
        return this.#receiveVersion(message.value)
      case 'Close':
        return this.#connection.destroy(new ConnectionError('REFUSED', message.value))
      case 'PauseTarget':
      case 'Vpn':
      case 'ReverseDnsLookup':
        return this.#check(`${message.type}, which was not asked for`)
    }
  }

  #receiveVersion(version: string): void {
    const handshake = this.#handshake
    if (!handshake) return this.#check('a second version response')
    this.#handshake = undefined
    this.#version = minVersion(this.#announced, version)
    this.#gates.clear()
    handshake.resolve()
  }

  #receiveIncoming(mode: 'Tcp' | 'TcpSteal', message: DaemonTcp): void {
    if (this.#handshake) return this.#check(`${mode} before the version response`)
    if (message.type === 'SubscribeResult') return this.#check(this.#replies.resolveSubscription(mode, message.value))
    if (mode === 'TcpSteal') this.handlers.steal?.(message)
    else this.handlers.mirror?.(message)
  }

  #receiveOutgoing(kind: OutgoingKind, message: DaemonOutgoing | DaemonSeqpacket): void {
    if (this.#handshake) return this.#check(`${kind} before the version response`)
    switch (message.type) {
      case 'Read':
        // An error names no connection, so nothing can be done about it (spec protocol.md 3.6).
        if (message.value.type === 'Err') return this.#check(`a failed ${kind} Read`)
        this.handlers.outgoingRead?.(kind, message.value.value.connectionId, message.value.value.bytes)
        return
      case 'Close':
        this.handlers.outgoingClosed?.(kind, message.value)
        return
      case 'ConnectV2':
        return this.#check(this.#replies.resolveConnectV2(kind, message.value.uid, message.value.connect))
      case 'Connect':
        return this.#check(this.#replies.resolveConnectV1(kind, message.value))
    }
  }

  /** Ends the session when a message broke the protocol. */
  #check(violation: Violation): void {
    if (violation === undefined) return
    const message = `The agent broke the protocol: it sent ${violation}.`
    this.#connection.destroy(new ConnectionError('VIOLATION', message))
  }

  #end(reason: ConnectionError): void {
    this.#ended = reason
    this.#ping?.stop()
    this.#handshake?.reject(reason)
    this.#replies.rejectAll(reason)
    this.handlers.end?.(reason)
  }
}
