import type {RunCommand} from '../command.ts'
import type {Log} from '../log.ts'
import {deleteEntries} from './conntrack.ts'
import type {Family} from './rules.ts'

/**
 * Ends the connections to a port that were established before its redirect, so that their peers connect anew
 * (agent.md 5.6). Failures are logged only: the redirect works for new connections all the same.
 * @param conntrack also delete connection tracking entries. Only those that still lead to the port itself: an entry that
 *   was redirected a moment ago answers from the listener's port and must stay.
 */
export async function flushEstablished(
  port: number,
  families: readonly Family[],
  conntrack: boolean,
  run: RunCommand,
  log: Log,
): Promise<void> {
  const killed = run('ss', ['-K', '-H', '-n', '-t', 'sport', '=', `:${port}`]).then(
    // ss reports a refused kill on stderr and still exits with 0.
    ({code, stderr}) => (code !== 0 || stderr.trim() !== '' ? `exit ${code}: ${stderr.trim()}` : undefined),
    (error: Error) => error.message,
  )
  const text = String(port)
  const filters = [['--orig-port-dst', text, '--reply-port-src', text, '--state', 'ESTABLISHED']]
  const purpose = `flushing connections to port ${port}`
  // Subscribing waits for this: side by side it costs one process start instead of three.
  await deleteEntries(conntrack ? families : [], filters, purpose, run, log)
  const failure = await killed
  if (failure !== undefined) log('warn', `${purpose}: ss: ${failure}`)
}
