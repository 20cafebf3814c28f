import * as z from 'zod'
import {later} from '../../meta.ts'
import {fancyRegex} from '../../regexes.ts'
import {text} from '../../scalars.ts'

/** Entries are lenient upstream: a key that is not known stays (config.md 2.1). */
const entry = <Type extends string, Shape extends z.ZodRawShape>(type: Type, shape: Shape) =>
  z.looseObject({queue_type: z.literal(type), queue_mode: z.enum(['steal', 'mirror']).default('steal'), ...shape})

/** Names of attributes and the patterns that their values match. */
const attributes = () => z.record(z.string(), fancyRegex())
const plain = () => ({message_filter: attributes().optional(), jq_filter: text().optional()})

/** How a message of Kafka is decoded. */
const protobuf = () =>
  z.looseObject({
    message_type: text(),
    schema_file: text().optional(),
    include_directories: z.array(text()).optional(),
    descriptor_base64: text().optional(),
  })

/** One queue: by its type, which parts of a message it can be filtered by. */
const queue = <Shape extends z.ZodRawShape>(id: Shape) =>
  z.discriminatedUnion('queue_type', [
    entry('SQS', {...id, ...plain()}),
    entry('Kafka', {...id, ...plain(), payload_protobuf: protobuf().optional()}),
    entry('RMQ', {...id, message_filter: attributes()}),
    entry('GCPPubSub', {...id, ...plain()}),
    entry('RedisPubSub', {...id, ...plain()}),
    entry('AzureServiceBus', {...id, ...plain()}),
    entry('Temporal', {...id, ...plain()}),
    entry('BullMQ', {...id, ...plain()}),
  ])

/** Key `feature.split_queues` (config.md 3.8). */
export const splitQueues = later(
  z
    .union(
      [
        z.array(z.lazy(() => queue({queue_id: text()}))),
        z.record(
          z.string(),
          z.lazy(() => queue({})),
        ),
      ],
      {
        error: 'expected an object of queues by their id, or a list of them',
      },
    )
    .default({}),
  {
    doc:
      'Queues of which the program gets the messages that match: by id, or a list with queue_id; each has queue_type, ' +
      'queue_mode, and message_filter (attributes and their patterns) or jq_filter (not verified here).',
    feature: 'operator',
    what: 'sessions of the operator',
    neutral: [[]],
    examples: [{orders: {queue_type: 'SQS', message_filter: {run: '^ci-'}}}],
  },
)
