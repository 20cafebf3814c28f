import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {getSystemErrorName} from 'node:util'
import type {Socket} from 'node:net'
import type {SocketAddress} from '../../protocol/index.ts'
import {frame, FrameReader} from '../../util/frames.ts'
import type {Located, RootedFiles} from '../files/rooted.ts'
import type {WriteBudget} from '../flow/budget.ts'
import {SocketRelay} from '../flow/relay.ts'
import type {Tunnel} from '../flow/tunnel.ts'
import {fromErrno, ioFailure, syntheticFailure} from '../os-error.ts'
import {ConnectError, CONNECT_TIMEOUT} from './connect.ts'
import type {Connected, Connector, OutgoingConnection} from './outgoing.ts'

/** Descriptors of the helper (native/trap/net/bridge.c): its stream to us, and the socket's inode. */
const STREAM = 3
const INODE = 4

/**
 * Unix SOCK_SEQPACKET, which Node does not have: a helper process for each connection makes it and carries its messages
 * as frames over a socket pair. @param helper undefined: connections are refused. @param files for path names
 */
export function seqpacketConnector(
  helper: string | undefined,
  files: RootedFiles,
  tunnel: Tunnel,
  budget: WriteBudget,
): Connector {
  return async (address) => {
    if (address.type !== 'Unix' || address.value.type === 'Unnamed') throw new ConnectError(syntheticFailure('Other'))
    if (helper === undefined) {
      tunnel.log('Warn', 'seqpacket sockets need the program mirrord-trap beside the agent, and this image has none')
      throw new ConnectError({type: 'NotImplemented'})
    }
    const bridge = await connectBridge(helper, address.value, files)
    const localAddress: SocketAddress = {type: 'Unix', value: {type: 'Unnamed'}}
    return {remoteAddress: address, localAddress, ...startable(bridge, tunnel, budget)}
  }
}

interface Bridge {
  child: ChildProcess
  socket: Socket
}

async function connectBridge(
  helper: string,
  address: Exclude<Extract<SocketAddress, {type: 'Unix'}>['value'], {type: 'Unnamed'}>,
  files: RootedFiles,
): Promise<Bridge> {
  if (address.type === 'Abstract') return dial(helper, `@${Buffer.from(address.value).toString('hex')}`)
  const located = await files.locate(address.value, true).catch((error: unknown) => {
    throw new ConnectError(ioFailure(error), error)
  })
  return dial(helper, `/proc/self/fd/${INODE}`, located).finally(() => located.close())
}

/** Starts the helper and waits for its word on the connect. */
async function dial(helper: string, address: string, located?: Located): Promise<Bridge> {
  const child = spawn(helper, ['--seqpacket', address], {
    stdio: ['ignore', 'ignore', 'inherit', 'pipe', ...(located ? [located.handle.fd] : [])],
  })
  const socket = child.stdio[STREAM] as Socket
  // A socket pair is full-duplex and half-closes; Node makes it for pipes that do not.
  socket.allowHalfOpen = true
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    child.kill('SIGKILL')
  }, CONNECT_TIMEOUT)
  try {
    const told = await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      socket.once('error', reject)
      socket.once('end', () => reject(new Error('the helper ended without a word')))
      const look = () => {
        const word = socket.read(4) as Buffer | null
        if (!word) return
        socket.off('readable', look)
        resolve(word.readUInt32LE(0))
      }
      socket.on('readable', look)
    })
    if (told !== 0) throw new ConnectError({type: 'RemoteIO', value: fromErrno(told)})
    socket.removeAllListeners('end')
    socket.removeAllListeners('error')
    return {child, socket}
  } catch (error) {
    socket.on('error', () => {})
    socket.destroy()
    if (timedOut) throw new ConnectError(syntheticFailure('TimedOut'), error)
    throw error instanceof ConnectError ? error : new ConnectError(ioFailure(error), error)
  } finally {
    clearTimeout(timer)
  }
}

function startable({child, socket}: Bridge, tunnel: Tunnel, budget: WriteBudget): Pick<Connected, 'start' | 'discard'> {
  const discard = () => {
    socket.destroy()
    child.kill('SIGKILL')
  }
  return {
    discard,
    start(events): OutgoingConnection {
      const reader = new FrameReader()
      let warned = false
      const relay: SocketRelay = new SocketRelay(socket, tunnel, budget, {
        ...events,
        data(chunk) {
          for (const message of reader.push(chunk)) {
            if (message.length > 0) events.data(message)
            else if (!warned) {
              warned = true
              tunnel.log('Warn', 'an empty seqpacket message was left out: the protocol cannot carry it')
            }
          }
        },
        end() {
          if (!relay.ended) events.end()
        },
      })
      void watch(child, socket)
      return {
        write: (bytes) => relay.write(frame(bytes)),
        end: () => relay.end(),
        finish: () => relay.finish(),
        abort() {
          relay.abort()
          child.kill('SIGKILL')
        },
      }
    },
  }
}

/** The helper's exit code is the errno that ended the connection; what it had sent before is read first. */
async function watch(child: ChildProcess, socket: Socket): Promise<void> {
  const read = new Promise<void>((resolve) => {
    socket.once('end', resolve)
    socket.once('close', resolve)
  })
  const code = child.exitCode ?? ((await once(child, 'exit')) as [number | null])[0]
  await read
  if (code === 0) socket.end()
  else socket.destroy(new Error(code === null ? 'its helper was killed' : getSystemErrorName(-code)))
}
