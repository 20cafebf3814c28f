import type {ErrorReport} from '../errors/mirrord-error.ts'
import type {TrafficObserver} from '../proxy/observer.ts'

/** What is older has probably nothing to do with the program's end. */
const RECENT_MS = 60_000
const MOST = 20

/**
 * The last things that went wrong between the program and the cluster: warnings of the agent, names that did not resolve,
 * connections that failed. They often say why a program ends, when it does not say so itself.
 */
export class ClusterWords {
  readonly #words: {text: string; at: number; times: number}[] = []

  note(text: string, now = Date.now()): void {
    const known = this.#words.findIndex((words) => words.text === text)
    const times = known < 0 ? 1 : this.#words.splice(known, 1)[0]!.times + 1
    this.#words.push({text, at: now, times})
    if (this.#words.length > MOST) this.#words.shift()
  }

  /** Takes note of names that do not resolve, and hands everything on. */
  listen(observer: TrafficObserver): TrafficObserver {
    return {
      connection: (connection) => observer.connection(connection),
      incoming: (port) => observer.incoming(port),
      request: (request) => observer.request(request),
      file: (file) => observer.file(file),
      name: (query) => {
        if (query.failed) this.note(`the name ${query.name} did not resolve`)
        observer.name(query)
      },
    }
  }

  /** The report with the words of the last minute below its other details. */
  addTo(report: ErrorReport, now = Date.now()): ErrorReport {
    const lines = this.#words
      .filter(({at}) => now - at <= RECENT_MS)
      .map(({text, at, times}) => {
        const repeated = times > 1 ? `, ${times} times` : ''
        return `${((now - at) / 1000).toFixed(1)} s ago${repeated}: ${text}`
      })
    if (lines.length === 0) return report
    return {...report, detail: [report.detail, '--- the cluster', ...lines].filter(Boolean).join('\n')}
  }
}
