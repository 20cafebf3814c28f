import {
  ASSUMED_CLIENT_VERSION,
  ConnectionError,
  minVersion,
  parseVersion,
  PROTOCOL_VERSION,
  supports,
  type AgentConnection,
  type ClientMessage,
} from '../protocol/index.ts'
import {NameRequests} from './dns/requests.ts'
import type {Attributes} from './files/attributes.ts'
import {FileRequests} from './files/requests.ts'
import type {RootedFiles} from './files/rooted.ts'
import {WriteBudget} from './flow/budget.ts'
import {Tunnel} from './flow/tunnel.ts'
import {Stealing, type Redirecting} from './incoming/steal.ts'
import {Outgoing} from './outgoing/outgoing.ts'
import {seqpacketConnector} from './outgoing/seqpacket.ts'
import {datagramConnector, streamConnector} from './outgoing/transports.ts'
import {SilenceWatch} from './silence.ts'
import {selectEnvironment} from './target/environment.ts'

/** What all clients of the agent share. */
export interface AgentContext {
  /** The target's variables, as they were when the agent started. */
  environment: ReadonlyMap<string, string>
  /** The target's files. */
  files: RootedFiles
  /** The `mirrord-trap` beside the agent, for what Node cannot do; absent where there is none. */
  helper?: string | undefined
  /** Absent without a helper. */
  attributes?: Attributes | undefined
  /** Undefined without a target: there is no incoming traffic. */
  redirecting: Redirecting | undefined
  /** Milliseconds. */
  dns: {timeout: number | undefined; attempts: number | undefined}
  /** How long in ms a client that pings may be silent at least; for tests. */
  silenceMs?: number
}

/** One connected client: takes its messages apart, owns its features, releases everything when it leaves. */
export class Client {
  readonly #connection: AgentConnection
  readonly #context: AgentContext
  readonly #tunnel: Tunnel
  readonly #tcp: Outgoing
  readonly #udp: Outgoing
  readonly #seqpacket: Outgoing
  readonly #names: NameRequests
  readonly #files: FileRequests
  readonly #steal: Stealing | undefined
  readonly #silence: SilenceWatch
  #spoke = false
  #version = ASSUMED_CLIENT_VERSION
  #ended: Promise<void> | undefined

