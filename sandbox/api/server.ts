import {createServer as createPlainServer} from 'node:http'
import type {IncomingMessage, ServerResponse} from 'node:http'
import {createServer} from 'node:https'
import {createServer as createSilentServer, Server as NetServer} from 'node:net'
import type {AddressInfo, Socket} from 'node:net'
import type {Duplex} from 'node:stream'

import type {Access, User} from './auth.ts'
import type {KeyPair} from './certs.ts'
import {everyResource} from './custom.ts'
import {staticAnswer} from './discovery.ts'
import {FaultGate} from './fault-gate.ts'
import {list, present, shapeOf, watch, filterOf} from './reads.ts'
import {BODIES, contentType, parsePath, parseTarget, readBody, verbOf} from './request.ts'
import type {Target} from './request.ts'
import {reviews} from './resources.ts'
import {answerReview, createToken} from './reviews.ts'
import {ApiError, forbidden, methodNotAllowed, noSuchPath, unsupportedMediaType} from './status.ts'
import type {Store} from './store.ts'
import type {Obj} from './types.ts'
import {create, deleteOptions, patch, read, remove, replace} from './writes.ts'
import type {Hooks} from './writes.ts'

/** The kubelet's side of pod subresources. */
export interface PodStreams {
  /** Streams a container's log into the response, which it ends. Throws ApiError before the first byte only. */
  logs(target: Target, query: URLSearchParams, response: ServerResponse): Promise<void>
  /** Takes over an upgraded connection. Throws ApiError before it has written anything. */
  portForward(target: Target, query: URLSearchParams, request: IncomingMessage, socket: Duplex, head: Buffer): void
}

export interface ApiServerOptions {
  store: Store
  access: Access
  hooks: Hooks
  streams: PodStreams
  ca: string
  pair: KeyPair
}

export class ApiServer {
  private readonly gate: FaultGate
  private readonly servers: NetServer[] = []
  private readonly options: ApiServerOptions
  /** Every connection: servers do not know those that were taken over, nor those whose handshake is under way. */
  private readonly connections = new Set<Socket>()

  constructor(options: ApiServerOptions) {
    this.options = options
    this.gate = new FaultGate(options.access, options.store)
  }

  get faults() {
    return this.gate.faults
  }

  /** Listens on `host`, with a certificate, or without TLS. Port 0 takes a free one. Returns the port. */
  async listen(host: string, port: number, pair: KeyPair | 'plain' = this.options.pair): Promise<number> {
    const server =
      pair === 'plain'
        ? createPlainServer()
        : createServer({...pair, ca: this.options.ca, requestCert: true, rejectUnauthorized: false})
    server.on('request', (request, response) => void this.serve(request, response))
    server.on(
      'upgrade',
      (request: IncomingMessage, socket: Duplex, head: Buffer) => void this.upgrade(request, socket, head),
    )
    this.gate.watch(server)
    server.keepAliveTimeout = 60_000
    return this.open(server, host, port)
  }

  /** Listens, and never says anything. Returns the port. */
  async listenSilently(host: string): Promise<number> {
    const server = createSilentServer((socket) => {
      socket.on('error', () => socket.destroy())
      socket.resume()
    })
    return this.open(server, host, 0)
  }

  private async open(server: NetServer, host: string, port: number): Promise<number> {
    server.on('connection', (socket: Socket) => {
      socket.setNoDelay(true)
      this.connections.add(socket)
      socket.on('close', () => this.connections.delete(socket))
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({host, port}, resolve)
    })
    this.servers.push(server)
    return (server.address() as AddressInfo).port
  }

