import {agentVersion} from './version.ts'

/** What the command line asks for, after the environment variables that are bound to options. */
export interface AgentOptions {
  /** TCP port for clients. */
  communicatePort: number
  /** Seconds to wait for the first client after the ready line. */
  communicationTimeout: number
  /** `ip:port` of the metrics endpoint. */
  metrics?: string
  testError: boolean
  /** PEM text: the agent is the TLS client towards whoever connects. */
  operatorCert?: string
  cleanOnStart: boolean
  mode: AgentMode
}

/** The subcommand. */
export type AgentMode =
  {type: 'targeted'; containerId: string; runtime: string} | {type: 'ephemeral'} | {type: 'targetless'}

/** What to do with a command line: run, or print a text and exit with a code. */
export type CliResult = {type: 'run'; options: AgentOptions} | {type: 'print'; text: string; exitCode: 0 | 2}

/** A command line that is wrong; the process exits with 2. */
class UsageError extends Error {}

interface OptionRow {
  short?: string
  name: string
  /** The variable that stands in when the option is absent. */
  env?: string
  kind: 'flag' | 'u16' | 'text' | 'address'
  help: string
  /** Not shown by --help. */
  hidden?: boolean
}

const globalRows = [
  {short: 'l', name: 'communicate-port', kind: 'u16', help: 'port for clients (61337)'},
  {short: 't', name: 'communication-timeout', kind: 'u16', help: 'seconds to wait for the first client (30)'},
  {name: 'metrics', env: 'MIRRORD_AGENT_METRICS', kind: 'address', help: 'ip:port of the metrics endpoint'},
  {name: 'test-error', kind: 'flag', help: 'fail after the first client connects', hidden: true},
  {
    name: 'operator-tls-cert-pem',
    env: 'AGENT_OPERATOR_CERT_ENV',
    kind: 'text',
    help: 'certificate of the client (PEM)',
  },
  {name: 'is-mesh', env: 'MIRRORD_AGENT_IN_SERVICE_MESH', kind: 'flag', help: '', hidden: true},
  {name: 'ipv6', kind: 'flag', help: 'deprecated, ignored'},
  {
    name: 'clean-iptables-on-start',
    env: 'MIRRORD_AGENT_CLEAN_IPTABLES_ON_START',
    kind: 'flag',
    help: 'remove leftover rules',
  },
] as const satisfies readonly OptionRow[]

const meshRow = {name: 'mesh', kind: 'text', help: 'ignored'} as const satisfies OptionRow
const commandRows: Readonly<Record<string, readonly OptionRow[]>> = {
  targeted: [
    {short: 'c', name: 'container-id', kind: 'text', help: 'full id of the target container'},
    {short: 'r', name: 'container-runtime', kind: 'text', help: 'docker, containerd or cri-o (containerd)'},
    meshRow,
  ],
  ephemeral: [meshRow],
  targetless: [],
}

type Values = Map<string, string | number | true>

/**
 * Parses the agent's command line and the variables bound to its options (agent.md 3.1).
 * @param argv the words after the program's own path
 * @param env the process environment
 * @returns options to run with, or a text to print: help and version with exit code 0, a usage error with 2
 */
export function parseCli(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): CliResult {
  try {
    return parse(argv, env)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    return {type: 'print', exitCode: 2, text: `error: ${error.message}\n\n${usage()}`}
  }
}

