import {describe, expect, it} from 'vitest'
import {resolveConfig} from '../../../src/config/index.ts'
import {readConfigFile} from '../../../src/config/files.ts'
import {examine} from '../../../src/config/resolve.ts'
import type {MirrordError} from '../../../src/errors/mirrord-error.ts'

/** One line a key, so that each place has a line of its own. */
const written = (config: unknown) => JSON.stringify(config, undefined, 1)

const read = (config: unknown) => readConfigFile('m.json', '/work', async () => written(config))

/** What is found in a file: problems as "key: message", warnings as sentences. */
async function look(config: unknown, flags: Record<string, unknown> = {}, env: Record<string, string> = {}) {
  const {problems, warnings} = examine({flags, env, cwd: '/work'}, await read(config))
  return {
    wrong: problems.filter(({later}) => !later).map(({path, message}) => `${path}: ${message}`),
    warnings,
  }
}

const refusal = async (config: unknown, flags: Record<string, unknown> = {}, env: Record<string, string> = {}) => {
  const input = {flags: {...flags, 'config-file': 'm.json'}, env, cwd: '/work', readFile: async () => written(config)}
  const {report} = await resolveConfig(input).then(
    () => {
      throw new Error('nothing was refused')
    },
    (error: MirrordError) => error,
  )
  return {...report, lines: report.detail?.split('\n') ?? [report.why!]}
}

const incoming = (value: unknown) => ({target: 'pod/x', feature: {network: {incoming: value}}})
const network = (value: unknown) => ({target: 'pod/x', feature: {network: value}})
const at = 'feature.network.incoming'
const branch = (more: object) => ({feature: {db_branches: [{type: 'pg', connection: {url: 'DB_URL'}, ...more}]}})

