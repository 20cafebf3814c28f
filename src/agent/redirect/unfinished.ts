import {readFile} from 'node:fs/promises'
import type {RunCommand} from '../command.ts'
import type {Log} from '../log.ts'

/**
 * States of /proc/net/tcp (include/net/tcp_states.h) in which nothing is to be sent any more: FIN_WAIT2, TIME_WAIT, CLOSE,
 * LISTEN. Handshakes, connections that nobody has accepted yet, and closed sockets with bytes left are none of them.
 */
const finished: readonly string[] = ['05', '06', '07', '0A']

/** True while the kernel has something to send from one of these local ports, in this process's network namespace. */
export async function unfinished(ports: readonly number[]): Promise<boolean> {
  if (ports.length === 0) return false
  const endings = ports.map((port) => `:${port.toString(16).toUpperCase().padStart(4, '0')}`)
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((table) =>
      readFile(`/proc/self/net/${table}`, 'latin1').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return '' // a kernel without IPv6
        throw error
      }),
    ),
  )
  return tables.some((table) =>
    table.split('\n').some((line) => {
      const [, local, , state] = line.trim().split(/\s+/, 4)
      return local !== undefined && endings.some((ending) => local.endsWith(ending)) && !finished.includes(state ?? '')
    }),
  )
}

/** Resets what is left of connections to these local ports: their peers take nothing. Failures are logged only. */
export async function resetUnfinished(ports: readonly number[], run: RunCommand, log: Log): Promise<void> {
  const filter = ports.flatMap((port, index) => [...(index > 0 ? ['or'] : []), 'sport', '=', `:${port}`])
  try {
    const {code, stderr} = await run('ss', ['-K', '-H', '-n', '-t', ...filter])
    if (code !== 0 || stderr.trim() !== '') log('warn', `resetting connections: ss exit ${code}: ${stderr.trim()}`)
  } catch (error) {
    log('warn', `resetting connections: ss: ${(error as Error).message}`)
  }
}
