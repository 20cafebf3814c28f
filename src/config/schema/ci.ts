import * as z from 'zod'
import {field, section} from '../meta.ts'
import {byteSize, text} from '../scalars.ts'
import {readySection} from './ready.ts'

/** The section `ci`. */
export const ciSection = section(
  {
    output_dir: field(text().optional(), {doc: "Directory for the program's output; <tmp>/mirrord by default."}),
    grace: field(z.int().min(0).max(3600).default(10), {
      doc: 'Seconds between the first signal to the program and SIGKILL when its session ends; `ci stop --grace` overrides it.',
      flags: {grace: true},
      compare: 'ours',
    }),
    log_max: field(byteSize().optional(), {
      doc: 'Size at which stdout, stderr and mirrord.log are rotated (NAME becomes NAME.1): bytes, or a number with K, M or G; never by default.',
      flags: {'log-max': true},
      examples: ['10M', 1048576],
      compare: 'ours',
    }),
    report_dir: field(text().optional(), {
      doc: "Directory of the job's report; report-<job> beside the program's output by default.",
      compare: 'ours',
    }),
    name: field(
      z
        .string()
        .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'it is 1 to 63 letters, digits, dots, dashes and underscores')
        .optional(),
      {
        doc: 'Name of the session for the other ci commands; the name of the program by default.',
        flags: {name: true},
        compare: 'ours',
      },
    ),
    ready: readySection,
  },
  {doc: 'mirrord ci.'},
)
