import * as z from 'zod'
import {inert, later, section} from '../../meta.ts'

/** Section `feature.magic`: adjustments that upstream makes by default (config.md 2.7). */
export const magicSection = section(
  {
    aws: later(z.boolean().optional(), {
      doc: 'Keep AWS credentials of this machine away from the program; upstream does so by default.',
      feature: 'semantics',
      what: 'keeping AWS credentials of this machine away',
      neutral: [false],
    }),
    auto_mount: later(z.boolean().optional(), {
      doc: "Read the files of the target's volumes from the target; upstream does so by default.",
      feature: 'semantics',
      what: 'remote files of mounted volumes',
      neutral: [false],
    }),
    turbo: inert(z.boolean().default(true), {
      doc: 'Keep loopback connections of Next.js local.',
      why: 'it concerns a library injection, which is not used here',
    }),
  },
  {doc: 'Adjustments made by default upstream.'},
)
