import {createSocket, type Socket as Datagrams} from 'node:dgram'
import {connect, isIPv4, type NetConnectOpts, type Socket} from 'node:net'
import type {ResponseError, SocketAddr, SocketAddress} from '../../protocol/index.ts'
import type {RootedFiles} from '../files/rooted.ts'
import {ioFailure, syntheticFailure} from '../os-error.ts'

/** A connection that could not be made, as the client is told. */
export class ConnectError extends Error {
  readonly response: ResponseError

  constructor(response: ResponseError, cause?: unknown) {
    super('connecting failed', {cause})
    this.response = response
  }
}

/** How long a connection attempt may take, in milliseconds (protocol.md 4.2). */
export const CONNECT_TIMEOUT = 5000

/**
 * Connects a TCP or unix stream socket. The socket comes paused, half-open capable.
 * @param files where unix path names are looked up: the target's root
 * @throws ConnectError
 */
export async function connectStream(address: SocketAddress, files: RootedFiles, timeout: number): Promise<Socket> {
  if (address.type === 'Ip') return dial({host: address.value.ip, port: address.value.port}, timeout)
  const unix = address.value
  if (unix.type === 'Unnamed') throw new ConnectError(syntheticFailure('Other'))
  if (unix.type === 'Abstract') {
    // Node takes abstract names as text with a leading NUL and encodes them as UTF-8.
    const name = Buffer.from(unix.value)
    if (!Buffer.from(name.toString('utf8')).equals(name)) throw new ConnectError(syntheticFailure('Unsupported'))
    return dial({path: `\0${name.toString('utf8')}`}, timeout)
  }
  const located = await files.locate(unix.value, true).catch((error: unknown) => {
    throw new ConnectError(ioFailure(error), error)
  })
  try {
    // Through the descriptor: no second resolution, and no limit of 107 bytes for the path.
    return await dial({path: located.path}, timeout)
  } finally {
    await located.close()
  }
}

function dial(options: NetConnectOpts, timeout: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({...options, allowHalfOpen: true, noDelay: true})
    socket.pause()
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new ConnectError(syntheticFailure('TimedOut')))
    }, timeout)
    const failed = (error: Error) => {
      clearTimeout(timer)
      reject(new ConnectError(ioFailure(error), error))
    }
    socket.once('error', failed)
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.off('error', failed)
      resolve(socket)
    })
  })
}

/**
 * Binds and connects a UDP socket, so that only datagrams of that peer arrive.
 * @throws ConnectError; unix addresses are refused as upstream does
 */
export function connectDatagrams(address: SocketAddress): Promise<Datagrams> {
  if (address.type !== 'Ip') return Promise.reject(new ConnectError(syntheticFailure('Other')))
  const {ip, port} = address.value
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv4(ip) ? 'udp4' : 'udp6')
    const failed = (error: unknown) => {
      socket.close()
      reject(new ConnectError(ioFailure(error), error))
    }
    socket.once('error', failed)
    try {
      // Node gives the callback an error instead of the event when the connect itself fails.
      socket.connect(port, ip, (error?: Error) => {
        if (error) return failed(error)
        socket.off('error', failed)
        resolve(socket)
      })
    } catch (error) {
      // Port 0 is refused by Node before the system sees it.
      failed(Object.assign(new Error('invalid port', {cause: error}), {code: 'EINVAL'}))
    }
  })
}

/** The two addresses of a connected IP socket, as the client is told. */
export function addressesOf(socket: Socket): {remoteAddress: SocketAddr; localAddress: SocketAddr} {
  return {
    remoteAddress: {ip: socket.remoteAddress ?? '0.0.0.0', port: socket.remotePort ?? 0},
    localAddress: {ip: socket.localAddress ?? '0.0.0.0', port: socket.localPort ?? 0},
  }
}
