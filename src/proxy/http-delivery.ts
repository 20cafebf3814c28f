import http from 'node:http'
import type net from 'node:net'
import type {BodyFrame, ClientMessage, HeaderLine, IncomingTraffic, NewTcpConnection} from '../protocol/index.ts'
import type {Endpoint} from './addresses.ts'
import type {Owned} from './agent-switch.ts'
import {readToEnd} from './dial.ts'
import type {FlowControl} from './flow.ts'
import type {TrafficObserver} from './observer.ts'
import {TunnelStream} from './tunnel-stream.ts'

type Id = NewTcpConnection['connectionId']
type StealFrame = Extract<ClientMessage, {type: 'TcpSteal'}>['value']

/** What the delivery needs of the rest of the session. */
export interface HttpDeliveryPorts {
  /** Connects to the program's listener for this port, announced to it with the real peer. Rejects when nothing takes it. */
  dial(port: number, peer: Endpoint | undefined): Promise<{socket: net.Socket; release(): void}>
  send(message: ClientMessage): boolean
  flow: FlowControl
  warn(text: string): void
  observer: TrafficObserver
}

/** A request as the agent parsed it, whichever form it came in. */
interface Head {
  connectionId: Id
  requestId: number
  port: number
  method: string
  uri: string
  version: string
  headers: readonly HeaderLine[]
  frames: readonly BodyFrame[]
  isLast: boolean
  peer?: Endpoint
}

/**
 * Stolen HTTP requests from agents that parse HTTP (upstream's do, also without a filter): each is sent to the program over a
 * connection of its own, and the response travels back frame by frame. HTTP/1 and upgrades; HTTP/2 requests are answered
 * with 502, because their delivery comes with the incoming features.
 */
export class HttpDelivery {
  readonly #ports: HttpDeliveryPorts
  readonly #exchanges = new Map<Id, Exchange>()

  constructor(ports: HttpDeliveryPorts) {
    this.#ports = ports
  }

  /** Takes the message when it belongs to an HTTP exchange; false when it is about a raw connection. */
  receive(message: IncomingTraffic): boolean {
    switch (message.type) {
      case 'HttpRequest': {
        const {internalRequest: head, ...ids} = message.value
        this.#begin({...ids, ...head, frames: [{type: 'Data', value: head.body}], isLast: true})
        return true
      }
      case 'HttpRequestFramed': {
        const {internalRequest: head, ...ids} = message.value
        this.#begin({...ids, ...head, frames: head.body, isLast: true})
        return true
      }
      case 'HttpRequestChunked':
        this.#chunked(message.value)
        return true
      case 'Data':
      case 'Close': {
        const exchange = this.#exchanges.get(message.value.connectionId)
        if (!exchange) return false
        if (message.type === 'Data') exchange.data(message.value.bytes)
        else exchange.close()
        return true
      }
      default:
        return false
    }
  }

