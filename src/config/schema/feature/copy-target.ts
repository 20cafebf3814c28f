import * as z from 'zod'
import {isRecord, later, section} from '../../meta.ts'
import {list} from '../../scalars.ts'

const operator = {feature: 'operator', what: 'sessions of the operator'} as const

/** Section `feature.copy_target` (config.md 3.4). */
export const copyTargetSection = section(
  {
    enabled: later(z.boolean().default(false), {...operator, doc: 'Run against a copy of the target pod.'}),
    scale_down: later(z.boolean().default(false), {...operator, doc: 'Scale the original to 0 meanwhile.'}),
    exclude_containers: later(list().optional(), {
      ...operator,
      doc: 'Containers that the copy does without.',
      neutral: [[]],
    }),
    exclude_init_containers: later(list().optional(), {
      ...operator,
      doc: 'Init containers that the copy does without.',
      neutral: [[]],
    }),
  },
  {
    doc: 'Running against a copy of the target.',
    short: 'true, false',
    forms: z.boolean(),
    // The object form without `enabled` means enabled (config.md 3.4).
    expand: (value) =>
      typeof value === 'boolean'
        ? {enabled: value}
        : isRecord(value)
          ? {...value, enabled: value.enabled ?? true}
          : undefined,
  },
)
