import * as z from 'zod'
import {LATENCY_BOUNDS_MS, OTHER, REPORT_FORMAT} from './format.ts'

// The session's own process builds reports without zod: what both need is in format.ts.
export {LATENCY_BOUNDS_MS, OTHER, REPORT_FORMAT}

const count = () => z.int().nonnegative()
const milliseconds = () => z.number().nonnegative()
const moment = () => z.iso.datetime()
const other = `; "${OTHER}" sums what the list has no room for`

const ciRun = z
  .object({
    provider: z.string().optional().describe("The CI system's name."),
    url: z.string().optional().describe('The page of the run.'),
    job: z.string().optional().describe("The job's name there."),
    pipeline: z.string().optional().describe('The pipeline or workflow, also as `ci start --pipeline` names it.'),
    trigger: z.string().optional().describe('What started the run, also as `ci start --triggered-by` says.'),
    environment: z.string().optional().describe('What is tested against, as `ci start --environment` says.'),
  })
  .describe("The CI system's run; empty outside of any.")

const phase = z.object({
  name: z.string(),
  startMs: milliseconds().describe('Since the session was created.'),
  durationMs: milliseconds(),
  text: z.string(),
})

/** Without an ErrorReport's `detail`, which is the end of the program's output: nobody knows what a program prints. */
const failure = z.object({
  code: z.string().describe('Stable code of the error.'),
  exit: z.int().describe("The command's exit status, docs/exit-codes.md."),
  what: z.string(),
  why: z.string().optional(),
  next: z.array(z.string()),
})

const destination = z
  .object({
    protocol: z.enum(['tcp', 'udp', 'unix']),
    address: z.string().describe(`"address:port", or the path of a unix socket${other}.`),
    names: z.array(z.string()).describe('The names that the program had resolved to this address.'),
    connections: count().describe('Connections that were made, or flows of datagrams.'),
    failed: count().describe('Connections that were refused or could not be made.'),
    bytesIn: count().describe('What the program received.'),
    bytesOut: count().describe('What the program sent.'),
  })
  .describe('Connections and bytes of one destination.')

const route = z
  .object({
    method: z.string().describe(`An unusual one is "${OTHER}".`),
    path: z.string().describe(`"/users/:id": segments that look like identifiers are replaced; no query${other}.`),
    port: count(),
    statuses: z.record(z.string(), count()).describe('Requests by status code; "none": no answer came.'),
    latency: z
      .array(count())
      .length(LATENCY_BOUNDS_MS.length + 1)
      .describe(
        `Answered requests by the milliseconds from the end of the request's head to the answer's head, at most ${LATENCY_BOUNDS_MS.join(', ')}, or longer.`,
      ),
    totalMs: milliseconds().describe('The sum over all answered requests.'),
    maxMs: milliseconds(),
  })
  .describe('Requests to one path of the program.')

const port = z.object({
  port: count(),
  connections: count(),
  bytesIn: count(),
  bytesOut: count(),
  stolen: count().describe('Requests that came to the local program.'),
  passed: count().describe('Requests that were left to the deployed program, as far as the agent tells.'),
})

const file = z.object({path: z.string().describe(`The path in the target${other}.`), bytes: count()})

/**
 * What one session did: `report.json` of its state directory. Never holds headers, bodies, queries, values of variables,
 * output of the program or contents of files.
 */
export const sessionReportSchema = z
  .object({
    format: z.literal(REPORT_FORMAT),
    version: z.string().describe('Version of mirrord that wrote the report.'),
    session: z.object({
      id: z.string(),
      name: z.string(),
      job: z.string(),
      program: z.string(),
      target: z.string().optional().describe('As the user wrote it.'),
      namespace: z.string().optional(),
      pod: z.string().optional(),
      container: z.string().optional(),
      agent: z.object({pod: z.string(), image: z.string()}).optional(),
      outputDirectory: z.string().optional(),
      startedAt: moment(),
      readyAt: moment().optional(),
      endedAt: moment().optional().describe('Absent: the session was still running, or was killed.'),
    }),
    run: ciRun,
    phases: z.array(phase),
    incoming: z.object({mode: z.enum(['steal', 'mirror', 'off']), ports: z.array(port), routes: z.array(route)}),
    outgoing: z.array(destination),
    dns: z.array(z.object({name: z.string().describe(`As asked${other}.`), queries: count(), failed: count()})),
    files: z.object({
      fetched: z.array(file).describe('Files of the target that were copied here, and how much.'),
      written: z.array(file).describe('Files that were changed in the target, and how much was sent.'),
    }),
    warnings: z.array(z.string()),
    exit: z.object({code: z.int().optional(), signal: z.string().optional()}).optional().describe("The program's end."),
    failure: failure.optional().describe('Why the session failed.'),
  })
  .meta({id: 'SessionReport', title: 'report.json: what one session did'})

/** The report of one session. */
export type SessionReport = z.output<typeof sessionReportSchema>

/** `mirrord-report.json`: the reports of a job's sessions, in the order of their starts. */
export const jobReportSchema = z
  .object({
    format: z.literal(REPORT_FORMAT),
    version: z.string(),
    job: z.string(),
    run: ciRun,
    createdAt: moment(),
    sessions: z.array(sessionReportSchema),
  })
  .meta({id: 'JobReport', title: "mirrord-report.json: the reports of a job's sessions, in the order of their starts"})

/** The report of one job. */
export type JobReport = z.output<typeof jobReportSchema>
