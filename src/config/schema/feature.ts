import {z} from 'zod'
import {field, inert, isRecord, later, section, type Environment} from '../meta.ts'
import {entriesOf, list, patterns, port, regexes, regexMap, textMap} from '../scalars.ts'

const env = section(
  {
    include: field(patterns().optional(), {
      doc: "Names of the target's variables to take, with * and ?; all by default.",
      env: 'MIRRORD_OVERRIDE_ENV_VARS_INCLUDE',
      flags: {'override-env-vars-include': true},
    }),
    exclude: field(patterns().optional(), {
      doc: "Names of the target's variables to leave out, with * and ?.",
      env: 'MIRRORD_OVERRIDE_ENV_VARS_EXCLUDE',
      flags: {'override-env-vars-exclude': true},
    }),
    override: field(textMap().optional(), {doc: 'Variables set for the program, whatever the target has.'}),
    unset: field(list().optional(), {doc: 'Exact names of variables that the program does not get.'}),
    load_from_process: later('loading the environment inside the program comes with the semantics features', {
      env: 'MIRRORD_ENV_LOAD_FROM_PROCESS',
      neutral: [false],
    }),
    env_file: later('environment files come with the semantics features', {
      env: 'MIRRORD_OVERRIDE_ENV_VARS_FILE',
      flags: {'env-file': true},
    }),
    mapping: later('mapping of values comes with the semantics features', {neutral: [{}]}),
  },
  {
    doc: "Environment of the target. `false`: none of the target's variables.",
    short: 'true, false',
    expand: (value) => (value === true ? {} : value === false ? {exclude: '*'} : undefined),
  },
)

const fsModes = ['read', 'write', 'local', 'localwithoverrides'] as const
const files = 'remote files of mounted volumes come with the semantics features'
const fs = section(
  {
    mode: field(z.enum(fsModes).default('read'), {
      doc:
        'Which side files are on that no pattern decides: "read" reads from the target and writes here, "write" does both ' +
        'there, "localwithoverrides" neither; with "local" no file is remote, whatever the patterns say.',
      env: 'MIRRORD_FILE_MODE',
      olderEnv: olderMode,
      // The flag spells the last mode with dashes, the variable and the file do not (config.md 1.2).
      flags: {'fs-mode': true},
      fromText: (value) => value.replaceAll('-', ''),
    }),
    read_write: field(regexes().optional(), {
      doc: 'Patterns of paths that are read and written in the target.',
      env: 'MIRRORD_FILE_READ_WRITE_PATTERN',
      fromText: entriesOf,
    }),
    read_only: field(regexes().optional(), {
      doc: 'Patterns of paths that are read from the target and written here.',
      env: 'MIRRORD_FILE_READ_ONLY_PATTERN',
      fromText: entriesOf,
    }),
    local: field(regexes().optional(), {
      doc: 'Patterns of paths that are local.',
      env: 'MIRRORD_FILE_LOCAL_PATTERN',
      fromText: entriesOf,
    }),
    not_found: field(regexes().optional(), {doc: 'Patterns of paths that are found on neither side.'}),
    mapping: field(regexMap().optional(), {
      doc: 'Patterns of paths and what replaces their first match, with $1 or ${name} for its groups, before a path is judged.',
    }),
    readonly_file_buffer: inert('a remote file is fetched as a whole'),
  },
  {
    doc: 'Files.',
    short: 'true, false, or the name of a mode',
    expand: (value) =>
      value === true ? {mode: 'read'} : value === false ? {mode: 'local'} : typeof value === 'string' ? {mode: value} : undefined,
  },
)

/** Two older variables, true or false each (config.md 3.6). */
function olderMode(env: Environment): {text: string; env: string} | undefined {
  const known = ['MIRRORD_FILE_OPS', 'MIRRORD_FILE_RO_OPS'].filter((name) => env[name] !== undefined)
  const wrong = known.find((name) => env[name] !== 'true' && env[name] !== 'false')
  if (wrong !== undefined) return {text: env[wrong]!, env: wrong}
  const name = known.find((name) => env[name] === 'true') ?? known[0]
  if (name === undefined) return undefined
  return {text: env[name] === 'false' ? 'local' : name === 'MIRRORD_FILE_OPS' ? 'write' : 'read', env: name}
}

const ports = 'mapping and excluding ports come with the incoming features'
const http = 'HTTP filters come with the incoming features'
const httpFilter = section(
  {
    header_filter: later(http, {env: 'MIRRORD_HTTP_HEADER_FILTER'}),
    path_filter: later(http, {env: 'MIRRORD_HTTP_PATH_FILTER'}),
    method_filter: later(http, {env: 'MIRRORD_HTTP_METHOD_FILTER'}),
    body_filter: later(http),
    header_filter_jq: later(http, {env: 'MIRRORD_HTTP_HEADER_FILTER_JQ'}),
    all_of: later(http),
    any_of: later(http),
    ports: later(http, {env: 'MIRRORD_HTTP_FILTER_PORTS'}),
  },
  {
    doc: 'HTTP filter of stolen traffic.',
    short: 'true, false',
    expand: (value) => (typeof value === 'boolean' ? {} : undefined),
  },
)

