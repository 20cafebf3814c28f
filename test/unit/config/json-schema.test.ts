import {readFileSync} from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {z} from 'zod'
import {resolveConfig, rootSection} from '../../../src/config/index.ts'
import {leaves} from '../../../src/config/meta.ts'
import {MirrordError} from '../../../src/errors/mirrord-error.ts'
import {fileDefault, inputOf} from '../../../scripts/lib/config-schema.ts'

const file = path.join(import.meta.dirname, '..', '..', '..', 'schema', 'mirrord-schema.json')
const schema = JSON.parse(readFileSync(file, 'utf8')) as Parameters<typeof z.fromJSONSchema>[0] & Node
const published = z.fromJSONSchema(schema)

/** What an editor says. */
const editor = (config: unknown) => published.safeParse(config).success

/** What we say: a value that comes later is valid. */
const ours = async (config: unknown): Promise<boolean> => {
  try {
    await resolveConfig({
      flags: {'config-file': 'm.json'},
      env: {},
      cwd: '/work',
      readFile: async () => JSON.stringify(config),
    })
    return true
  } catch (error) {
    if (!(error instanceof MirrordError)) throw error
    return error.report.code === 'CONFIG_UNSUPPORTED'
  }
}

/** Every path that the published schema knows, inside of lists' entries and of the forms of a section excepted. */
function* pathsOf(node: Node, around: readonly string[] = []): Generator<readonly string[]> {
  for (const form of [...(node.anyOf ?? []), ...(node.oneOf ?? [])]) yield* pathsOf(form, around)
  for (const [key, inner] of Object.entries(node.properties ?? {})) {
    yield [...around, key]
    yield* pathsOf(inner, [...around, key])
  }
}
interface Node {
  anyOf?: Node[]
  oneOf?: Node[]
  properties?: Record<string, Node>
}

const text = fc.constantFrom(
  '',
  'x',
  'X_y',
  'steal',
  'local',
  '5',
  'a;b',
  '(',
  'pod/x',
  'targetless',
  '1.2.3.4',
  'Always',
)
const scalar = fc.oneof(fc.constantFrom(null, true, false, 1.5, -1, 0, 1, 80, 70_000, 5e9), text)
/** What a key may be given, right or wrong. */
const anything = fc.oneof(
  {weight: 3, arbitrary: scalar},
  fc.array(scalar, {maxLength: 2}),
  fc.array(fc.array(scalar, {minLength: 2, maxLength: 3}), {maxLength: 2}),
  fc.dictionary(
    fc.constantFrom('path', 'pod', 'name', 'local', 'remote', 'mode', 'enabled', 'tag', 'header', 'x'),
    scalar,
    {
      maxKeys: 2,
    },
  ),
)

/** The file that sets one key. */
const setting = (key: readonly string[], value: unknown): unknown =>
  key.reduceRight<unknown>((inner, step) => ({[step]: inner}), value)

const keys = [...leaves(rootSection)].map(({path: key, schema, meta}) => ({name: key.join('.'), key, schema, meta}))