  /** Ends every connection and stops listening. */
  async close(): Promise<void> {
    // Not the close of HTTP servers: it looks at connections of which a fault may have left half (Node 22: TypeError).
    const closed = this.servers.map(
      (server) => new Promise((resolve) => NetServer.prototype.close.call(server, resolve)),
    )
    for (const socket of this.connections) socket.destroy()
    await Promise.all(closed)
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? '/', 'https://sandbox')
      if (url.pathname === '/sandbox/faults') return reply(response, 200, await this.gate.control(request))
      if (await this.gate.passes(request, response, url)) await this.route(request, response, url)
    } catch (error) {
      if (response.headersSent) return void response.destroy()
      const failure =
        error instanceof ApiError
          ? error
          : new ApiError(500, 'InternalError', `Internal error occurred: ${(error as Error).message}`)
      reply(response, failure.code, failure.body)
    }
  }

  private async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy())
    try {
      const url = new URL(request.url ?? '/', 'https://sandbox')
      if (!(await this.gate.passesUpgrade(request, socket, url))) return
      const user = this.options.access.authenticate(request)
      const path = parsePath(url.pathname)
      const target = path && parseTarget(this.options.store, path)
      if (!target?.name || target.subresource !== 'portforward' || target.resource.plural !== 'pods') throw noSuchPath()
      // Both GET (WebSocket) and POST (SPDY) are "create" to the authoriser only when POSTed: GET is "get".
      this.authorize(user, request.method === 'POST' ? 'create' : 'get', target)
      this.options.store.get(target.resource, target.namespace, target.name)
      this.options.streams.portForward(target, url.searchParams, request, socket, head)
    } catch (error) {
      const {code, body} = error instanceof ApiError ? error : new ApiError(500, 'InternalError', String(error))
      const text = JSON.stringify(body)
      const lines = [
        `HTTP/1.1 ${code} ${body.reason}`,
        'content-type: application/json',
        `content-length: ${Buffer.byteLength(text)}`,
        'connection: close',
      ]
      socket.end(`${lines.join('\r\n')}\r\n\r\n${text}`)
    }
  }

  private authorize(user: User, verb: string, target: Target): void {
    const {resource, namespace, name, subresource} = target
    // A namespace is checked within itself, so that rules for one namespace cover reading it.
    const scope = namespace ?? (resource.plural === 'namespaces' ? name : undefined)
    this.options.access.authorize({
      user: user.name,
      verb,
      group: resource.group,
      resource: resource.plural,
      subresource,
      namespace: scope,
      name,
    })
  }

  private async route(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const {store, access} = this.options
    const user = access.authenticate(request)
    const path = parsePath(url.pathname)
    if (!path) {
      access.authorize({
        user: user.name,
        verb: request.method!.toLowerCase(),
        group: '',
        resource: '',
        path: url.pathname,
      })
      if (/^\/(healthz|livez|readyz)(\/|$)/.test(url.pathname))
        return void response.writeHead(200, {'content-type': 'text/plain'}).end('ok')
      const answer = staticAnswer(
        url.pathname.replace(/(.)\/$/, '$1'),
        request.headers.host ?? '',
        everyResource(store),
      )
      if (!answer) throw noSuchPath()
      if (request.method !== 'GET') throw methodNotAllowed()
      return reply(response, 200, answer)
    }
    const review = reviews.find(
      (r) =>
        r.group === path.group && path.version === r.version && r.plural === path.rest[0] && path.rest.length === 1,
    )
    if (review) {
      if (user.name === 'system:anonymous') {
        throw forbidden({user: user.name, verb: 'create', group: review.group, resource: review.plural})
      }
      if (request.method !== 'POST') throw methodNotAllowed()
      return reply(response, 201, answerReview(access, user, review.kind, (await readBody(request)) as Obj))
    }
    const target = parseTarget(store, path)
    const verb = verbOf(request.method!, target, url.searchParams)
    this.authorize(user, verb, target)
    const {resource, namespace, name, subresource} = target
    const allowed = subresource ? resource.subresources?.[subresource]?.verbs : resource.verbs
    if (!allowed) throw noSuchPath()
    if (!allowed.includes(verb)) throw methodNotAllowed()

    const query = url.searchParams
    const shape = shapeOf(request.headers.accept, query)
    const dryRun = query.has('dryRun')
    if (resource.plural === 'pods' && subresource === 'log') return this.options.streams.logs(target, query, response)
    if (subresource === 'portforward') throw new ApiError(400, 'BadRequest', 'Upgrade request required')
    if (subresource === 'token')
      return reply(response, 201, createToken(store, access, target, await readBody(request)))
    switch (verb) {
      case 'get':
        return reply(response, 200, present(resource, read(store, target), shape))
      case 'list':
        return reply(response, 200, list(store, resource, namespace, query, shape))
      case 'watch':
        if (name) query.set('fieldSelector', `metadata.name=${name}`)
        return watch(store, resource, namespace, query, shape, response)
      case 'create':
        return reply(
          response,
          201,
          present(resource, create(store, this.options.hooks, target, await this.json(request), {dryRun}), shape),
        )
      case 'update':
        return reply(
          response,
          200,
          present(resource, replace(store, target, await this.json(request), {dryRun}), shape),
        )
      case 'patch':
        return reply(
          response,
          200,
          present(resource, patch(store, target, contentType(request), await readBody(request), {dryRun}), shape),
        )
      case 'delete': {
        const options = deleteOptions(await readBody(request), query)
        const result = remove(store, resource, store.get(resource, namespace, name!), options)
        return reply(response, 200, result)
      }
      case 'deletecollection': {
        const options = deleteOptions(await readBody(request), query)
        const matches = filterOf(resource, namespace, query)
        const answer = list(store, resource, namespace, query, shape)
        for (const object of store.list(resource, namespace).filter(matches)) remove(store, resource, object, options)
        return reply(response, 200, answer)
      }
      default:
        throw methodNotAllowed()
    }
  }

  private async json(request: IncomingMessage): Promise<unknown> {
    if (!BODIES.includes(contentType(request))) throw unsupportedMediaType(BODIES)
    return readBody(request)
  }
}

function reply(response: ServerResponse, code: number, body: unknown): void {
  const text = JSON.stringify(body)
  response.writeHead(code, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-cache, private',
  })
  response.end(text)
}
