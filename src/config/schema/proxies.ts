import * as z from 'zod'
import {field, inert, section} from '../meta.ts'
import {text, u32, u64} from '../scalars.ts'

const noProxy = {why: 'there is no separate proxy process'} as const
const oneLog = {why: 'the session writes one log, mirrord.log, beside the output of the program'} as const

/** Section `internal_proxy` (config.md 3.10). */
export const internalProxySection = section(
  {
    ping_interval: field(u64().default(30), {
      doc: 'Seconds between keep-alive messages to the agent, from 1 to 7: more counts as 7. An agent that is silent from one to the next is lost, and another one takes over.',
      compare: {better: '7 s at most: a connection that hangs is found within 14 s'},
    }),
    start_idle_timeout: inert(u64().default(60), {
      doc: 'Seconds within which a first process must connect.',
      ...noProxy,
    }),
    idle_timeout: inert(u64().default(5), {doc: 'Seconds for which the proxy outlives the last process.', ...noProxy}),
    socket_timeout: inert(u64().default(31_536_000), {
      doc: 'Seconds after which an idle connection is closed.',
      why: 'relayed connections have no idle limit',
    }),
    log_level: inert(text().default('mirrord=info,warn'), {doc: 'Log filter.', ...oneLog}),
    log_destination: inert(text().optional(), {doc: 'File or directory of the log.', ...oneLog}),
    json_log: inert(z.boolean().default(true), {doc: 'Log as JSON lines.', ...oneLog}),
    process_logging_interval: inert(u64().default(60), {
      doc: 'Seconds between log lines about the processes.',
      ...noProxy,
    }),
  },
  {doc: 'The connection to the agent.'},
)

const container = {
  why: 'there is no external proxy: a container reaches the session over a socket that is mounted into it',
} as const

/** Section `external_proxy` (config.md 3.10). */
export const externalProxySection = section(
  {
    tls_enable: inert(z.boolean().default(true), {doc: 'TLS between the proxies.', ...container}),
    start_idle_timeout: inert(u64().default(60), {
      doc: 'Seconds within which the first connection must come.',
      ...container,
    }),
    idle_timeout: inert(u64().default(5), {doc: 'Seconds for which it outlives the last connection.', ...container}),
    log_level: inert(text().default('mirrord=info,warn'), {doc: 'Log filter.', ...container}),
    log_destination: inert(text().optional(), {doc: 'File or directory of the log.', ...container}),
    json_log: inert(z.boolean().default(true), {doc: 'Log as JSON lines.', ...container}),
    host_ip: inert(z.union([z.ipv4(), z.ipv6()], {error: 'expected an IP address'}).optional(), {
      doc: 'Address on which it listens.',
      ...container,
    }),
  },
  {doc: 'The proxy on this machine of a containerised program.'},
)

/** Section `startup_retry` (config.md 3.10). */
export const startupRetrySection = section(
  {
    min_ms: field(u64().default(500), {doc: 'First pause before a Kubernetes request is repeated, in milliseconds.'}),
    max_ms: field(u64().min(1).default(5000), {doc: 'Longest such pause, in milliseconds.'}),
    max_retries: field(u32().default(2), {
      doc: 'How often a request that failed for the moment (overload, a connection that was cut or refused, no answer) is repeated.',
      compare: {better: 'upstream repeats after 429, 503 and 504 only'},
    }),
  },
  {doc: 'Repeating Kubernetes requests.'},
)