describe('the published JSON Schema', () => {
  it.each([
    ['nothing', {}],
    ['its own address', {$schema: './mirrord-schema.json'}],
    ['a target as text', {target: 'pod/x/container/y'}],
    ['a target object', {target: {deployment: 'x', container: 'c', namespace: 'n'}}],
    ['a target by labels', {target: {labels: {app: 'x'}}, operator: null}],
    ['sections switched off', {target: 'pod/x', feature: {network: false, env: false, fs: false, copy_target: false}}],
    ['modes for sections', {target: 'pod/x', feature: {network: {incoming: 'steal', dns: true}, fs: 'write'}}],
    ['null everywhere', {target: null, agent: {ttl: null, dns: null, image: {registry: null}}, feature: {env: null}}],
    ['queues by id', {feature: {split_queues: {a: {queue_type: 'SQS', message_filter: {x: '^y'}, more: 1}}}}],
    ['queues in a list', {feature: {split_queues: [{queue_id: 'a', queue_type: 'RMQ', message_filter: {x: 'y'}}]}}],
    [
      'a branch',
      {feature: {db_branches: [{type: 'pg', connection: {url: {type: 'env', variable: 'X'}}, iam_auth: null}]}},
    ],
    ['a Redis of this machine', {feature: {db_branches: [{type: 'redis', location: 'local', local: {port: 1}}]}}],
    ['a Redis elsewhere', {feature: {db_branches: [{type: 'redis', connection: {params: {host: 'H'}}}]}}],
    ['readiness', {ci: {ready: 'started'}}],
  ])('accepts, as we do: %s', async (_name, config) => {
    expect([editor(config), await ours(config)]).toEqual([true, true])
  })

  it.each([
    ['an unknown key', {featur: {}}],
    ['an unknown key far inside', {feature: {network: {outgoing: {filters: {}}}}}],
    ['a text for a number', {agent: {ttl: '5'}}],
    ['a number for a text', {kubeconfig: 5}],
    ['a number out of range', {agent: {ttl: 70_000}}],
    ['an unknown mode', {feature: {fs: 'rw'}}],
    ['a mode of incoming traffic', {feature: {network: {incoming: 'stael'}}}],
    ['a list for a section', {feature: []}],
    ['both sides of a filter', {feature: {network: {dns: {filter: {local: 'a', remote: 'b'}}}}}],
    ['neither side of a filter', {feature: {network: {dns: {filter: {}}}}}],
    ['a pair of three', {feature: {network: {incoming: {port_mapping: [[1, 2, 3]]}}}}],
    ['two filters in one', {feature: {network: {incoming: {http_filter: {all_of: [{header: 'a', path: 'b'}]}}}}}],
    ['an empty list of filters', {feature: {network: {incoming: {http_filter: {any_of: []}}}}}],
    ['a queue of no known type', {feature: {split_queues: {a: {queue_type: 'SSQ'}}}}],
    ['a queue of RabbitMQ without filter', {feature: {split_queues: {a: {queue_type: 'RMQ'}}}}],
    ['a branch without connection', {feature: {db_branches: [{type: 'pg'}]}}],
    [
      'a key of another type of branch',
      {feature: {db_branches: [{type: 'mongodb', connection: {url: 'X'}, migrations: {}}]}},
    ],
    ['an unknown key of tolerations', {agent: {tolerations: [{keyy: 'a'}]}}],
    ['null in a map', {agent: {labels: {a: null}}}],
    ['a map for a list', {skip_processes: {}}],
    ['a target of two kinds', {target: {pod: 'a', deployment: 'b'}}],
    ['truth as text', {operator: 'true'}],
  ])('refuses, as we do: %s', async (_name, config) => {
    expect([editor(config), await ours(config)]).toEqual([false, false])
  })

  it.each(keys)('accepts the default and the examples of $name, and null', async ({key, schema, meta}) => {
    const values = [null, ...(fileDefault(schema, meta) === undefined ? [] : [fileDefault(schema, meta)])]
    for (const value of [...values, ...(meta.examples ?? [])]) {
      const config = setting(key, value)
      expect([editor(config), await ours(config)], JSON.stringify(value)).toEqual([true, true])
    }
  })

  it('[3] accepts whatever we accept', async () => {
    const paths = [...new Set([...pathsOf(schema)].map((path) => path.join('.')))].map((path) => path.split('.'))
    expect(paths.length).toBeGreaterThan(200)
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), anything, async (key, value) => {
        const config = setting(key, value)
        return editor(config) || !(await ours(config))
      }),
      {numRuns: 2000},
    )
  })

  it.each(keys)('refuses another type for $name', async ({key, schema, meta}) => {
    const node = JSON.stringify(inputOf(schema, meta))
    // A map in which any name may stand takes this one too; a text may be any.
    const wrong = node.includes('"boolean"') ? 'canary' : true
    const config = setting(key, wrong)
    expect([editor(config), await ours(config)]).toEqual([false, false])
  })
})
