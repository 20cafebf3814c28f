import {randomInt} from 'node:crypto'

/** An IP address as text and a port. */
export interface Endpoint {
  address: string
  port: number
}

/** As in URLs: `10.0.0.1:80`, `[fd00::1]:80`. */
export function showEndpoint({address, port}: Endpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/**
 * The session's own loopback address, from 127.64.0.0/10 (all of 127/8 is local to a machine, RFC 1122 3.2.1.3): its relays
 * listen there and its dials to the program come from there, so both can be told from any other local traffic by address
 * alone. Sessions that by chance share an address still work: ports are chosen by the kernel or tried until one is free.
 */
export function pickLoopbackAddress(): string {
  return `127.${randomInt(64, 128)}.${randomInt(0, 256)}.${randomInt(1, 255)}`
}

/** Source ports for dials from the loopback address, one after another: the port is known before the connect. */
export class SourcePorts {
  #next = randomInt(1024, 65_535)

  next(): number {
    this.#next = this.#next >= 65_535 ? 1024 : this.#next + 1
    return this.#next
  }
}
