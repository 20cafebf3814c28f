import * as z from 'zod'
import {inert, section} from '../../meta.ts'
import {list, text, u64} from '../../scalars.ts'

const why = 'preview environments belong to another command'
const ttl = () => z.union([u64(), z.literal('infinite')], {error: 'expected a whole number or "infinite"'}).optional()
const readTtl = (value: string) => (/^\d+$/.test(value) ? Number(value) : value)

/** Entries are lenient upstream: a key that is not known stays (config.md 2.1). */
const mount = () =>
  z.looseObject({
    mount_at: text(),
    from_file: text().optional(),
    payload: z.string().optional(),
    type: z.enum(['text', 'binary']).optional(),
  })

const labels = section(
  {
    include: inert(list().optional(), {doc: 'Labels of the target that the environment keeps.', why}),
    exclude: inert(list().optional(), {doc: 'Labels of the target that the environment drops.', why}),
  },
  {doc: 'Labels of a preview environment.'},
)

const idle = section(
  {
    start_idle: inert(z.boolean().default(false), {doc: 'Start asleep.', why, env: 'MIRRORD_PREVIEW_START_IDLE'}),
    sleep_after_secs: inert(u64().min(30).optional(), {
      doc: 'Seconds without traffic after which the environment sleeps.',
      why,
      env: 'MIRRORD_PREVIEW_IDLE_SLEEP_AFTER_SECS',
    }),
    wake_timeout_secs: inert(u64().min(1).optional(), {
      doc: 'Seconds for which a request waits for the environment to wake.',
      why,
      env: 'MIRRORD_PREVIEW_IDLE_WAKE_TIMEOUT_SECS',
    }),
  },
  {doc: 'Sleep of a preview environment.'},
)

/** Section `feature.preview` (config.md 3.8): accepted, for files that serve that command as well. */
export const previewSection = section(
  {
    image: inert(text().optional(), {doc: 'Image of the environment.', why, env: 'MIRRORD_PREVIEW_IMAGE'}),
    ttl_mins: inert(ttl(), {
      doc: 'Minutes for which it lives.',
      why,
      env: 'MIRRORD_PREVIEW_TTL_MINS',
      fromText: readTtl,
    }),
    ttl_secs: inert(ttl(), {
      doc: 'Seconds for which it lives (3600).',
      why,
      env: 'MIRRORD_PREVIEW_TTL_SECS',
      fromText: readTtl,
    }),
    creation_timeout_secs: inert(u64().default(60), {
      doc: 'Seconds within which it must be there.',
      why,
      env: 'MIRRORD_PREVIEW_CREATION_TIMEOUT_SECS',
    }),
    replicas: inert(z.int().min(0).default(1), {doc: 'Number of its pods.', why, env: 'MIRRORD_PREVIEW_REPLICAS'}),
    labels,
    idle,
    config_mounts: inert(z.array(mount()).optional(), {doc: 'Files that it gets.', why}),
    secret_mounts: inert(z.array(mount()).optional(), {doc: 'Files that it gets as secrets.', why}),
  },
  {doc: 'Preview environments.'},
)
