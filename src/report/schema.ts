import {z} from 'zod'

/** Version of the report's format; a reader that meets another one must not guess. */
export const REPORT_FORMAT = 1

const count = () => z.int().nonnegative()
const milliseconds = () => z.number().nonnegative()
const moment = () => z.iso.datetime()

/** Upper bounds of the latency buckets in milliseconds; the last bucket has no bound. */
export const LATENCY_BOUNDS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000] as const

const phase = z.object({
  name: z.string(),
  /** Since the session was created. */
  startMs: milliseconds(),
  durationMs: milliseconds(),
  text: z.string(),
})

const failure = z.object({
  code: z.string(),
  exit: z.int(),
  what: z.string(),
  why: z.string().optional(),
  next: z.array(z.string()),
  detail: z.string().optional(),
})

/** Connections and bytes of one destination. `in` is what the program received. */
const destination = z.object({
  protocol: z.enum(['tcp', 'udp', 'unix']),
  /** `address:port`, or the path of a unix socket. */
  address: z.string(),
  /** The names that the program had resolved to this address. */
  names: z.array(z.string()),
  connections: count(),
  failed: count(),
  bytesIn: count(),
  bytesOut: count(),
})

/** Requests to one path of the program, variable segments replaced. */
const route = z.object({
  method: z.string(),
  /** `/users/:id`: segments that look like identifiers are replaced; no query. */
  path: z.string(),
  port: count(),
  /** Requests by status code; "none": no answer came. */
  statuses: z.record(z.string(), count()),
  /** One number for each bound of LATENCY_BOUNDS_MS and one for what is longer. */
  latency: z.array(count()).length(LATENCY_BOUNDS_MS.length + 1),
})

const port = z.object({
  port: count(),
  connections: count(),
  bytesIn: count(),
  bytesOut: count(),
  /** Requests that the local program answered; those that the deployed one kept. */
  stolen: count(),
  passed: count(),
})

/**
 * What one session did: `report.json` of its state directory. Never holds headers, bodies, queries, values of variables or
 * contents of files.
 */
export const sessionReportSchema = z.object({
  format: z.literal(REPORT_FORMAT),
  version: z.string(),
  session: z.object({
    id: z.string(),
    name: z.string(),
    job: z.string(),
    program: z.string(),
    target: z.string().optional(),
    namespace: z.string().optional(),
    pod: z.string().optional(),
    container: z.string().optional(),
    agent: z.object({pod: z.string(), image: z.string()}).optional(),
    outputDirectory: z.string().optional(),
    startedAt: moment(),
    readyAt: moment().optional(),
    endedAt: moment().optional(),
  }),
  run: z.object({provider: z.string().optional(), url: z.string().optional()}),
  phases: z.array(phase),
  incoming: z.object({mode: z.enum(['steal', 'mirror', 'off']), ports: z.array(port), routes: z.array(route)}),
  outgoing: z.array(destination),
  dns: z.array(z.object({name: z.string(), queries: count(), failed: count()})),
  files: z.object({
    fetched: z.array(z.object({path: z.string(), bytes: count()})),
    written: z.array(z.object({path: z.string(), bytes: count()})),
    /** Entries beyond the limit of each list above. */
    more: count(),
  }),
  warnings: z.array(z.string()),
  exit: z.object({code: z.int().optional(), signal: z.string().optional()}).optional(),
  failure: failure.optional(),
})

/** The report of one session. */
export type SessionReport = z.output<typeof sessionReportSchema>

/** `mirrord-report.json`: the reports of a job's sessions, in the order of their starts. */
export const jobReportSchema = z.object({
  format: z.literal(REPORT_FORMAT),
  version: z.string(),
  job: z.string(),
  run: z.object({provider: z.string().optional(), url: z.string().optional()}),
  createdAt: moment(),
  sessions: z.array(sessionReportSchema),
})

/** The report of one job. */
export type JobReport = z.output<typeof jobReportSchema>
