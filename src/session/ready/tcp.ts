import net from 'node:net'
import type {TcpProbe} from '../../config/index.ts'
import type {Address} from '../../trap/trap.ts'
import {describeError, tryEndpoints} from './endpoints.ts'
import type {Listeners} from './listeners.ts'
import type {Probe} from './probe.ts'
import {repeat, type Attempt} from './repeat.ts'

/** One attempt, in milliseconds; another machine may be slow to answer. */
const ATTEMPT_MS = 3000

/** A port accepts a connection. */
export function tcpProbe({host, port}: TcpProbe, listeners: Listeners): Probe {
  const label = host === 'localhost' ? `port ${port}` : `port ${port} of ${host}`
  return {
    label,
    hints: ['See on which port the program listens; its last output below may say why it does not.'],
    wait: (signal, tell) =>
      repeat(
        () => tryEndpoints(host, port, listeners, (endpoint) => connect(endpoint, signal, label)),
        listeners,
        signal,
        tell,
      ),
  }
}

function connect(endpoint: Address, signal: AbortSignal, label: string): Promise<Attempt> {
  return new Promise((resolve) => {
    const socket = net.connect({host: endpoint.address, port: endpoint.port, timeout: ATTEMPT_MS, signal})
    const settle = (attempt: Attempt) => {
      socket.destroy()
      resolve(attempt)
    }
    socket.once('connect', () => settle({ready: `${label} accepts connections`}))
    socket.once('timeout', () => settle({failure: describeError({code: 'ETIMEDOUT'}, endpoint)}))
    socket.on('error', (error) => settle({failure: describeError(error, endpoint)}))
  })
}