  /** The agent of these requests is gone: nobody takes their answers. */
  lost(lost: Owned): void {
    for (const [id, exchange] of [...this.#exchanges]) if (lost(id)) exchange.lost()
  }

  /** Resolves when what the program had written for each request was read. */
  async lastBytes(): Promise<void> {
    await Promise.all([...this.#exchanges.values()].map((exchange) => exchange.lastBytes()))
  }

  /** The program has ended: what it has not answered is told as such. */
  end(): void {
    for (const exchange of this.#exchanges.values()) exchange.end()
  }

  #chunked(message: Extract<IncomingTraffic, {type: 'HttpRequestChunked'}>['value']): void {
    switch (message.type) {
      case 'StartV1': {
        const {internalRequest: head, ...ids} = message.value
        return this.#begin({...ids, ...head, frames: head.body, isLast: false})
      }
      case 'StartV2': {
        const {connectionId, requestId, request, metadata} = message.value
        const {source, destination} = metadata.value
        const peer = {address: source.ip, port: source.port}
        const {frames, isLast} = request.body
        return this.#begin({connectionId, requestId, port: destination.port, peer, ...request, frames, isLast})
      }
      case 'Body':
        return this.#exchanges.get(message.value.connectionId)?.body(message.value.frames, message.value.isLast)
      case 'ErrorV1':
      case 'ErrorV2':
        return this.#exchanges.get(message.value.connectionId)?.close()
    }
  }

  #begin(head: Head): void {
    const exchange = new Exchange(head, this.#ports, () => this.#exchanges.delete(head.connectionId))
    this.#exchanges.set(head.connectionId, exchange)
    exchange.begin()
  }
}

/** One request and its response. */
class Exchange {
  readonly #head: Head
  readonly #ports: HttpDeliveryPorts
  readonly #ended: () => void
  #socket?: net.Socket
  #request?: http.ClientRequest
  #upgraded?: TunnelStream
  /** Frames that arrive before the program's connection is made. */
  #early: {frames: readonly BodyFrame[]; isLast: boolean}[] = []
  #started = false
  #over = false
  readonly #began = performance.now()
  #told = false

  constructor(head: Head, ports: HttpDeliveryPorts, ended: () => void) {
    this.#head = head
    this.#ports = ports
    this.#ended = ended
  }

  begin(): void {
    const {version, port, peer, frames, isLast} = this.#head
    if (version === 'HTTP/2.0') return this.#fail('this version of mirrord delivers HTTP/1 only')
    this.#early.push({frames, isLast})
    this.#ports.dial(port, peer).then(
      ({socket, release}) => this.#deliver(socket, release),
      (error: Error) => this.#fail(`the local program does not take the connection: ${error.message}`),
    )
  }

  body(frames: readonly BodyFrame[], isLast: boolean): void {
    if (!this.#request) return void this.#early.push({frames, isLast})
    if (this.#request.writableEnded) return
    for (const frame of frames) {
      if (frame.type === 'Data') {
        if (frame.value.length > 0 && !this.#request.write(frame.value)) this.#slow()
      } else this.#request.addTrailers(frame.value.map(([name, value]) => [name, value] as [string, string]))
    }
    if (isLast) this.#request.end()
  }

  /** Bytes after an upgrade; before it there are none. */
  data(bytes: Uint8Array): void {
    this.#upgraded?.receive(bytes)
  }

  /** Resolves when what the program had written was read; what is not dialled yet has nothing. */
  async lastBytes(): Promise<void> {
    if (this.#socket) await readToEnd(this.#socket)
  }

  /** The program has ended. */
  end(): void {
    this.#tell(undefined)
  }

  /** The agent is done with the exchange: after success, or because the original client went away. */
  close(): void {
    if (this.#upgraded) return this.#upgraded.close()
    this.#finish()
    this.#request?.destroy()
  }

  /** There is nobody to answer to. */
  lost(): void {
    this.#upgraded?.reset()
    this.#finish()
    this.#request?.destroy()
  }

  #deliver(socket: net.Socket, release: () => void): void {
    const counter = this.#ports.observer.incoming(this.#head.port)
    socket.once('close', () => {
      counter.in(socket.bytesWritten)
      counter.out(socket.bytesRead)
      release()
    })
    if (this.#over) return void socket.destroy()
    this.#socket = socket
    const {method, uri, headers} = this.#head
    const request = http.request({
      createConnection: () => socket,
      method,
      path: originForm(uri),
      headers: headers.flatMap(([name, value]) => [name, value]),
      setHost: false,
      setDefaultHeaders: false,
    })
    this.#request = request
    request.on('response', (response) => this.#respond(response))
    request.on('upgrade', (response, upgraded: net.Socket, first: Buffer) => this.#upgrade(response, upgraded, first))
    request.on('error', (error) => this.#fail(`the local program broke the connection: ${error.message}`))
    socket.resume()
    for (const {frames, isLast} of this.#early) this.body(frames, isLast)
    this.#early = []
  }

  /** The program reads the request slowly: counts like a slow raw connection. */
  #slow(): void {
    const request = this.#request!
    this.#ports.flow.grown(this, request.writableLength, () => request.destroy(new Error('it reads nothing')))
    request.once('drain', () => this.#ports.flow.shrunk(this, request.writableLength))
  }

  #respond(response: http.IncomingMessage): void {
    const {connectionId, requestId} = this.#head
    this.#started = true
    this.#tell(response.statusCode)
    this.#send({
      type: 'HttpResponseChunked',
      value: {type: 'Start', value: {...this.#ids(), internalResponse: {...headOf(response), body: []}}},
    })
    response.on('data', (bytes: Buffer) => {
      const frames: BodyFrame[] = [{type: 'Data', value: bytes}]
      if (this.#body(frames, false)) return
      response.pause()
      this.#ports.flow.waitForDrain(this, () => response.resume())
    })
    response.on('end', () => {
      const trailers = linesOf(response.rawTrailers)
      this.#body(trailers.length > 0 ? [{type: 'Trailers', value: trailers}] : [], true)
      this.#finish()
    })
    response.on('close', () => {
      if (response.complete || this.#over) return
      this.#send({type: 'HttpResponseChunked', value: {type: 'Error', value: {connectionId, requestId}}})
      this.#finish()
    })
    response.on('error', () => {}) // 'close' follows
  }

  #body(frames: BodyFrame[], isLast: boolean): boolean {
    const {connectionId, requestId} = this.#head
    return this.#send({
      type: 'HttpResponseChunked',
      value: {type: 'Body', value: {frames, isLast, connectionId, requestId}},
    })
  }

  /** After 101 the socket carries another protocol: from here on it is a raw connection. */
  #upgrade(response: http.IncomingMessage, socket: net.Socket, first: Buffer): void {
    const {connectionId} = this.#head
    this.#started = true
    this.#tell(response.statusCode)
    const {flow} = this.#ports
    this.#send({type: 'HttpResponseFramed', value: {...this.#ids(), internalResponse: {...headOf(response), body: []}}})
    const data = (bytes: Uint8Array) => this.#send({type: 'Data', value: {connectionId, bytes}})
    if (first.length > 0) data(first)
    const close = () => this.#send({type: 'ConnectionUnsubscribe', value: connectionId})
    this.#upgraded = new TunnelStream(socket, {data, close, ended: () => this.#finish()}, flow)
  }

  /** Answers 502 while nothing was answered; afterwards the response is cut. */
  #fail(reason: string): void {
    if (this.#over) return
    const {connectionId, requestId, version} = this.#head
    this.#ports.warn(`a stolen request to port ${this.#head.port} failed: ${reason}`)
    if (this.#started) {
      this.#send({type: 'HttpResponseChunked', value: {type: 'Error', value: {connectionId, requestId}}})
    } else {
      const body = new TextEncoder().encode(`mirrord: ${reason}\n`)
      const internalResponse = {status: 502, version: version as 'HTTP/1.1', headers: [], body}
      this.#send({type: 'HttpResponse', value: {...this.#ids(), internalResponse}})
    }
    this.#finish()
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    this.#tell(undefined)
    this.#ports.flow.forget(this)
    this.#ended()
  }

  /** Once: with the first answer, or at the end without one. What we answered for the program is not its answer. */
  #tell(status: number | undefined): void {
    if (this.#told) return
    this.#told = true
    const {port, method, uri: path} = this.#head
    this.#ports.observer.request({port, method, path, stolen: true, status, ms: performance.now() - this.#began})
  }

  #ids(): {port: number; connectionId: Id; requestId: number} {
    const {port, connectionId, requestId} = this.#head
    return {port, connectionId, requestId}
  }

  #send(value: StealFrame): boolean {
    return this.#ports.send({type: 'TcpSteal', value})
  }
}

/** The request target for the program: agents give the absolute form of HTTP/2 and proxies too. */
function originForm(uri: string): string {
  if (!/^[a-z][a-z\d+.-]*:\/\//i.test(uri)) return uri
  const {pathname, search} = new URL(uri)
  return pathname + search
}

function headOf(response: http.IncomingMessage) {
  const version = response.httpVersion === '1.0' ? ('HTTP/1.0' as const) : ('HTTP/1.1' as const)
  return {status: response.statusCode ?? 502, version, headers: linesOf(response.rawHeaders)}
}

/** Node's flat list of names and values as lines. Lines of one name must be adjacent on the wire. */
function linesOf(raw: readonly string[]): HeaderLine[] {
  const lines = new Map<string, HeaderLine[]>()
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index]!.toLowerCase()
    lines.set(name, [...(lines.get(name) ?? []), [name, raw[index + 1]!]])
  }
  return [...lines.values()].flat()
}
