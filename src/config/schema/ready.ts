import * as z from 'zod'
import {field, section} from '../meta.ts'
import {formatHttp, formatTcp, httpProbe, parseHttp, parseTcp, type HttpProbe, type TcpProbe} from '../ready.ts'
import {regexes} from '../regexes.ts'
import {list, oneOrMany, port, text, u32} from '../scalars.ts'

/** Turns the Error of a parser into an issue of the key. */
function reading<In, Out>(read: (value: In) => Out) {
  return (value: In, context: z.RefinementCtx): Out => {
    try {
      return read(value)
    } catch (error) {
      context.addIssue({code: 'custom', message: (error as Error).message})
      return z.NEVER
    }
  }
}

const tcp = z.union([text(), port()], {error: 'expected [HOST:]PORT'})
const tcpProbes = oneOrMany(tcp, '[HOST:]PORT').pipe(
  z.array(tcp.transform(reading((value) => parseTcp(String(value))))),
)

const http = z.union([text(), z.strictObject({url: text(), status: z.union([z.int(), text()]).optional()})], {
  error: 'expected URL[=STATUS] or an object with url and status',
})
const httpProbes = oneOrMany(http, 'URL[=STATUS], an object with url and status,').pipe(
  z.array(
    http.transform(
      reading((value) => (typeof value === 'string' ? parseHttp(value) : httpProbe(value.url, value.status))),
    ),
  ),
)

const states = ['started', 'listening'] as const

/** How long a start waits, in seconds. */
const DEFAULT_TIMEOUT = 120
/** A day: longer than any CI job; a timer of Node holds 24. */
const LONGEST_TIMEOUT = 86_400

/** Section `ci.ready`: when the program counts as ready. */
export const readySection = section(
  {
    state: field(z.enum(states).optional(), {
      doc: 'What to wait for: "started" (the program lives for a second) or "listening" (it listens on a port).',
      flags: {ready: true},
      compare: 'ours',
    }),
    tcp: field(tcpProbes.optional(), {
      doc: 'Ports of the program that must accept a connection: [HOST:]PORT.',
      flags: {'ready-tcp': true},
      repeatable: true,
      toFile: (value) => (value as TcpProbe[]).map(formatTcp),
      examples: [8080, ['127.0.0.1:8080', '[::1]:9000']],
      compare: 'ours',
    }),
    http: field(httpProbes.optional(), {
      doc: 'URLs that must answer with their status, any 2xx or 3xx by default: URL[=STATUS], or {url, status}.',
      flags: {'ready-http': true},
      repeatable: true,
      toFile: (value) => (value as HttpProbe[]).map(formatHttp),
      examples: [':8080/health', ['http://localhost:8080/=204'], {url: ':8080/ready', status: '2xx'}],
      compare: 'ours',
    }),
    log: field(regexes().optional(), {
      doc: "Patterns (syntax of Rust's regex crate) of which each must match a line of the program's output.",
      flags: {'ready-log': true},
      repeatable: true,
      examples: ['listening on', ['^ready$', 'port \\d+']],
      compare: 'ours',
    }),
    exec: field(list().pipe(z.array(text())).optional(), {
      doc: "Shell commands that must succeed, run with the program's environment and working directory.",
      flags: {'ready-exec': true},
      repeatable: true,
      compare: 'ours',
    }),
    timeout: field(u32().min(1).max(LONGEST_TIMEOUT).default(DEFAULT_TIMEOUT), {
      doc: 'Seconds after which a program that is not ready has failed.',
      flags: {'ready-timeout': true},
      compare: 'ours',
    }),
  },
  {
    doc: 'When the program counts as ready: everything given here must succeed.',
    short: '"started" or "listening"',
    forms: z.enum(states),
    expand: (value) => (value === 'started' || value === 'listening' ? {state: value} : undefined),
  },
)

/** Keys of `ci.ready` that say what to wait for: those of the command line replace those of the file altogether. */
export const readyProbes = ['state', 'tcp', 'http', 'log', 'exec'] as const
