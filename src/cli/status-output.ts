import {formatBytes} from '../report/text.ts'
import type {SessionStatus} from '../session/status.ts'
import {colorFor} from '../util/color.ts'
import {columns} from './columns.ts'

const HEAD = ['NAME', 'TARGET', 'POD', 'STATE', 'PIDS', 'PORTS', 'REQUESTS', 'BYTES', 'UPTIME']
const STATE = HEAD.indexOf('STATE')

/** Prints the sessions: a table on terminals, else columns that a script can cut. */
export async function printStatuses(statuses: readonly SessionStatus[]): Promise<void> {
  if (statuses.length === 0) return void process.stdout.write('No mirrord session of this job.\n')
  const rows = statuses.map((status) => row(status))
  process.stdout.write(process.stdout.isTTY ? await table(rows) : columns([HEAD, ...rows]))
  for (const {name, failure} of statuses)
    if (failure) process.stdout.write(`${name}: ${failure.what} (${failure.code})\n`)
}

function row(status: SessionStatus): string[] {
  const {name, target, pod, state, pids, ports, requests, connections, bytesIn, bytesOut, uptimeSeconds} = status
  return [
    name,
    target ?? '-',
    pod ?? '-',
    status.reconnectingSince ? 'reconnecting' : state,
    pids.program === null ? String(pids.session) : `${pids.program},${pids.session}`,
    ports.map(({port, local}) => `${port}->${local}`).join(',') || '-',
    // Of another protocol than HTTP only the connections are known.
    String((requests || connections) ?? '-'),
    bytesIn === null || bytesOut === null ? '-' : `${bytes(bytesIn)}/${bytes(bytesOut)}`,
    uptimeSeconds === null ? '-' : duration(uptimeSeconds),
  ]
}

/** Without a space, so that a column stays one word. */
const bytes = (count: number) => formatBytes(count).replace(' ', '')

/** Seconds as `42s`, `3m07s` or `2h05m`: no space, so that a column stays one word. */
export function duration(seconds: number): string {
  const whole = Math.floor(seconds)
  const two = (value: number) => String(value).padStart(2, '0')
  if (whole < 60) return `${whole}s`
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`
  return `${Math.floor(whole / 3600)}h${two(Math.floor(whole / 60) % 60)}m`
}

async function table(rows: readonly string[][]): Promise<string> {
  const {default: Table} = await import('cli-table3')
  const color = colorFor(process.stdout)
  const paint: Record<string, (text: string) => string> = {
    ready: color.green,
    starting: color.yellow,
    stopping: color.yellow,
    reconnecting: color.yellow,
    failed: color.red,
  }
  // Its own colours off: ours follow NO_COLOR.
  const drawn = new Table({head: HEAD, style: {head: [], border: []}})
  for (const row of rows)
    drawn.push(
      row.map((cell, column) => (column === STATE ? (paint[cell]?.(cell) ?? cell) : cell.replaceAll(',', '\n'))),
    )
  return `${drawn.toString()}\n`
}
