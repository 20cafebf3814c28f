import {delay} from '../../util/time.ts'
import type {RunCommand} from '../command.ts'
import type {Log} from '../log.ts'
import {deleteEntries} from './conntrack.ts'
import type {Family} from './rules.ts'

/** What ends the connections to a port that were established before its redirect. */
export interface Flush {
  port: number
  families: readonly Family[]
  /** Also delete connection tracking entries. */
  conntrack: boolean
  run: RunCommand
  log: Log
  /** Ends the flush: the port is given back. */
  signal: AbortSignal
}

/** An established connection of the application, as ss(8) shows it. */
export interface Established {
  /** Address and port, as `dst` of a filter takes them. */
  peer: string
  /** Bytes that the application has not read, or its kernel not sent. */
  queued: boolean
  received: boolean
  sent: boolean
  /** Milliseconds since then; since the connection's beginning when nothing was sent or received. */
  lastSent: number
  lastReceived: number
}

/** A connection on which nothing has moved for so long, the application's word being the last, has no request under way. */
const IDLE_MS = 100
/** The first request of a new connection may still be on its way for so long. */
const UNUSED_MS = 1000
const LOOK_MS = 100
/** After half of this time the application's last word suffices, after all of it nothing is waited for. */
const LIMIT_MS = 5000
/** A filter has its limits. */
const MOST = 500

/**
 * Ends the connections to a port that were established before its redirect, so that their peers connect anew (agent.md 5.6).
 * One with a request under way is left until it has its answer, for 5 s at most: stealing a port must fail no request. Resolves
 * when the idle ones are ended. Failures are logged only: the redirect works for new connections all the same.
 */
export async function flushEstablished(flush: Flush): Promise<void> {
  const found = await look(flush)
  const busy = found.filter((connection) => isBusy(connection, IDLE_MS))
  const ended = await kill(flush, without(found, busy))
  void endLater(flush, new Set(busy.map(({peer}) => peer)), ended)
}

/** Whether a request seems to be under way. @param idleMs how long nothing may have moved on an idle connection */
export function isBusy({queued, received, sent, lastSent, lastReceived}: Established, idleMs: number): boolean {
  if (queued) return true
  if (!received) return lastReceived < UNUSED_MS
  // Before the first byte is sent, `lastSent` is the connection's own age.
  return !sent || lastReceived < lastSent || Math.min(lastSent, lastReceived) < idleMs
}

/** The output of `ss -i` without a header: each connection's properties are on the line below it. */
export function parseEstablished(output: string): Established[] {
  const lines = output.replaceAll(/\n[ \t]+/g, ' ').split('\n')
  return lines.flatMap((line) => {
    const [receiveQueue, sendQueue, , peer] = line.trim().split(/\s+/)
    if (peer === undefined) return []
    const number = (name: string) => Number(new RegExp(`\\b${name}:(\\d+)`).exec(line)?.[1] ?? 0)
    return {
      peer,
      queued: receiveQueue !== '0' || sendQueue !== '0' || number('unacked') > 0,
      received: number('bytes_received') > 0,
      sent: number('data_segs_out') > 0,
      lastSent: number('lastsnd'),
      lastReceived: number('lastrcv'),
    }
  })
}

/** Those that were busy end one by one, as they get their answers. @param ended false: the kernel ends no connections */
async function endLater(flush: Flush, left: Set<string>, ended: boolean): Promise<void> {
  const {signal} = flush
  for (let waited = LOOK_MS; ended && waited < LIMIT_MS; waited += LOOK_MS) {
    await delay(LOOK_MS, signal)
    if (signal.aborted) return
    const found = await look(flush)
    // A handshake of before the redirect may have ended since the first look.
    if (waited === LOOK_MS) for (const {peer} of found) left.add(peer)
    const ours = found.filter(({peer}) => left.has(peer))
    const busy = ours.filter((connection) => isBusy(connection, waited < LIMIT_MS / 2 ? IDLE_MS : 0))
    if (signal.aborted) return
    ended = await kill(flush, without(ours, busy))
    left = new Set(busy.map(({peer}) => peer))
    if (left.size === 0) return
  }
  if (!signal.aborted) await endAll(flush, ended ? left : undefined)
}

/** Those that are left, or whatever there is, also where the kernel ends no connections: without its entry the next packet is redirected, and reset. */
async function endAll(flush: Flush, left?: ReadonlySet<string>): Promise<void> {
  const {port, families, conntrack, run, log} = flush
  const text = String(port)
  // Only entries that still lead to the port itself: one that was redirected a moment ago answers from the listener's port.
  const filters = [['--orig-port-dst', text, '--reply-port-src', text, '--state', 'ESTABLISHED']]
  await Promise.all([
    kill(
      flush,
      (await look(flush)).filter(({peer}) => left?.has(peer) ?? true),
    ),
    deleteEntries(conntrack ? families : [], filters, `flushing connections to port ${port}`, run, log),
  ])
}

async function look({port, run, log}: Flush): Promise<Established[]> {
  try {
    const {code, stdout, stderr} = await run('ss', ['-H', '-t', '-i', '-n', 'state', 'established', ...ofPort(port)])
    if (code === 0) return parseEstablished(stdout)
    log('warn', `looking at connections to port ${port}: ss: exit ${code}: ${stderr.trim()}`)
  } catch (error) {
    log('warn', `looking at connections to port ${port}: ss: ${(error as Error).message}`)
  }
  return []
}

/** False when the kernel does not end connections. */
async function kill({port, run, log}: Flush, connections: readonly Established[]): Promise<boolean> {
  const warn = (reason: string) => {
    log('warn', `flushing connections to port ${port}: ss: ${reason}`)
    return false
  }
  for (let from = 0; from < connections.length; from += MOST) {
    try {
      const filter = anyOf(connections.slice(from, from + MOST))
      const {code, stderr} = await run('ss', ['-K', '-H', '-n', '-t', ...ofPort(port), 'and', ...filter])
      // ss reports a refused kill on stderr and still exits with 0.
      if (code !== 0 || stderr.trim() !== '') return warn(`exit ${code}: ${stderr.trim()}`)
    } catch (error) {
      return warn((error as Error).message)
    }
  }
  return true
}

const ofPort = (port: number) => ['sport', '=', `:${port}`]

const without = (all: readonly Established[], some: readonly Established[]) =>
  all.filter((connection) => !some.includes(connection))

function anyOf(connections: readonly Established[]): string[] {
  return ['(', ...connections.flatMap(({peer}, index) => [...(index > 0 ? ['or'] : []), 'dst', peer]), ')']
}
