import net from 'node:net'
import {finished} from 'node:stream'
import type {Endpoint, SourcePorts} from './addresses.ts'

/** Dials that meet a used source port try the next one; more than a few in a row mean that something else is wrong. */
const DIAL_ATTEMPTS = 20

/** What a dial needs of the rest of the session. */
export interface DialPorts {
  /** The session's own loopback address: dials come from it. */
  address: string
  sources: SourcePorts
  /** Announces a dial to the trap before it is made. Absent without interception. */
  registerPeer?(source: Endpoint, peer: Endpoint, local: Endpoint): Promise<void>
  forgetPeer?(source: Endpoint): void
}

/** Connects to a listener of the program from a source address that the trap has been told of. Errors: those of connect(2). */
export async function dial(
  target: Endpoint,
  peer: Endpoint,
  local: Endpoint,
  ports: DialPorts,
): Promise<{socket: net.Socket; source: Endpoint}> {
  let refused: Error | undefined
  for (const [host, from] of dialPairs(target.address, ports.address)) {
    for (let attempt = 0; attempt < DIAL_ATTEMPTS; attempt++) {
      const source = {address: from, port: ports.sources.next()}
      await ports.registerPeer?.(source, peer, local)
      try {
        return {socket: await connect(host, target.port, source), source}
      } catch (error) {
        ports.forgetPeer?.(source)
        const {code} = error as NodeJS.ErrnoException
        refused = error as Error
        if (code !== 'EADDRINUSE' && code !== 'EADDRNOTAVAIL') break
      }
    }
  }
  throw refused ?? new Error('no address to dial')
}

/** Resolves when all that the program had written to the socket was read, or cannot be any more. */
export function readToEnd(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => void finished(socket, {writable: false}, () => resolve()))
}

/** Where to dial a listener, and from where. A dual-stack or IPv6-only `::` listener is tried with IPv4 first. */
function dialPairs(address: string, own: string): (readonly [string, string])[] {
  const four = ['127.0.0.1', own] as const
  const six = ['::1', '::1'] as const
  if (address === '0.0.0.0') return [four]
  if (address === '::') return [four, six]
  return address.includes(':') ? [[address, address]] : [[address, address.startsWith('127.') ? own : address]]
}

function connect(host: string, port: number, source: Endpoint): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({
      host,
      port,
      localAddress: source.address,
      localPort: source.port,
      noDelay: true,
      allowHalfOpen: true,
    })
    socket.pause()
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}