function parse(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): CliResult {
  const values: Values = new Map()
  for (const row of globalRows as readonly OptionRow[]) {
    const text = row.env === undefined ? undefined : env[row.env]
    if (row.env === undefined || text === undefined || text === '') continue
    if (row.kind !== 'flag') values.set(row.name, convert(row, text, row.env))
    else if (text === 'true') values.set(row.name, true)
    else if (text !== 'false') throw new UsageError(`${row.env} must be true or false, not '${text}'`)
  }

  const words = [...argv]
  const asked = readOptions(words, globalRows, values)
  if (asked) return asked
  const command = words.shift()
  if (command === undefined) throw new UsageError('a subcommand is required')
  const rows = commandRows[command]
  if (!rows) throw new UsageError(`unknown subcommand '${command}'`)
  const askedLater = readOptions(words, rows, values)
  if (askedLater) return askedLater
  if (words.length > 0) throw new UsageError(`unexpected argument '${words[0]}'`)

  return {
    type: 'run',
    options: {
      communicatePort: (values.get('communicate-port') as number | undefined) ?? 61_337,
      communicationTimeout: (values.get('communication-timeout') as number | undefined) ?? 30,
      metrics: values.get('metrics') as string | undefined,
      testError: values.has('test-error'),
      operatorCert: values.get('operator-tls-cert-pem') as string | undefined,
      cleanOnStart: values.has('clean-iptables-on-start'),
      mode: toMode(command, values),
    },
  }
}

function toMode(command: string, values: Values): AgentMode {
  if (command !== 'targeted') return {type: command === 'ephemeral' ? 'ephemeral' : 'targetless'}
  const containerId = values.get('container-id') as string | undefined
  if (containerId === undefined) throw new UsageError('targeted needs --container-id <id>')
  const runtime = (values.get('container-runtime') as string | undefined) ?? 'containerd'
  return {type: 'targeted', containerId, runtime}
}

/** Consumes leading options from `words`; stops at the first word that is not one. */
function readOptions(words: string[], rows: readonly OptionRow[], values: Values): CliResult | undefined {
  while (words[0]?.startsWith('-') && words[0] !== '-') {
    const word = words.shift()!
    if (word === '-h' || word === '--help') return {type: 'print', text: usage(), exitCode: 0}
    if (word === '-V' || word === '--version')
      return {type: 'print', text: `mirrord-agent ${agentVersion}`, exitCode: 0}
    const [row, inline] = findRow(word, rows)
    if (!row) throw new UsageError(`unknown option '${word}'`)
    if (row.kind === 'flag') {
      if (inline !== undefined) throw new UsageError(`option '--${row.name}' takes no value`)
      values.set(row.name, true)
      continue
    }
    const text = inline ?? words.shift()
    if (text === undefined) throw new UsageError(`option '--${row.name}' needs a value`)
    values.set(row.name, convert(row, text, `--${row.name}`))
  }
  return undefined
}

/** Accepts `--name`, `--name=value`, `-n`, `-nvalue` and `-n=value`. */
function findRow(word: string, rows: readonly OptionRow[]): [OptionRow | undefined, string | undefined] {
  if (word.startsWith('--')) {
    const equals = word.indexOf('=')
    const name = equals < 0 ? word.slice(2) : word.slice(2, equals)
    return [rows.find((row) => row.name === name), equals < 0 ? undefined : word.slice(equals + 1)]
  }
  const row = rows.find((candidate) => candidate.short === word[1])
  const rest = word.slice(2)
  return [row, rest === '' ? undefined : rest.replace(/^=/, '')]
}

function convert(row: OptionRow, text: string, source: string): string | number {
  if (row.kind === 'u16') {
    const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
    if (!(value <= 65_535)) throw new UsageError(`${source} must be a number from 0 to 65535, not '${text}'`)
    return value
  }
  if (row.kind === 'address' && !/^(\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:.]+\]):\d{1,5}$/.test(text))
    throw new UsageError(`${source} must be ip:port, not '${text}'`)
  return text
}

function usage(): string {
  const line = (row: OptionRow) =>
    `  ${row.short ? `-${row.short}, ` : '    '}--${row.name}${row.kind === 'flag' ? '' : ' <value>'}  ${row.help}`
  const shown = (rows: readonly OptionRow[]) => rows.filter((row) => !row.hidden).map(line)
  const commands = Object.entries(commandRows).flatMap(([name, rows]) => [`  ${name}`, ...shown(rows)])
  return [
    'Usage: mirrord-agent [options] <command>',
    '',
    'Options:',
    ...shown(globalRows),
    '',
    'Commands:',
    ...commands,
  ].join('\n')
}
