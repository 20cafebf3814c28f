import * as z from 'zod'
import {field, isRecord} from '../../meta.ts'
import {port, text, textMap, u16, u64} from '../../scalars.ts'
import {connection, documentCopy, iamAuth, migrations, sqlCopy} from './branch-parts.ts'

/** Longest life of a branch, in seconds. */
const longest = 15 * 60

/** Keys that every branch of the operator has. */
const base = () => ({
  id: text().optional(),
  name: text().optional(),
  image: text().optional(),
  version: text().optional(),
  profile: text().optional(),
  ttl_secs: u64().max(longest).optional(),
  ttl_mins: u64()
    .max(longest / 60)
    .optional(),
  creation_timeout_secs: u64().default(60),
  connection: connection(),
})

const branch = <Type extends string, Shape extends z.ZodRawShape>(type: Type, shape: Shape) =>
  z.strictObject({type: z.literal(type), ...base(), ...shape})

const readiness = () =>
  z
    .discriminatedUnion('type', [
      z.strictObject({type: z.literal('tcp')}),
      z.strictObject({type: z.literal('exec'), command: z.array(text()).min(1)}),
      z.strictObject({type: z.literal('http_get'), path: text(), port: port().optional()}),
    ])
    .optional()

const branches = () =>
  [
    branch('clickhouse', {copy: sqlCopy(false)}),
    branch('cockroachdb', {copy: sqlCopy(false), migrations: migrations()}),
    branch('dynamodb', {copy: documentCopy(), iam_auth: iamAuth()}),
    branch('generic', {
      port: port(),
      command: z.array(z.string()).optional(),
      args: z.array(z.string()).optional(),
      env: textMap().optional(),
      readiness: readiness(),
    }),
    branch('mariadb', {copy: sqlCopy(true), migrations: migrations(), iam_auth: iamAuth()}),
    branch('mongodb', {copy: documentCopy()}),
    branch('mssql', {copy: sqlCopy(false), migrations: migrations()}),
    branch('mysql', {copy: sqlCopy(true), migrations: migrations(), iam_auth: iamAuth()}),
    branch('pg', {
      copy: sqlCopy(true),
      migrations: migrations(),
      iam_auth: iamAuth(),
      connection_settings: textMap().optional(),
      query_params: textMap().optional(),
    }),
    branch('spanner', {copy: sqlCopy(false), emulator_host: text().default('SPANNER_EMULATOR_HOST')}),
  ] as const

const redisValue = () =>
  z
    .union([z.string(), z.strictObject({type: z.literal('env'), variable: text(), container: text().optional()})], {
      error: 'expected a text or {type: "env", variable}',
    })
    .optional()

/** The one branch that needs no operator: a Redis of this machine. */
const localRedis = () =>
  z.strictObject({
    type: z.literal('redis'),
    location: z.literal('local'),
    id: text().optional(),
    connection: z
      .strictObject({
        url: redisValue(),
        host: redisValue(),
        port: port().optional(),
        username: redisValue(),
        password: redisValue(),
        database: u16().optional(),
        tls: z.boolean().optional(),
      })
      .optional(),
    local: z
      .strictObject({
        port: port().default(6379),
        version: text().default('7-alpine'),
        runtime: z.enum(['container', 'redis_server', 'auto']).default('container'),
        container_runtime: z.enum(['docker', 'podman', 'nerdctl']).default('docker'),
        container_command: text().optional(),
        server_command: text().optional(),
        options: z.strictObject({args: z.array(z.string()).optional()}).optional(),
      })
      .optional(),
  })

const remoteRedis = () =>
  branch('redis', {
    location: z.literal('remote').optional(),
    copy: z.strictObject({mode: z.enum(['empty', 'all']), patterns: z.array(text()).optional()}).optional(),
  })

/** Made when a file has branches: few have, and it takes longer than all other keys together. */
const anyBranch = z.lazy(() =>
  z.discriminatedUnion('type', [...branches(), z.discriminatedUnion('location', [localRedis(), remoteRedis()])]),
)

const isLocal = (entry: unknown) => isRecord(entry) && entry.location === 'local'
const some = (is: (entry: unknown) => boolean) => (value: unknown) => Array.isArray(value) && value.some(is)

/** Key `feature.db_branches` (config.md 3.8). */
export const dbBranches = field(
  z
    .array(anyBranch)
    .superRefine((given, context) => {
      for (const [index, entry] of given.entries()) {
        for (const message of conflicts(entry)) context.addIssue({code: 'custom', path: [index], message})
      }
    })
    .default([]),
  {
    doc:
      'Branches of databases that live as long as the session; each has type (clickhouse, cockroachdb, dynamodb, generic, mariadb, ' +
      'mongodb, mssql, mysql, pg, redis, spanner), connection, and keys of its type.',
    later: [
      {feature: 'operator', what: 'sessions of the operator', asks: some((entry) => !isLocal(entry))},
      {feature: 'semantics', what: 'a Redis of this machine', asks: some(isLocal)},
    ],
    examples: [[{type: 'pg', version: '16', connection: {url: 'DATABASE_URL'}, copy: {mode: 'schema'}}]],
  },
)

/** Keys of one branch that do not go together (config.md 4.1, E18). */
function conflicts(entry: z.output<typeof anyBranch>): string[] {
  if (entry.type === 'redis' && entry.location === 'local') return []
  const both = (a: keyof typeof entry, b: keyof typeof entry) => entry[a] !== undefined && entry[b] !== undefined
  return [
    ...(both('ttl_secs', 'ttl_mins') ? ['ttl_secs and ttl_mins cannot both be set'] : []),
    ...(both('image', 'version') ? ['image and version cannot both be set: an image names its version'] : []),
    ...('migrations' in entry && entry.migrations && entry.name === undefined ? ['migrations need a name'] : []),
    ...(entry.type === 'redis' && entry.name !== undefined && !/^\d+$/.test(entry.name)
      ? ['the name of a Redis branch is the number of its database']
      : []),
  ]
}
