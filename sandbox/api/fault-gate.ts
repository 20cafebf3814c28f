import type {IncomingMessage, ServerResponse} from 'node:http'
import type {Server, Socket} from 'node:net'
import type {Duplex} from 'node:stream'

import type {Access} from './auth.ts'
import {applyToRequest, applyToUpgrade, freeze, reset} from './fault-effects.ts'
import {Faults} from './faults.ts'
import type {Call, Fault} from './faults.ts'
import {parsePath, parseTarget, readBody, verbOf} from './request.ts'
import {reviews} from './resources.ts'
import {forbidden, methodNotAllowed} from './status.ts'
import type {Store} from './store.ts'

/** What requests pass before they are served: here the server's faults hit them. */
export class FaultGate {
  readonly faults = new Faults()
  private readonly access: Access
  private readonly store: Store
  /** What is below TLS, by the client's address. */
  private readonly below = new Map<string, Socket>()

  constructor(access: Access, store: Store) {
    this.access = access
    this.store = store
  }

  /** Must see a server's connections to be able to reset them. */
  watch(server: Server): void {
    server.on('connection', (socket: Socket) => {
      const address = addressOf(socket)
      this.below.set(address, socket)
      socket.on('close', () => this.below.delete(address))
    })
  }

  /** Whether a request is to be served; false when a fault was its end. */
  async passes(request: IncomingMessage, response: ServerResponse, url: URL): Promise<boolean> {
    const call = this.describe(request, url)
    const cut = () => this.cut(request.socket)
    const effect = this.faults.pick(call)
    if (effect && !(await applyToRequest(effect, request, response, cut))) return false
    const strike = (how: 'cut' | 'freeze') => (how === 'cut' ? cut() : freeze(request.socket))
    response.on('close', this.faults.opened({call, strike}))
    return true
  }

  /** The same for a WebSocket upgrade. */
  async passesUpgrade(request: IncomingMessage, socket: Duplex, url: URL): Promise<boolean> {
    const call = this.describe(request, url)
    const cut = () => this.cut(socket)
    const effect = this.faults.pick(call)
    if (effect && !(await applyToUpgrade(effect, socket, cut))) return false
    const strike = (how: 'cut' | 'freeze') => (how === 'cut' ? cut() : freeze(socket))
    socket.on('close', this.faults.opened({call, strike}))
    return true
  }

  /** For tests in other processes: GET tells the faults with their hits, PUT replaces them. Only the administrator may. */
  async control(request: IncomingMessage): Promise<object> {
    const user = this.access.authenticate(request)
    if (!user.groups.includes('system:masters'))
      throw forbidden({user: user.name, verb: 'update', group: '', resource: '', path: '/sandbox/faults'})
    if (request.method === 'PUT') this.faults.set((await readBody(request)) as Fault[])
    else if (request.method !== 'GET') throw methodNotAllowed()
    return this.faults.list
  }

  private cut(socket: Duplex): void {
    reset(socket, this.below.get(addressOf(socket as Socket)))
  }

  /** What is asked, as far as it can be told; nothing is checked here. */
  private describe(request: IncomingMessage, {pathname, searchParams}: URL): Call {
    const call: Call = {verb: request.method!.toLowerCase(), resource: '', path: pathname}
    try {
      call.user = this.access.authenticate(request).name
      const path = parsePath(pathname)
      const review = path && reviews.find(({group, plural}) => group === path.group && plural === path.rest[0])
      if (review) return {...call, verb: 'create', resource: review.plural}
      if (!path) return call
      const target = parseTarget(this.store, path)
      const {resource, subresource, namespace, name} = target
      const verb = verbOf(request.method!, target, searchParams)
      return {...call, verb, resource: resource.plural + (subresource ? `/${subresource}` : ''), namespace, name}
    } catch {
      return call
    }
  }
}

const addressOf = ({remoteAddress, remotePort}: Socket) => `${remoteAddress} ${remotePort}`