  /** @param left called once everything of the client has been released, its redirect rules included, with why it left */
  constructor(connection: AgentConnection, context: AgentContext, left: (reason: ConnectionError) => void) {
    this.#connection = connection
    this.#context = context
    this.#tunnel = new Tunnel(connection)
    const budget = new WriteBudget(this.#tunnel)
    this.#tcp = new Outgoing('TcpOutgoing', streamConnector(context.files, this.#tunnel, budget), this.#tunnel)
    this.#udp = new Outgoing('UdpOutgoing', datagramConnector(budget), this.#tunnel)
    const seqpacket = seqpacketConnector(context.helper, context.files, this.#tunnel, budget)
    this.#seqpacket = new Outgoing('SeqpacketOutgoing', seqpacket, this.#tunnel)
    this.#names = new NameRequests(this.#tunnel, (path) => context.files.readText(path), context.dns)
    this.#files = new FileRequests(context.files, context.attributes, this.#tunnel, (text) => this.#fail(text))
    if (context.redirecting) {
      const transport = () => supports(this.#version, 'modeAgnosticHttp')
      this.#steal = new Stealing(context.redirecting, this.#tunnel, budget, transport)
    }
    connection.onDrain = () => this.#tunnel.drained()
    const watched = {
      paused: () => connection.paused,
      lost: (ms: number) => {
        const text = `Nothing was heard of the client for ${Math.round(ms / 1000)} s.`
        connection.destroy(new ConnectionError('PING_TIMEOUT', text))
      },
    }
    this.#silence = new SilenceWatch(watched, context.silenceMs)
    connection.onMessage = (message) => {
      this.#spoke = true
      this.#silence.heard()
      try {
        this.#receive(message)
      } catch (error) {
        this.#fail(error instanceof Error ? error.message : String(error))
      }
    }
    connection.onClose = (reason) => void this.end().then(() => left(reason))
  }

  /** False for a mere attempt to connect. */
  get spoke(): boolean {
    return this.#spoke
  }

  /** Releases everything the client has; its connections are reset. Resolves when its redirect rules are gone. */
  end(): Promise<void> {
    this.#ended ??= this.#release()
    return this.#ended
  }

  async #release(): Promise<void> {
    this.#silence.close()
    this.#tunnel.close()
    this.#connection.destroy()
    this.#tcp.close()
    this.#udp.close()
    this.#seqpacket.close()
    await Promise.all([this.#steal?.close(), this.#files.close()])
  }

  /** A fatal error: the client is told why, then the connection ends. */
  #fail(text: string): void {
    this.#tunnel.send({type: 'Close', value: text})
    this.#connection.close()
  }

  #receive(message: ClientMessage): void {
    const tunnel = this.#tunnel
    switch (message.type) {
      case 'Ping':
        this.#silence.pinged()
        return tunnel.send({type: 'Pong'})
      case 'SwitchProtocolVersion':
        return this.#switchVersion(message.value)
      case 'ReadyForLogs':
        return tunnel.enableLogs()
      case 'GetEnvVarsRequest': {
        const {envVarsFilter, envVarsSelect} = message.value
        const value = selectEnvironment(this.#context.environment, envVarsFilter, envVarsSelect)
        return tunnel.send({type: 'GetEnvVarsResponse', value: {type: 'Ok', value}})
      }
      case 'TcpOutgoing':
        return this.#tcp.receive(message.value)
      case 'UdpOutgoing':
        return this.#udp.receive(message.value)
      case 'SeqpacketOutgoing':
        return this.#seqpacket.receive(message.value)
      case 'FileRequest':
        return this.#files.receive(message.value)
      case 'GetAddrInfoRequest':
        return this.#names.resolve(message.value.node, {type: 'Ipv4Only'})
      case 'GetAddrInfoRequestV2':
        return this.#names.resolve(message.value.node, message.value.family)
      case 'ReverseDnsLookup':
        return this.#names.reverse(message.value.ipAddress)
      case 'TcpSteal':
        if (this.#steal) return this.#steal.receive(message.value)
        return tunnel.send({type: 'Close', value: 'incoming traffic stealing is not available without a target'})
      case 'Tcp':
        return this.#mirror(message.value)
      case 'PauseTargetRequest':
        return tunnel.send({type: 'Close', value: "Pause isn't supported anymore."})
      case 'Vpn':
        return tunnel.send({type: 'Close', value: 'VPN is not supported'})
      case 'ShareLink':
        // Keys of share links concern HTTP requests, which this agent does not take apart.
        return
      case 'OperatorPong':
        return
      case 'Close':
        return this.#connection.close()
    }
  }

  #switchVersion(announced: string): void {
    if (!parseVersion(announced)) return this.#fail(`'${announced}' is no protocol version`)
    this.#version = announced
    this.#tunnel.send({type: 'SwitchProtocolVersionResponse', value: minVersion(announced, PROTOCOL_VERSION)})
  }

  #mirror(message: Extract<ClientMessage, {type: 'Tcp'}>['value']): void {
    if (message.type !== 'PortSubscribe' && message.type !== 'PortSubscribeFilteredHttp') return
    if (!this.#context.redirecting) {
      return this.#tunnel.send({type: 'Close', value: 'incoming traffic mirroring is not available without a target'})
    }
    this.#tunnel.log('Error', 'mirroring is not supported by this version of the agent')
    const value = {type: 'SubscribeResult', value: {type: 'Err', value: {type: 'NotImplemented'}}} as const
    this.#tunnel.send({type: 'Tcp', value})
  }
}
