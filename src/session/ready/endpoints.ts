import {isLoopback} from '../../config/index.ts'
import type {Address} from '../../trap/trap.ts'
import type {Attempt} from './repeat.ts'
import type {Listeners} from './listeners.ts'

/**
 * Tries every address at which `host:port` may be. On this machine that is the program's own listener of this port, wherever
 * it is: another program that happens to have the port says nothing about ours. Elsewhere it is the host itself.
 */
export async function tryEndpoints(
  host: string,
  port: number,
  listeners: Listeners,
  attempt: (endpoint: Address) => Promise<Attempt>,
): Promise<Attempt> {
  const endpoints = isLoopback(host) ? listeners.at(port) : [{address: host, port}]
  const failures: string[] = []
  for (const endpoint of endpoints) {
    const result = await attempt(endpoint)
    if ('ready' in result) return result
    failures.push(result.failure)
  }
  return {failure: failures.length > 0 ? [...new Set(failures)].join('; ') : nothingListens(port, listeners)}
}

function nothingListens(port: number, listeners: Listeners): string {
  const others = listeners.ports
  const those = others.length > 0 ? ` (it listens on ${others.join(', ')})` : ''
  return `the program does not listen on port ${port}${those}`
}

/** A network error in words that name the address. */
export function describeError(error: unknown, {address, port}: Address): string {
  const {code, message} = error as NodeJS.ErrnoException
  return `${code ?? message} at ${address.includes(':') ? `[${address}]` : address}:${port}`
}
