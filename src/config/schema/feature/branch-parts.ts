import * as z from 'zod'
import {oneOrMany, text, textMap} from '../../scalars.ts'

/** Where a value comes from: a variable of the target, a secret of Kubernetes, or one of Google's Secret Manager. */
const source = () =>
  z.discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('env'),
      variable: text(),
      container: text().optional(),
      value: z.string().optional(),
    }),
    z.strictObject({type: z.literal('env_from'), variable: text(), container: text().optional()}),
    z.strictObject({type: z.literal('secret'), name: text(), key: text(), env_var_name: text().optional()}),
    z.strictObject({type: z.literal('gcp_secret_manager'), secret_ref: text(), env_var_name: text().optional()}),
  ])

const kind = () => z.enum(['env', 'env_from']).optional()
const texts = () => oneOrMany(text(), 'a name of a variable')
/** A part of a connection: a variable's name, a source, or a key of a secret. */
const part = () =>
  oneOrMany(z.union([text(), z.record(z.string(), z.unknown())]), 'the name of a variable or an object')

/** How the branch's database is reached: one URL, or its parts. */
export const connection = () =>
  z.union(
    [
      z.strictObject({url: source()}),
      z.strictObject({url: texts(), type: kind()}),
      z.strictObject({params: z.record(z.string(), part()), type: kind()}),
    ],
    {error: 'expected an object with url, or with params'},
  )

/** Credentials of a cloud instead of a password. */
export const iamAuth = () => {
  const given = () => source().optional()
  return z
    .discriminatedUnion('type', [
      z.strictObject({
        type: z.literal('aws_rds'),
        region: given(),
        access_key_id: given(),
        secret_access_key: given(),
        session_token: given(),
      }),
      z.strictObject({
        type: z.literal('gcp_cloud_sql'),
        credentials_json: given(),
        credentials_path: given(),
        project: given(),
      }),
    ])
    .superRefine((iam, context) => {
      if (iam.type !== 'gcp_cloud_sql' || !iam.credentials_json || !iam.credentials_path) return
      context.addIssue({code: 'custom', message: 'credentials_json and credentials_path cannot both be set'})
    })
    .optional()
}

/** Scripts that make the schema of the branch. */
export const migrations = () =>
  z
    .discriminatedUnion('flavor', [
      z.strictObject({
        flavor: z.literal('flyway'),
        image: text().optional(),
        locations: z.array(text()).optional(),
        path: text().optional(),
      }),
      z.strictObject({
        flavor: z.literal('container'),
        image: text(),
        command: z.array(z.string()).optional(),
        args: z.array(z.string()).optional(),
        env: textMap().optional(),
      }),
    ])
    .superRefine((given, context) => {
      if (given.flavor !== 'flyway') return
      const inImage = (given.locations ?? []).length > 0
      if (inImage === (given.path !== undefined)) {
        context.addIssue({
          code: 'custom',
          message: 'exactly one of path (files here) and locations (files in the image) must be set',
        })
      } else if (inImage && given.image === undefined) {
        context.addIssue({code: 'custom', message: 'locations are in an image: image must be set'})
      }
    })
    .optional()

const items = () => z.record(z.string(), z.strictObject({filter: z.string().optional()})).optional()

/** What is copied into a branch of SQL: nothing, the schema, or everything. `dump` where the tool for it takes arguments. */
export const sqlCopy = (dump: boolean) => {
  const extra = dump ? {dump_args: z.array(z.string()).optional()} : {}
  return z
    .discriminatedUnion('mode', [
      z.strictObject({mode: z.literal('empty'), tables: items(), ...extra}),
      z.strictObject({mode: z.literal('schema'), tables: items(), ...extra}),
      z.strictObject({mode: z.literal('all'), ...extra}),
    ])
    .optional()
}

/** The same for stores of documents. */
export const documentCopy = () => z.strictObject({mode: z.enum(['empty', 'all']), collections: items()}).optional()
