import type {ErrorReport} from '../errors/mirrord-error.ts'
import {exitCodes} from '../errors/exit-codes.ts'
import {LATENCY_BOUNDS_MS, OTHER, REPORT_FORMAT} from './format.ts'
import {Names} from './names.ts'
import {pathTemplate} from './path-template.ts'
import {Rows} from './rows.ts'
import {withoutSecrets, withoutUserInfo} from '../util/secrets.ts'
import type {SessionReport} from './schema.ts'

type Route = SessionReport['incoming']['routes'][number]
type Port = SessionReport['incoming']['ports'][number]
type File = SessionReport['files']['fetched'][number]
type Protocol = SessionReport['outgoing'][number]['protocol']

const MAX_DESTINATIONS = 1000
const MAX_ROUTES = 500
const MAX_PORTS = 500
const MAX_FILES = 1000
const MAX_WARNINGS = 200
/** Of the registry of RFC 9110 16.1.1, what is used; a program can be sent anything in the place of a method. */
const METHODS: ReadonlySet<string> = new Set(
  'GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK SEARCH REPORT QUERY'.split(
    ' ',
  ),
)

/** What is known of a session when it begins. */
export type ReportStart = Pick<SessionReport, 'version' | 'run' | 'session'> & {
  mode: SessionReport['incoming']['mode']
}

/** What `ci status` shows. */
export interface Figures {
  /** Requests that came to the local program, as far as its protocol is known. */
  requests: number
  /** Connections of the pod's ports that came to the local program. */
  connections: number
  /** What the program received from the cluster and sent to it, on these connections and its own. */
  bytesIn: number
  bytesOut: number
}

/** One destination's row; counts the bytes of all its connections. */
class Destination {
  readonly protocol: Protocol
  readonly address: string
  connections = 0
  failed = 0
  bytesIn = 0
  bytesOut = 0

  constructor(protocol: Protocol, address: string) {
    this.protocol = protocol
    this.address = address
  }

  in(bytes: number): void {
    this.bytesIn += bytes
  }

  out(bytes: number): void {
    this.bytesOut += bytes
  }
}

/** One port's row. */
class PortTraffic implements Port {
  readonly port: number
  connections = 0
  bytesIn = 0
  bytesOut = 0
  stolen = 0
  passed = 0

  constructor(port: number) {
    this.port = port
  }

  in(bytes: number): void {
    this.bytesIn += bytes
  }

  out(bytes: number): void {
    this.bytesOut += bytes
  }
}

/**
 * Collects what one session does: the observer of its data plane, told of the rest by the session. Memory is bounded by the
 * limits above; counting a chunk of bytes is one addition.
 */
export class Recorder {
  readonly #start: ReportStart
  readonly #began = performance.now()
  readonly #session: SessionReport['session']
  readonly #phases: SessionReport['phases'] = []
  readonly #warnings: string[] = []
  #moreWarnings = 0
  #exit: SessionReport['exit']
  #failure: SessionReport['failure']
  readonly #destinations = new Rows<Destination>(MAX_DESTINATIONS)
  readonly #ports = new Rows<PortTraffic>(MAX_PORTS)
  readonly #routes = new Rows<Route>(MAX_ROUTES)
  readonly #fetched = new Rows<File>(MAX_FILES)
  readonly #written = new Rows<File>(MAX_FILES)
  readonly #names = new Names()
  #requests = 0
  #connections = 0

  constructor(start: ReportStart) {
    this.#start = start
    this.#session = {...start.session}
  }

  /** A connection of the program, or the attempt at one. The result counts its bytes. */
  connection({protocol, address, failed}: {protocol: Protocol; address: string; failed: boolean}) {
    const make = (shown: string) => () => new Destination(protocol, shown)
    const row = this.#destinations.row(`${protocol} ${address}`, make(address), make(OTHER))
    if (failed) row.failed++
    else row.connections++
    return row
  }

  /** A connection of the pod's port. The result counts its bytes. */
  incoming(port: number) {
    const row = this.#port(port)
    row.connections++
    this.#connections++
    return row
  }

