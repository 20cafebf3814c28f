import {z} from 'zod'
import {field, section} from '../meta.ts'
import {httpProbe, parseHttp, parseTcp} from '../ready.ts'
import {list, port, regexes, text, u32} from '../scalars.ts'

/** A value, or a list of them, read as a list. */
const oneOrMany = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (value === undefined || Array.isArray(value) ? value : [value]), z.array(schema))

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
const http = z.union(
  [text(), z.strictObject({url: text(), status: z.union([z.int(), text()]).optional()})],
  {error: 'expected URL[=STATUS] or an object with url and status'},
)

/** How long a start waits, in seconds. */
const DEFAULT_TIMEOUT = 120
/** A day: longer than any CI job; a timer of Node holds 24. */
const LONGEST_TIMEOUT = 86_400

/** Section `ci.ready`: when the program counts as ready. */
export const readySection = section(
  {
    state: field(z.enum(['started', 'listening']).optional(), {
      doc: 'What to wait for: "started" (the program lives for a second) or "listening" (it listens on a port).',
      flags: {ready: true},
    }),
    tcp: field(oneOrMany(tcp.transform(reading((value) => parseTcp(String(value))))).optional(), {
      doc: 'Ports of the program that must accept a connection: [HOST:]PORT.',
      flags: {'ready-tcp': true},
      repeatable: true,
    }),
    http: field(
      oneOrMany(
        http.transform(
          reading((value) => (typeof value === 'string' ? parseHttp(value) : httpProbe(value.url, value.status))),
        ),
      ).optional(),
      {
        doc: 'URLs that must answer with their status, any 2xx or 3xx by default: URL[=STATUS], or {url, status}.',
        flags: {'ready-http': true},
        repeatable: true,
      },
    ),
    log: field(regexes().optional(), {
      doc: "Patterns (syntax of Rust's regex crate) of which each must match a line of the program's output.",
      flags: {'ready-log': true},
      repeatable: true,
    }),
    exec: field(list().pipe(z.array(text())).optional(), {
      doc: "Shell commands that must succeed, run with the program's environment and working directory.",
      flags: {'ready-exec': true},
      repeatable: true,
    }),
    timeout: field(u32().min(1).max(LONGEST_TIMEOUT).default(DEFAULT_TIMEOUT), {
      doc: 'Seconds after which a program that is not ready has failed.',
      flags: {'ready-timeout': true},
    }),
  },
  {
    doc: 'When the program counts as ready: everything given here must succeed.',
    short: '"started" or "listening"',
    expand: (value) => (value === 'started' || value === 'listening' ? {state: value} : undefined),
  },
)

/** Keys of `ci.ready` that say what to wait for: those of the command line replace those of the file altogether. */
export const readyProbes = ['state', 'tcp', 'http', 'log', 'exec'] as const
