import {connect, isIPv4, type Socket} from 'node:net'
import type {Log} from '../log.ts'
import type {IncomingConnection, PortOwner} from './redirector.ts'

/**
 * Connects redirected connections that nobody owns to the application itself. Binding to loopback keeps the source
 * from being the pod's address, so the gid rule lets the connection through and it cannot come back here.
 */
export class PassThrough implements PortOwner {
  readonly #originalFirst: boolean
  readonly #log: Log

  /** @param originalFirst try the address that was dialled before loopback (`MIRRORD_AGENT_EXTERNAL_IP_FIX`) */
  constructor(originalFirst: boolean, log: Log) {
    this.#originalFirst = originalFirst
    this.#log = log
  }

  accept({socket, port, destination}: IncomingConnection): void {
    const loopback = isIPv4(destination) ? '127.0.0.1' : '::1'
    const hosts = this.#originalFirst ? [destination, loopback] : [loopback, destination]
    this.#connect(socket, port, [...new Set(hosts)], loopback)
  }

  #connect(peer: Socket, port: number, [host, ...others]: string[], localAddress: string): void {
    if (host === undefined || peer.destroyed) return void peer.resetAndDestroy()
    const application = connect({host, port, localAddress, allowHalfOpen: true, noDelay: true})
    const giveUp = () => application.destroy()
    peer.once('close', giveUp)
    application.once('error', (error) => {
      peer.off('close', giveUp)
      this.#log('debug', `passing a connection to ${host}:${port}: ${error.message}`)
      this.#connect(peer, port, others, localAddress)
    })
    application.once('connect', () => {
      application.removeAllListeners('error')
      peer.off('close', giveUp)
      join(peer, application)
    })
  }
}

/** Copies both ways with half close; a failure of either side resets the other. */
function join(a: Socket, b: Socket): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.on('error', () => to.resetAndDestroy())
    from.on('close', () => to.destroySoon())
    from.pipe(to)
  }
}