  /** A request of the pod's port. Without a status no answer came. */
  request(request: {port: number; method: string; path: string; stolen: boolean; status?: number; ms: number}): void {
    const {port, stolen, status, ms} = request
    const traffic = this.#port(port)
    if (stolen) traffic.stolen++
    else traffic.passed++
    if (stolen) this.#requests++
    const method = METHODS.has(request.method) ? request.method : OTHER
    const path = pathTemplate(request.path)
    const make = (shown: Pick<Route, 'method' | 'path' | 'port'>) => () => newRoute(shown)
    const other = make({method: OTHER, path: OTHER, port: 0})
    const route = this.#routes.row(`${port} ${method} ${path}`, make({method, path, port}), other)
    const key = status === undefined ? 'none' : String(status)
    route.statuses[key] = (route.statuses[key] ?? 0) + 1
    if (status === undefined) return
    route.latency[bucketOf(ms)]!++
    route.totalMs += ms
    route.maxMs = Math.max(route.maxMs, ms)
  }

  /** The program asked for a name. */
  name(query: {name: string; failed: boolean; addresses: readonly string[]}): void {
    this.#names.asked(query)
  }

  /** Content of a file of the target came here, or went there. */
  file({path, bytes, direction}: {path: string; bytes: number; direction: 'fetched' | 'written'}): void {
    const rows = direction === 'fetched' ? this.#fetched : this.#written
    const make = (shown: string) => () => ({path: shown, bytes: 0})
    rows.row(path, make(path), make(OTHER)).bytes += bytes
  }

  /** A step of the start is done. */
  phase({name, text, ms}: {name: string; text: string; ms: number}): void {
    const startMs = Math.max(0, Math.round(performance.now() - this.#began - ms))
    this.#phases.push({name, startMs, durationMs: ms, text: withoutSecrets(text)})
  }

  /** What the user is told beside errors. */
  warning(text: string): void {
    if (this.#warnings.length < MAX_WARNINGS) this.#warnings.push(withoutSecrets(text))
    else this.#moreWarnings++
  }

  /** More is known of the session. */
  session(known: Partial<SessionReport['session']>): void {
    Object.assign(this.#session, known)
  }

  /** The program has ended. */
  exit(exit: {code?: number; signal?: string}): void {
    this.#exit = {code: exit.code, signal: exit.signal}
  }

  /** Why the session ends, without the output of the program. */
  failure({code, exit, what, why, next}: ErrorReport): void {
    this.#failure = {
      code,
      exit: exitCodes[exit].code,
      what: withoutSecrets(what),
      why: why === undefined ? undefined : withoutSecrets(why),
      next: next.map(withoutSecrets),
    }
  }

  /** What `ci status` shows. */
  figures(): Figures {
    const rows = [...this.#ports.list(), ...this.#destinations.list()]
    return {
      requests: this.#requests,
      connections: this.#connections,
      bytesIn: rows.reduce((sum, {bytesIn}) => sum + bytesIn, 0),
      bytesOut: rows.reduce((sum, {bytesOut}) => sum + bytesOut, 0),
    }
  }

  /** The report as of now. */
  report(): SessionReport {
    const {version, run, mode} = this.#start
    const more = this.#moreWarnings > 0 ? [`${this.#moreWarnings} more warnings are in mirrord.log.`] : []
    return {
      format: REPORT_FORMAT,
      version,
      session: this.#session,
      run: {...run, url: run.url === undefined ? undefined : withoutUserInfo(run.url)},
      phases: this.#phases,
      incoming: {
        mode,
        ports: this.#ports.list().sort((a, b) => a.port - b.port),
        routes: this.#routes.list().map((route) => ({
          ...route,
          totalMs: inMicroseconds(route.totalMs),
          maxMs: inMicroseconds(route.maxMs),
        })),
      },
      outgoing: this.#destinations.list().map((row) => ({...row, names: this.#names.of(row.address)})),
      dns: this.#names.list(),
      files: {fetched: this.#fetched.list(), written: this.#written.list()},
      warnings: [...this.#warnings, ...more],
      exit: this.#exit,
      failure: this.#failure,
    }
  }

  #port(port: number): PortTraffic {
    return this.#ports.row(
      String(port),
      () => new PortTraffic(port),
      () => new PortTraffic(0),
    )
  }
}

function newRoute(shown: Pick<Route, 'method' | 'path' | 'port'>): Route {
  const latency = new Array<number>(LATENCY_BOUNDS_MS.length + 1).fill(0)
  return {...shown, statuses: {}, latency, totalMs: 0, maxMs: 0}
}

function inMicroseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000
}

/** Where a latency is counted in the histogram. */
export function bucketOf(ms: number): number {
  const index = LATENCY_BOUNDS_MS.findIndex((bound) => ms <= bound)
  return index === -1 ? LATENCY_BOUNDS_MS.length : index
}
