import type {SessionReport} from './schema.ts'

/** The sums that the head of a report shows. */
export interface Totals {
  /** Requests that the local program answered, those that the deployed one kept. */
  stolen: number
  passed: number
  /** Requests to the program that it answered with a status of 500 or more, and those without an answer. */
  serverErrors: number
  unanswered: number
  incoming: number
  outgoing: number
  failedOutgoing: number
  /** Outgoing and incoming connections together; `in` is what the program received. */
  bytesIn: number
  bytesOut: number
}

/** Requests of one route, whatever came of them. */
export function requestsOf(route: SessionReport['incoming']['routes'][number]): number {
  return Object.values(route.statuses).reduce((sum, count) => sum + count, 0)
}

/** Adds up one session or several. */
export function totalsOf(sessions: readonly SessionReport[]): Totals {
  const totals: Totals = {
    stolen: 0,
    passed: 0,
    serverErrors: 0,
    unanswered: 0,
    incoming: 0,
    outgoing: 0,
    failedOutgoing: 0,
    bytesIn: 0,
    bytesOut: 0,
  }
  for (const {incoming, outgoing} of sessions) {
    for (const port of incoming.ports) {
      totals.stolen += port.stolen
      totals.passed += port.passed
      totals.incoming += port.connections
      totals.bytesIn += port.bytesIn
      totals.bytesOut += port.bytesOut
    }
    for (const {statuses} of incoming.routes) {
      for (const [status, count] of Object.entries(statuses)) {
        if (status === 'none') totals.unanswered += count
        else if (Number(status) >= 500) totals.serverErrors += count
      }
    }
    for (const destination of outgoing) {
      totals.outgoing += destination.connections
      totals.failedOutgoing += destination.failed
      totals.bytesIn += destination.bytesIn
      totals.bytesOut += destination.bytesOut
    }
  }
  return totals
}

/** How long a session took to be ready, and how long it lived; in milliseconds, undefined when not recorded. */
export function lifeOf({session}: SessionReport): {readyMs?: number; endedMs?: number} {
  const since = (moment?: string) =>
    moment === undefined ? undefined : Math.max(0, Date.parse(moment) - Date.parse(session.startedAt))
  return {readyMs: since(session.readyAt), endedMs: since(session.endedAt)}
}

/** What became of a session. */
export function outcomeOf(report: SessionReport): {failed: boolean; text: string} {
  const {failure, session} = report
  if (failure) return {failed: true, text: `Failed: ${failure.code} (exit ${failure.exit})`}
  return {failed: false, text: session.endedAt ? 'Ran until it was stopped' : 'End not recorded'}
}