const operatorOnly = 'it needs the operator, whose sessions come in a later version'
const incoming = section(
  {
    mode: field(z.enum(['mirror', 'steal', 'off']).default('steal'), {
      doc: 'What happens to traffic of the target: stolen by the local program, mirrored to it, or left alone.',
      env: 'MIRRORD_AGENT_TCP_STEAL_TRAFFIC',
      flags: {steal: 'steal'},
      fromText: (value) => (value === 'true' ? 'steal' : value === 'false' ? 'off' : value),
      later: (value) => (value === 'mirror' ? 'mirroring comes with the incoming features; use "steal" or "off"' : undefined),
    }),
    ports: field(z.array(port()).optional(), {doc: 'Ports of the target to intercept; all that the program listens on by default.'}),
    http_filter: httpFilter,
    port_mapping: later(ports, {neutral: [[]]}),
    listen_ports: later(ports, {neutral: [[]]}),
    ignore_ports: later(ports, {neutral: [[]]}),
    ignore_localhost: later(ports, {neutral: [false]}),
    on_concurrent_steal: later(operatorOnly, {env: 'MIRRORD_OPERATOR_ON_CONCURRENT_STEAL', neutral: ['abort']}),
    tls_delivery: later(operatorOnly),
    https_delivery: later(operatorOnly),
  },
  {
    doc: 'Traffic that arrives at the target.',
    short: 'true (the default mode), false ("off"), or the name of a mode',
    expand: (value) =>
      value === true ? {} : value === false ? {mode: 'off'} : typeof value === 'string' ? {mode: value} : undefined,
  },
)

const filters = 'filters come with the semantics features'
const outgoing = section(
  {
    tcp: field(z.boolean().default(true), {
      doc: "TCP connections of the program leave from the target's network.",
      env: 'MIRRORD_TCP_OUTGOING',
      flags: {'no-outgoing': 'false', 'no-tcp-outgoing': 'false'},
    }),
    udp: field(z.boolean().default(true), {
      doc: "UDP of the program leaves from the target's network.",
      env: 'MIRRORD_UDP_OUTGOING',
      flags: {'no-outgoing': 'false', 'no-udp-outgoing': 'false'},
    }),
    ignore_localhost: later(filters, {neutral: [false]}),
    filter: later(filters),
    unix_streams: field(regexes().optional(), {
      doc: 'Patterns of unix socket paths (stream and seqpacket) that are connected in the target; an abstract name begins with @.',
      env: 'MIRRORD_OUTGOING_REMOTE_UNIX_STREAMS',
      fromText: entriesOf,
    }),
  },
  {
    doc: 'Connections that the program opens.',
    short: 'true, false',
    expand: (value) => (typeof value === 'boolean' ? {tcp: value, udp: value} : undefined),
  },
)

const dns = section(
  {
    enabled: field(z.boolean().default(true), {
      doc: 'Names are resolved as in the target.',
      env: 'MIRRORD_REMOTE_DNS',
      flags: {'no-remote-dns': 'false'},
    }),
    filter: later(filters),
  },
  {
    doc: 'DNS.',
    short: 'true, false',
    expand: (value) => (typeof value === 'boolean' ? {enabled: value} : undefined),
  },
)

const network = section(
  {
    ipv6: later('switching IPv6 off comes with the semantics features', {env: 'MIRRORD_ENABLE_IPV6', neutral: [true]}),
    incoming,
    outgoing,
    dns,
  },
  {
    doc: 'Network.',
    short: 'true, false',
    expand: (value) => (value === true ? {} : value === false ? {incoming: 'off', outgoing: false, dns: false} : undefined),
  },
)

const copyTarget = section(
  {
    enabled: later(operatorOnly, {neutral: [false]}),
    scale_down: later(operatorOnly, {neutral: [false]}),
    exclude_containers: later(operatorOnly, {neutral: [[]]}),
    exclude_init_containers: later(operatorOnly, {neutral: [[]]}),
  },
  {
    doc: 'Running against a copy of the target.',
    short: 'true, false',
    // The object form without `enabled` means enabled (config.md 3.4).
    expand: (value) =>
      typeof value === 'boolean' ? {enabled: value} : isRecord(value) ? {enabled: true, ...value} : undefined,
  },
)

/** Section `feature`: which parts of the target the program gets (config.md 3.4 to 3.8). */
export const featureSection = section(
  {
    env,
    fs,
    network,
    hostname: field(z.boolean().default(true), {doc: "The program sees the target's host name."}),
    copy_target: copyTarget,
    split_queues: later(operatorOnly, {neutral: [{}, []]}),
    db_branches: later(operatorOnly, {neutral: [[]]}),
    preview: inert('preview environments belong to another command'),
    magic: section(
      {
        aws: later('it comes with the semantics features', {neutral: [false]}),
        auto_mount: later(files, {neutral: [false]}),
        turbo: inert('it concerns a library injection, which is not used here'),
      },
      {doc: 'Adjustments made by default upstream.'},
    ),
  },
  {doc: 'Features.'},
)