describe('errors between keys and of texts with a syntax (config.md 4.1)', () => {
  it.each<[string, unknown, string]>([
    ['E1 twice', {target: 'label/a=b,a=c'}, 'target.path: a label stands twice in the target'],
    ['E1 none', {target: 'label/'}, 'target.path: a target by labels is written label/<key>=<value>'],
    ['E1 none in an object', {target: {labels: {}}}, 'target.path: "labels" must be an object of labels, one at least'],
    [
      'E2',
      {target: 'label/a=b', feature: {copy_target: true}},
      'feature.copy_target.enabled: it does not go together with a target by labels',
    ],
    ['E2 several clusters', {target: 'label/a=b', multi_cluster: true}, 'multi_cluster: it does not go together with'],
    [
      'E3',
      incoming({http_filter: {header_filter: 'a', path_filter: 'b'}}),
      `${at}.http_filter.header_filter: only one kind of filter can be set; also set: ${at}.http_filter.path_filter (file m.json:8)`,
    ],
    [
      'E3 with a method (Q7)',
      incoming({http_filter: {any_of: [{path: 'a'}], method_filter: 'GET'}}),
      `${at}.http_filter.method_filter: only one kind`,
    ],
    ['E3 with jq (Q7)', incoming({http_filter: {header_filter_jq: '.', header_filter: 'a'}}), 'only one kind'],
    ['E4', incoming({http_filter: {all_of: []}}), `${at}.http_filter.all_of: must have at least 1 entry`],
    ['E5', incoming({http_filter: {path_filter: ''}}), `${at}.http_filter.path_filter: must not be empty`],
    [
      'E5 inside',
      incoming({http_filter: {all_of: [{header: ''}]}}),
      `${at}.http_filter.all_of.0.header: must not be empty`,
    ],
    ['E6', incoming({http_filter: {body_filter: {body: 'json', query: 'a.b', matches: 'x'}}}), 'expected a JSONPath'],
    [
      'E6 not closed',
      incoming({http_filter: {any_of: [{body: 'json', query: '$.a[0', matches: 'x'}]}}),
      'expected a JSONPath',
    ],
    [
      'E7',
      incoming({ports: [80], ignore_ports: [81]}),
      `${at}.ports: cannot be set together with ${at}.ignore_ports (file m.json:9)`,
    ],
    ['E8', incoming({https_delivery: {}, tls_delivery: {}}), `${at}.https_delivery: cannot be set together with`],
    [
      'E9',
      incoming({tls_delivery: {trust_roots: 'a', server_cert: 'b'}}),
      'trust_roots and server_cert cannot both be set',
    ],
    ['E9 empty', incoming({tls_delivery: {trust_roots: []}}), 'tls_delivery.trust_roots: must not be empty'],
    ['E9 name', incoming({tls_delivery: {server_name: 'a b'}}), 'server_name: must be a DNS name'],
    [
      'E10',
      {target: 'targetless', feature: {network: {incoming: 'steal'}}},
      `${at}.mode: there is no traffic to steal without a target`,
    ],
    ['E11', {target: 'targetless', agent: {ephemeral: true}}, 'agent.ephemeral: there is no pod'],
    [
      'E12 operator',
      {target: 'pod/x', operator: false, feature: {copy_target: true}},
      'feature.copy_target.enabled: it needs the operator, which operator (file m.json:3) excludes',
    ],
    ['E12 targetless', {target: 'targetless', feature: {copy_target: true}}, 'there is no target to copy'],
    ['E12 service', {target: 'service/x', feature: {copy_target: true}}, 'a service cannot be copied'],
    [
      'E14',
      {feature: {env: {include: 'A', exclude: 'B'}}},
      'feature.env.include: cannot be set together with feature.env.exclude (file m.json:5)',
    ],
    ['E15', {feature: {env: {mapping: {'(': 'x'}}}}, 'feature.env.mapping: the pattern cannot be used'],
    [
      'E16',
      network({outgoing: {filter: {local: ['a', 'name/24']}}}),
      'feature.network.outgoing.filter.local.1: a name has no prefix',
    ],
    [
      'E16 dns',
      network({dns: {filter: {remote: 'http://x'}}}),
      'feature.network.dns.filter.remote: what stands before "://" is no protocol here',
    ],
    [
      'E17 pattern',
      {feature: {split_queues: {q: {queue_type: 'SQS', message_filter: {a: '['}}}}},
      'feature.split_queues.q.message_filter.a: the pattern cannot be used',
    ],
    ['E17 filter', {feature: {split_queues: {q: {queue_type: 'RMQ'}}}}, 'feature.split_queues.q.message_filter'],
    [
      'E18 lives',
      branch({ttl_secs: 1, ttl_mins: 1}),
      'feature.db_branches.0: ttl_secs and ttl_mins cannot both be set',
    ],
    ['E18 images', branch({image: 'a', version: '1'}), 'feature.db_branches.0: image and version cannot both be set'],
    [
      'E18 migrations',
      branch({migrations: {flavor: 'flyway', path: 'sql'}}),
      'feature.db_branches.0: migrations need a name',
    ],
    [
      'E18 flyway',
      branch({name: 'a', migrations: {flavor: 'flyway', path: 'a', locations: ['b'], image: 'c'}}),
      'exactly one of path',
    ],
    [
      'E18 iam',
      branch({
        iam_auth: {
          type: 'gcp_cloud_sql',
          credentials_json: {type: 'env', variable: 'A'},
          credentials_path: {type: 'env', variable: 'B'},
        },
      }),
      'credentials_json and credentials_path cannot both be set',
    ],
    [
      'E18 redis',
      {feature: {db_branches: [{type: 'redis', name: 'x', connection: {url: 'A'}}]}},
      'the name of a Redis branch is the number of its database',
    ],
    [
      'E19',
      {...branch({}), feature: {...branch({}).feature, env: {override: {DB_URL: 'x'}}}},
      'feature.db_branches.0.connection: the variable DB_URL is set by feature.env.override (file m.json:',
    ],
    [
      'E20 lives',
      {feature: {preview: {ttl_secs: 1, ttl_mins: 'infinite'}}},
      'feature.preview.ttl_mins: cannot be set together with',
    ],
    [
      'E20 labels',
      {feature: {preview: {labels: {include: 'a', exclude: 'b'}}}},
      'feature.preview.labels.include: cannot be set together with',
    ],
    ['E20 replicas', {feature: {preview: {replicas: -1}}}, 'feature.preview.replicas: must be at least 0'],
    ['E20 sleep', {feature: {preview: {idle: {sleep_after_secs: 29}}}}, 'sleep_after_secs: must be at least 30'],
    ['E20 wake', {feature: {preview: {idle: {wake_timeout_secs: 0}}}}, 'wake_timeout_secs: must be at least 1'],
    [
      'E20 mount',
      {feature: {preview: {config_mounts: [{mount_at: '/a'}]}}},
      'feature.preview.config_mounts.0: exactly one of payload and from_file must be set',
    ],
    [
      'E21',
      {feature: {fs: {readonly_file_buffer: 15_728_641}}},
      'feature.fs.readonly_file_buffer: must be at most 15 MiB',
    ],
    [
      'E22',
      {startup_retry: {min_ms: 10, max_ms: 5}},
      'startup_retry.min_ms: must not be above startup_retry.max_ms (file m.json:4)',
    ],
    ['E22 nothing', {startup_retry: {max_ms: 0}}, 'startup_retry.max_ms: must be at least 1'],
    [
      'E23',
      incoming({
        port_mapping: [
          [1, 2],
          [1, 3],
        ],
      }),
      `${at}.port_mapping: the port 1 stands twice on the first side of a pair`,
    ],
    [
      'E23 other side',
      incoming({
        listen_ports: [
          [1, 2],
          [3, 2],
        ],
      }),
      `${at}.listen_ports: the port 2 stands twice on the second side of a pair`,
    ],
    ['E25 files', {feature: {fs: {read_only: ['ok', '(?']}}}, 'feature.fs.read_only.1: the pattern cannot be used'],
    ['E25 file mapping', {feature: {fs: {mapping: {'[': 'x'}}}}, 'feature.fs.mapping: the pattern cannot be used'],
    [
      'E25 sockets',
      network({outgoing: {unix_streams: '*'}}),
      'feature.network.outgoing.unix_streams: the pattern cannot be used',
    ],
    [
      'E25 header (Q8)',
      incoming({http_filter: {header_filter: 'a)'}}),
      `${at}.http_filter.header_filter: the pattern cannot be used`,
    ],
    [
      'E25 empty list (Q8)',
      network({outgoing: {filter: {remote: []}}}),
      'feature.network.outgoing.filter: the list "remote" is empty',
    ],
    [
      'E25 empty list of names (Q8)',
      network({dns: {filter: {local: []}}}),
      'feature.network.dns.filter: the list "local" is empty',
    ],
  ])('[%s]', async (_name, config, expected) => {
    const {wrong} = await look(config)
    expect(wrong).toEqual([expect.stringContaining(expected)])
  })

  it.each([
    ['look-around in headers', incoming({http_filter: {header_filter: '^x-ci: (?!other)(\\d+)-\\1$'}})],
    ['an atomic group in a path', incoming({http_filter: {path_filter: '(?>a|ab)c\\(?='}})],
    ['look-behind in names', {feature: {env: {mapping: {'(?<=A)_(?<!B_)C': 'x'}}}}],
    [
      'all forms of addresses',
      network({
        outgoing: {
          filter: {
            local: [
              'tcp://1.1.1.0/24:1111',
              '2.2.2.2:2222',
              ':3333',
              'udp://:53',
              'tcp://',
              'google.com',
              'any://svc.ns.svc:80',
              '[2800:3f0::2004]:443',
              '[::1]/128',
              '0.0.0.0/0',
              '1.1.1.1/24',
            ],
          },
        },
      }),
    ],
    [
      'a JSONPath with quotes',
      incoming({
        http_filter: {body_filter: {body: 'json', query: '$["a]"][?(@.b == 1)].c', matches: ''.padEnd(1, 'x')}},
      }),
    ],
  ])('accepts %s', async (_name, config) => {
    expect((await look(config)).wrong).toEqual([])
  })

  it.each([
    'name/24',
    ':7777udp://',
    'http://x',
    '1.2.3.4:99999',
    '::1',
    'a b',
    '',
    '1.2.3.4/33',
    '[::1',
    '[1.2.3.4]',
    '[::1]/129',
    'a:',
    'tcp:/x',
  ])('refuses the address %j', async (entry) => {
    expect((await look(network({dns: {filter: {local: [entry]}}}))).wrong).toHaveLength(1)
  })
})

