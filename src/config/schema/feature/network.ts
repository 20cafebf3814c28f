import * as z from 'zod'
import {later, section} from '../../meta.ts'
import {incomingSection} from './incoming.ts'
import {dnsSection, outgoingSection} from './outgoing.ts'

/** Section `feature.network` (config.md 3.7). */
export const networkSection = section(
  {
    ipv6: later(z.boolean().default(true), {
      doc: 'Whether the program may use IPv6.',
      env: 'MIRRORD_ENABLE_IPV6',
      feature: 'semantics',
      what: 'switching IPv6 off',
    }),
    incoming: incomingSection,
    outgoing: outgoingSection,
    dns: dnsSection,
  },
  {
    doc: 'Network.',
    short: 'true, false',
    forms: z.boolean(),
    expand: (value) =>
      value === true ? {} : value === false ? {incoming: 'off', outgoing: false, dns: false} : undefined,
  },
)
