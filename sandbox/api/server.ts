import {createServer} from 'node:https'
import type {IncomingMessage, ServerResponse} from 'node:http'
import type {Server} from 'node:https'
import type {AddressInfo, Socket} from 'node:net'
import type {Duplex} from 'node:stream'

import type {Access, User} from './auth.ts'
import type {KeyPair} from './certs.ts'
import {everyResource} from './custom.ts'
import {staticAnswer} from './discovery.ts'
import {list, present, shapeOf, watch, filterOf} from './reads.ts'
import {BODIES, contentType, parsePath, parseTarget, readBody} from './request.ts'
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

/** A fault on demand: the first request that matches gets this instead of its answer. */
export interface Fault {
  method?: string
  path: RegExp
  /** HTTP status of the answer; absent: the connection is cut. */
  code?: number
  /** Seconds for a Retry-After header. */
  retryAfter?: number
  /** How often; 1 when absent. */
  times?: number
}

export class ApiServer {
  private readonly servers: Server[] = []
  private readonly options: ApiServerOptions
  private faults: Fault[] = []
  /** Connections that were taken over: the server no longer knows them. */
  private readonly upgraded = new Set<Duplex>()

  constructor(options: ApiServerOptions) {
    this.options = options
  }

  /** Listens on `host`. Port 0 takes a free one. Returns the port. */
  async listen(host: string, port: number): Promise<number> {
    const {ca, pair} = this.options
    const server = createServer({ca, cert: pair.cert, key: pair.key, requestCert: true, rejectUnauthorized: false})
    server.on('request', (request, response) => void this.serve(request, response))
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.upgrade(request, socket, head),
    )
    server.on('connection', (socket: Socket) => socket.setNoDelay(true))
    server.keepAliveTimeout = 60_000
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({host, port}, resolve)
    })
    this.servers.push(server)
    return (server.address() as AddressInfo).port
  }

  /** Makes later requests fail as told. */
  fail(fault: Fault): void {
    this.faults.push({...fault, times: fault.times ?? 1})
  }

  /** Ends every connection and stops listening. */
  async close(): Promise<void> {
    for (const socket of this.upgraded) socket.destroy()
    await Promise.all(
      this.servers.map(async (server) => {
        const closed = new Promise((resolve) => server.close(resolve))
        server.closeAllConnections()
        await closed
      }),
    )
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.route(request, response)
    } catch (error) {
      if (response.headersSent) return void response.destroy()
      const failure =
        error instanceof ApiError
          ? error
          : new ApiError(500, 'InternalError', `Internal error occurred: ${(error as Error).message}`)
      reply(response, failure.code, failure.body)
    }
  }

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    this.upgraded.add(socket)
    socket.on('close', () => this.upgraded.delete(socket))
    try {
      const url = new URL(request.url ?? '/', 'https://sandbox')
      if (this.injected(request, url)) return void socket.destroy()
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

  private injected(request: IncomingMessage, url: URL): Fault | undefined {
    const path = url.pathname + url.search
    const fault = this.faults.find(
      (f) => f.times! > 0 && (f.method ?? request.method) === request.method && f.path.test(path),
    )
    if (fault) fault.times!--
    return fault
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

  private async route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const {store, access} = this.options
    const url = new URL(request.url ?? '/', 'https://sandbox')
    const fault = this.injected(request, url)
    if (fault) {
      if (fault.code === undefined) return void request.socket.destroy()
      if (fault.retryAfter !== undefined) response.setHeader('retry-after', String(fault.retryAfter))
      throw new ApiError(
        fault.code,
        fault.code === 429 ? 'TooManyRequests' : 'InternalError',
        'this failure was asked for by the test',
      )
    }
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
    const watching = ['true', '1'].includes(url.searchParams.get('watch') ?? '')
    const verb = verbOf(request.method!, target, watching)
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

function verbOf(method: string, target: Target, watching: boolean): string {
  switch (method) {
    case 'GET':
    case 'HEAD':
      return watching ? 'watch' : target.name ? 'get' : 'list'
    case 'POST':
      return 'create'
    case 'PUT':
      return 'update'
    case 'PATCH':
      return 'patch'
    case 'DELETE':
      return target.name ? 'delete' : 'deletecollection'
    default:
      throw methodNotAllowed()
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