describe('warnings (config.md 4.2 and 4.3)', () => {
  it.each<[string, unknown, string]>([
    [
      'W1 ephemeral',
      {target: 'pod/x', agent: {namespace: 'n', ephemeral: true}},
      'agent.namespace (file m.json:4): it has no effect: an ephemeral agent',
    ],
    [
      'W1 targetless',
      {target: 'targetless', agent: {namespace: 'n'}},
      'agent.namespace (file m.json:4): it has no effect without a target',
    ],
    [
      'the pod of an ephemeral agent',
      {target: 'pod/x', agent: {ephemeral: true, resources: {limits: {cpu: 1}}}},
      'agent.resources (file m.json:5): it has no effect: agent.ephemeral (file m.json:4) puts the agent into the pod',
    ],
    [
      'rights without a target',
      {target: 'targetless', agent: {privileged: true}},
      'agent.privileged (file m.json:4): it has no effect: an agent without a target is a plain pod',
    ],
    [
      'the mesh of a Job',
      {target: 'pod/x', agent: {exclude_from_mesh: true}},
      'agent.exclude_from_mesh (file m.json:4): it has no effect: only an ephemeral agent',
    ],
    [
      'W2',
      network({outgoing: {filter: {remote: '10.0.0.0/8'}}, dns: false}),
      'feature.network.outgoing.filter (file m.json:6): names are resolved locally (feature.network.dns.enabled (file m.json:10))',
    ],
    ['W3', incoming({https_delivery: {}}), 'this is the older name of tls_delivery'],
    [
      'W4',
      {target: 'pod/x', feature: {copy_target: true, network: {incoming: 'mirror'}}},
      'feature.copy_target.enabled (file m.json:4): without stealing',
    ],
    [
      'W5',
      incoming({port_mapping: [[80, 80]]}),
      `${at}.port_mapping (file m.json:6): the pair [80, 80] changes nothing`,
    ],
    [
      'W6',
      network({dns: {enabled: false, filter: {local: 'a'}}}),
      'feature.network.dns.filter (file m.json:7): it has no effect',
    ],
    [
      'W7',
      network({
        outgoing: {filter: {local: ['10.0.0.0/8', 'db.internal:5432']}},
        dns: {filter: {remote: 'DB.internal:5432'}},
      }),
      'feature.network.outgoing.filter (file m.json:6): the name of entry 2 of "local" is connected here, but looked up in the target because of feature.network.dns.filter (file m.json:14)',
    ],
    [
      'W7 the other way',
      network({outgoing: {filter: {remote: ['a', 'tcp://b', 'c']}}, dns: {filter: {local: ['c', 'b', 'd']}}}),
      'the names of entries 2 and 3 of "remote" are connected from the target, but looked up here',
    ],
    [
      'W8',
      {feature: {fs: {readonly_file_buffer: 2_000_000}}},
      'feature.fs.readonly_file_buffer (file m.json:4) has no effect: a remote file is fetched as a whole',
    ],
    [
      'W10',
      {profile: 'p', target: 'targetless', agent: {namespace: 'n'}},
      'profile (file m.json:2): the profile may be the cause',
    ],
    [
      'Q12',
      {feature: {network: {incoming: 'steal'}}},
      `There is no target, so no traffic is taken: ${at}.mode (file m.json:4)`,
    ],
    [
      'more build tools without build tools',
      {skip_build_tools: false, skip_extra_build_tools: 'x'},
      'skip_extra_build_tools (file m.json:3): it has no effect: skip_build_tools (file m.json:2) is false.',
    ],
    [
      'a filter without traffic',
      incoming({mode: 'off', http_filter: {path_filter: 'a'}}),
      `${at}.http_filter.path_filter (file m.json:8): it has no effect`,
    ],
    [
      'a mapping without traffic',
      incoming({mode: 'off', port_mapping: [[1, 2]]}),
      `${at}.port_mapping (file m.json:7): it has no effect`,
    ],
    [
      'filtered ports without traffic',
      incoming({ports: [80], http_filter: {path_filter: 'a', ports: [80, 81]}}),
      'no traffic is taken on 81',
    ],
    [
      'patterns without files',
      {target: 'pod/x', feature: {fs: {mode: 'local', read_only: 'a'}}},
      'feature.fs.read_only (file m.json:6): it has no effect',
    ],
    [
      'a filter without connections',
      network({outgoing: {tcp: false, udp: false, filter: {local: 'a'}}}),
      'feature.network.outgoing.filter (file m.json:8): it has no effect',
    ],
    [
      'keys without effect',
      {target: 'pod/x', internal_proxy: {idle_timeout: 9, start_idle_timeout: 9}},
      'internal_proxy.start_idle_timeout (file m.json:5) and internal_proxy.idle_timeout (file m.json:4) have no effect',
    ],
  ])('[%s]', async (_name, config, expected) => {
    const {warnings} = await look(config)
    expect(warnings).toEqual(expect.arrayContaining([expect.stringContaining(expected)]))
  })

  it('says nothing of a plain file, nor of keys that say what is so anyway', async () => {
    expect(await look({target: 'pod/x', api: true, internal_proxy: {idle_timeout: 5}, feature: {fs: 'local'}})).toEqual(
      {
        wrong: [],
        warnings: [],
      },
    )
  })
})

