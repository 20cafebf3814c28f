import * as z from 'zod'
import {parseAddressFilter} from '../../address-filter.ts'
import {field, later, section} from '../../meta.ts'
import {regexes} from '../../regexes.ts'
import {entriesOf, list, placeOf} from '../../scalars.ts'

const filters = {feature: 'semantics', what: 'filters of addresses and names'} as const

const entries = () =>
  list().superRefine((given, context) => {
    for (const [index, entry] of given.entries()) {
      try {
        parseAddressFilter(entry)
      } catch (error) {
        context.addIssue({code: 'custom', path: placeOf(index, given), message: (error as Error).message})
      }
    }
  })

/** `{remote: …}` or `{local: …}`: entries `[tcp://|udp://]ADDRESS[/PREFIX][:PORT]` (config.md 5.4.2). */
const filter = () =>
  z
    .union([z.strictObject({remote: entries()}), z.strictObject({local: entries()})], {
      error: 'expected an object with exactly one of remote and local',
    })
    .optional()

const examples = [{local: ['tcp://db.internal:5432', '10.0.0.0/8']}, {remote: 'udp://:53'}]

/** Section `feature.network.outgoing`: connections that the program opens (config.md 3.7, 5.4). */
export const outgoingSection = section(
  {
    tcp: field(z.boolean().default(true), {
      doc: "TCP connections of the program leave from the target's network.",
      env: 'MIRRORD_TCP_OUTGOING',
      flags: {'no-outgoing': 'false', 'no-tcp-outgoing': 'false'},
    }),
    udp: field(z.boolean().default(true), {
      doc: "UDP of the program leaves from the target's network.",
      env: 'MIRRORD_UDP_OUTGOING',
      flags: {'no-outgoing': 'false', 'no-udp-outgoing': 'false'},
    }),
    ignore_localhost: later(z.boolean().default(false), {
      ...filters,
      doc: 'Connections to loopback addresses stay here.',
    }),
    filter: later(filter(), {
      ...filters,
      doc: 'Which connections are remote, or which are local: names, addresses and networks, with protocol and port.',
      examples,
    }),
    unix_streams: field(regexes().optional(), {
      doc: 'Patterns of unix socket paths (stream and seqpacket) that are connected in the target; an abstract name begins with @.',
      env: 'MIRRORD_OUTGOING_REMOTE_UNIX_STREAMS',
      fromText: entriesOf,
      examples: ['^/var/run/app\\.sock$'],
    }),
  },
  {
    doc: 'Connections that the program opens.',
    short: 'true, false',
    forms: z.boolean(),
    expand: (value) => (typeof value === 'boolean' ? {tcp: value, udp: value} : undefined),
  },
)

/** Section `feature.network.dns`: names that the program looks up (config.md 3.7, 5.5). */
export const dnsSection = section(
  {
    enabled: field(z.boolean().default(true), {
      doc: 'Names are resolved as in the target.',
      env: 'MIRRORD_REMOTE_DNS',
      flags: {'no-remote-dns': 'false'},
    }),
    filter: later(filter(), {
      ...filters,
      doc: 'Which names are resolved in the target, or which are resolved here; entries as in outgoing.filter.',
      examples: [{local: ['db.internal']}],
    }),
  },
  {
    doc: 'DNS.',
    short: 'true, false',
    forms: z.boolean(),
    expand: (value) => (typeof value === 'boolean' ? {enabled: value} : undefined),
  },
)
