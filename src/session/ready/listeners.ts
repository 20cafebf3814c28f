import {EventEmitter} from 'node:events'
import type {Address, Listener} from '../../trap/trap.ts'

/**
 * The listening sockets of the program's tree, each from the moment at which its listen(2) has succeeded. They say
 * where a port of the program really is: it may have been moved because this machine had the port in use.
 */
export class Listeners {
  readonly #listeners = new Map<number, Listener>()
  readonly #stolen = new Set<number>()
  readonly #events = new EventEmitter().setMaxListeners(0)

  /** @param stolen the traffic of its port in the cluster arrives at it */
  add(listener: Listener, stolen: boolean): void {
    this.#listeners.set(listener.id, listener)
    if (stolen) this.#stolen.add(listener.id)
    this.#events.emit('change')
  }

  remove(id: number): void {
    this.#stolen.delete(id)
    if (this.#listeners.delete(id)) this.#events.emit('change')
  }

  /** The ports as the program knows them, ascending. */
  get ports(): number[] {
    return ascending([...this.#listeners.values()])
  }

  /** Those whose traffic arrives here. */
  get stolenPorts(): number[] {
    return ascending([...this.#listeners.values()].filter(({id}) => this.#stolen.has(id)))
  }

  /** Where a port of the program can be dialled on this machine, most recent listener first; empty while it is closed. */
  at(port: number): Address[] {
    return [...this.#listeners.values()]
      .filter((listener) => portOf(listener) === port)
      .reverse()
      .flatMap(({actual}) => dialled(actual.address).map((address) => ({address, port: actual.port})))
  }

  /** Calls `changed` when a listener comes or goes; returns what ends that. */
  subscribe(changed: () => void): () => void {
    this.#events.on('change', changed)
    return () => this.#events.off('change', changed)
  }
}

function ascending(listeners: readonly Listener[]): number[] {
  return [...new Set(listeners.map(portOf))].sort((a, b) => a - b)
}

/** The port as the program knows it. */
function portOf({asked, actual}: Listener): number {
  return asked.port === 0 ? actual.port : asked.port
}

/** A listener of all addresses is reached by loopback; one of `::` may be for IPv6 alone, or for both. */
function dialled(address: string): string[] {
  if (address === '0.0.0.0') return ['127.0.0.1']
  return address === '::' ? ['127.0.0.1', '::1'] : [address]
}