describe('all problems at once', () => {
  it('tells wrong types, conflicts and what comes later in one report, each with its line', async () => {
    const {code, exit, what, lines, next} = await refusal(
      {
        agent: {ttl: 'x', imagee: 'y'},
        feature: {env: {include: 'A', exclude: 'B'}, network: {incoming: {ignore_ports: [80]}}},
        startup_retry: {min_ms: 9, max_ms: 8},
      },
      {},
      {MIRRORD_REMOTE_DNS: '1'},
    )
    expect([code, exit]).toEqual(['CONFIG_INVALID', 'configInvalid'])
    expect(what).toContain('6 places')
    expect(lines).toEqual([
      'feature.network.dns.enabled (env MIRRORD_REMOTE_DNS): expected true or false.',
      'agent.ttl (file m.json:3): expected a whole number; found a string.',
      'agent.imagee (file m.json:4): is not a known key; did you mean "image"?',
      'feature.env.include (file m.json:8): cannot be set together with feature.env.exclude (file m.json:9).',
      'startup_retry.min_ms (file m.json:20): must not be above startup_retry.max_ms (file m.json:21).',
      'feature.network.incoming.ignore_ports (file m.json:13): not in this version yet: mapping and excluding ports.',
    ])
    expect(next.join(' ')).toContain('Leave out feature.network.incoming.ignore_ports')
  })

  it('[E13] takes every kind of target without the operator', async () => {
    for (const target of [
      'job/x',
      'cronjob/x',
      'statefulset/x',
      'service/x',
      'replicaset/x',
      'label/a=b',
      'daemonset/x',
    ])
      expect((await look({target, operator: false})).warnings).toEqual([])
  })

  it('does not blame a key for the value that another one lacks', async () => {
    const {lines} = await refusal({target: 'targetless', feature: {network: {incoming: 'stael'}}})
    expect(lines).toHaveLength(1)
  })
})

describe('without an operator [LIF-28]', () => {
  it('names everything that needs it in one sentence', async () => {
    const {code, exit, lines, next, places} = await refusal({
      feature: {
        copy_target: {scale_down: true},
        split_queues: {a: {queue_type: 'SQS', message_filter: {x: 'y'}}},
        db_branches: [{type: 'pg', connection: {url: 'X'}}],
      },
    })
    expect([code, exit]).toEqual(['CONFIG_UNSUPPORTED', 'configUnsupported'])
    expect(lines).toEqual([
      'feature.copy_target (file m.json:3), feature.split_queues (file m.json:6) and feature.db_branches (file m.json:14) need the operator, whose sessions come in a later version.',
    ])
    expect(next).toEqual(['Leave out feature.copy_target, feature.split_queues and feature.db_branches.'])
    expect(places?.map(({line}) => line)).toEqual([3, 6, 14])
  })
})
