import * as z from 'zod'
import {field, later, section} from '../../meta.ts'
import {oneOrMany, port, text, u16} from '../../scalars.ts'
import {httpFilterSection} from './http-filter.ts'

const modes = ['mirror', 'steal', 'off'] as const
const mapping = {feature: 'incoming', what: 'mapping and excluding ports'} as const
const operator = {feature: 'operator', what: 'sessions of the operator'} as const

/** Pairs of ports in which no port stands twice on one side (config.md 4.1, E23). */
const portPairs = () =>
  z
    .array(z.tuple([u16(), u16()]))
    .superRefine((pairs, context) => {
      for (const side of [0, 1] as const) {
        const twice = pairs.map((pair) => pair[side]).find((value, index, all) => all.indexOf(value) !== index)
        if (twice === undefined) continue
        const message = `the port ${twice} stands twice on the ${side === 0 ? 'first' : 'second'} side of a pair`
        context.addIssue({code: 'custom', message})
      }
    })
    .default([])

const delivery = () =>
  z
    .strictObject({
      protocol: z.enum(['tls', 'tcp']).default('tls'),
      trust_roots: oneOrMany(text(), 'a path').optional(),
      server_name: text().optional(),
      server_cert: text().optional(),
    })
    .optional()

/** Section `feature.network.incoming`: traffic that arrives at the target (config.md 3.7, 5.3). */
export const incomingSection = section(
  {
    mode: field(z.enum(modes).default('steal'), {
      doc: 'What happens to traffic of the target: stolen by the local program, mirrored to it, or left alone. `ci start` steals by default, `exec` mirrors.',
      env: 'MIRRORD_AGENT_TCP_STEAL_TRAFFIC',
      flags: {steal: 'steal'},
      fromText: (value) => (value === 'true' ? 'steal' : value === 'false' ? 'off' : value),
      later: [
        {
          feature: 'incoming',
          what: 'mirroring; give --steal, or "steal" or "off" in the file',
          asks: (value) => value === 'mirror',
        },
      ],
      compare: {better: '`ci start` steals by default: tests that call the deployed service meet the local program'},
    }),
    http_filter: httpFilterSection,
    port_mapping: later(portPairs(), {
      ...mapping,
      doc: 'Pairs [port of the program, port of the target].',
      examples: [[[3000, 80]]],
    }),
    listen_ports: later(portPairs(), {
      ...mapping,
      doc: 'Pairs [port of the program, port on this machine that it really gets].',
      examples: [[[80, 8080]]],
    }),
    ports: field(z.array(port()).optional(), {
      doc: 'Ports of the target to intercept; all that the program listens on by default.',
    }),
    ignore_ports: later(z.array(u16()).default([]), {...mapping, doc: 'Ports of the program that stay local.'}),
    ignore_localhost: later(z.boolean().default(false), {
      ...mapping,
      doc: 'Listeners on a loopback address stay local.',
    }),
    on_concurrent_steal: later(z.enum(['abort', 'continue', 'override']).default('abort'), {
      ...operator,
      doc: 'What the operator does when another session steals the same port.',
      env: 'MIRRORD_OPERATOR_ON_CONCURRENT_STEAL',
    }),
    tls_delivery: later(delivery(), {
      ...operator,
      doc: 'How stolen TLS is handed to the program: as TLS again or as plain TCP, and what its certificate is verified with.',
      examples: [{protocol: 'tcp'}, {trust_roots: ['roots.pem'], server_name: 'shop.internal'}],
    }),
    https_delivery: later(delivery(), {...operator, doc: 'Older name of tls_delivery.'}),
  },
  {
    doc: 'Traffic that arrives at the target.',
    short: 'true (the default mode), false ("off"), or the name of a mode',
    forms: z.union([z.boolean(), z.enum(modes)]),
    expand: (value) =>
      value === true ? {} : value === false ? {mode: 'off'} : typeof value === 'string' ? {mode: value} : undefined,
  },
)
