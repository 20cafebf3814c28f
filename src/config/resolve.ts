import {MirrordError, type Place} from '../errors/mirrord-error.ts'
import {assemble, type FlagValues, type Origin, type Problem} from './assemble.ts'
import {positionOf, readConfigFile, type ConfigFile} from './files.ts'
import {describeIssues} from './issues.ts'
import {leaves, type Environment} from './meta.ts'
import type {ReadText} from './read-text.ts'
import {readyProbes} from './schema/ready.ts'
import {rootSection, type Config} from './schema/root.ts'
import {inertWarnings, unavailable, verify} from './verify.ts'

/** What `resolveConfig` starts from. */
export interface ResolveInput {
  /** Parsed flags by long name, as oclif gives them: `{target: 'pod/x', steal: true, 'config-file': 'm.json'}`. */
  flags: FlagValues
  env: Environment
  cwd: string
  /** Mode of incoming traffic when no source sets one (ruling R2): `ci start` steals, `exec` mirrors. */
  incomingDefault?: 'steal' | 'mirror'
  readFile?: ReadText
}

/** A configuration that is complete, valid and within what this version does. */
export interface ResolvedConfig {
  config: Config
  /** Where each key's value came from, by dotted path; every key of the schema is in it. */
  origins: ReadonlyMap<string, Origin>
  /** The configuration file as it was named, if there was one. */
  file?: string
  warnings: string[]
}

/** The file that a bare `-f` means. */
export const defaultConfigFile = './.mirrord/mirrord.json'

/**
 * Resolves the configuration: flag, else environment, else file, else default, for each key. Throws a MirrordError:
 * those of `readConfigFile`; CONFIG_INVALID (exit configInvalid) with every problem at once; CONFIG_UNSUPPORTED (exit
 * configUnsupported) naming each key that asks for something that comes later.
 */
export async function resolveConfig(input: ResolveInput): Promise<ResolvedConfig> {
  const file = await configFile(input)
  const {raw, origins, problems} = assemble(rootSection, {flags: input.flags, env: input.env, file})
  replaceProbes(raw, origins)
  applyIncomingDefault(raw, origins, input.incomingDefault ?? 'steal')
  const parsed = rootSection.safeParse(raw)
  if (!parsed.success) problems.push(...describeIssues(parsed.error, rootSection, raw))
  if (!parsed.success || problems.length > 0) throw refusal(problems, origins, file)
  const config = parsed.data
  const warnings = [...inertWarnings(config, origins), ...settleTarget(config, origins)]
  const wrong = [...verify(config, origins), ...unavailable(config)]
  if (wrong.length > 0) throw refusal(wrong, origins, file)
  if (config.accept_invalid_certificates) {
    warnings.push('The certificate of the Kubernetes API is not verified (accept_invalid_certificates).')
  }
  return {config, origins: complete(origins), file: file?.name, warnings}
}

/** Loads the file that flag or environment names. There is no discovery (config.md 2.1). */
async function configFile(input: ResolveInput): Promise<ConfigFile | undefined> {
  const flag = input.flags['config-file']
  const name = typeof flag === 'string' ? flag || defaultConfigFile : input.env.MIRRORD_CONFIG_FILE
  if (name === undefined || name === '') return undefined
  return readConfigFile(name, input.cwd, input.readFile)
}

function applyIncomingDefault(raw: Record<string, unknown>, origins: Map<string, Origin>, mode: string): void {
  if (origins.has(incomingMode)) return
  const feature = raw.feature as Record<string, Record<string, Record<string, unknown>>> | undefined
  // Absent where the section itself was refused as malformed; that problem is reported anyway.
  const incoming = feature?.network?.incoming
  if (incoming) incoming.mode = mode
}

/** Probes of the command line stand alone: `--ready started` must not wait for what the file asks for as well. */
function replaceProbes(raw: Record<string, unknown>, origins: Map<string, Origin>): void {
  const keys = readyProbes.map((key) => ({key, name: `ci.ready.${key}`}))
  if (!keys.some(({name}) => origins.get(name)?.startsWith('flag '))) return
  const ready = (raw.ci as Record<string, Record<string, unknown>> | undefined)?.ready
  for (const {key, name} of keys) {
    if (!origins.get(name)?.startsWith('file ')) continue
    delete ready?.[key]
    origins.delete(name)
  }
}

const incomingMode = 'feature.network.incoming.mode'
const fsMode = 'feature.fs.mode'

/** Without a target there is nothing to take traffic from: the default becomes off, and an explicit mode is reported. */
function settleTarget(config: Config, origins: ReadonlyMap<string, Origin>): string[] {
  const {incoming} = config.feature.network
  if (config.target.path !== undefined && config.target.path.kind !== 'targetless') {
    return []
  }
  const warnings: string[] = []
  // The file system of an agent without a target is nobody's: only what is asked for by name comes from it (config.md 5.2).
  const {fs} = config.feature
  if (config.target.path === undefined && fs.mode !== 'local' && fs.mode !== 'localwithoverrides') {
    if (origins.has(fsMode)) {
      warnings.push(`There is no target, so ${fsMode} (${origins.get(fsMode)}) counts as "localwithoverrides".`)
    }
    fs.mode = 'localwithoverrides'
  }
  if (config.agent.namespace !== undefined) {
    warnings.push('agent.namespace has no effect without a target: the agent is created in target.namespace.')
  }
  if (!origins.has(incomingMode)) incoming.mode = 'off'
  else if (config.target.path === undefined && incoming.mode !== 'off') {
    warnings.push(
      `There is no target, so no traffic is taken: ${incomingMode} (${origins.get(incomingMode)}) counts as "off".`,
    )
    incoming.mode = 'off'
  }
  return warnings
}

function complete(origins: ReadonlyMap<string, Origin>): Map<string, Origin> {
  return new Map([...leaves(rootSection)].map(({path}) => [path.join('.'), origins.get(path.join('.')) ?? 'default']))
}

function refusal(problems: readonly Problem[], origins: ReadonlyMap<string, Origin>, file?: ConfigFile): MirrordError {
  // A malformed configuration comes first: what it asks for is not known yet.
  const invalid = problems.filter((problem) => !problem.later)
  const shown = invalid.length > 0 ? invalid : problems
  const unsupported = invalid.length === 0
  const sentences = shown.map((problem) => sentence(problem, origins, file))
  const count = shown.length === 1 ? '' : ` in ${shown.length} places`
  return new MirrordError({
    code: unsupported ? 'CONFIG_UNSUPPORTED' : 'CONFIG_INVALID',
    exit: unsupported ? 'configUnsupported' : 'configInvalid',
    what: unsupported
      ? `The configuration asks for something that this version does not do${count}.`
      : `The configuration is invalid${count}.`,
    why: sentences.length === 1 ? sentences[0] : undefined,
    next: unsupported
      ? [`Leave out ${listed(shown.map((problem) => problem.path))}.`]
      : [`Correct ${listed(shown.map((problem) => problem.path || 'the configuration'))}.`],
    detail: sentences.length > 1 ? sentences.join('\n') : undefined,
    places: shown.flatMap((problem) => placeOf(problem, origins, file)),
  })
}

/** Where the file is at fault; nothing for a value of a flag, of a variable, or of no source. */
function placeOf(problem: Problem, origins: ReadonlyMap<string, Origin>, file?: ConfigFile): Place[] {
  const origin = problem.origin ?? nearestOrigin(problem.path, origins)
  if (file?.path === undefined || (origin !== undefined && !origin.startsWith('file '))) return []
  const position = positionOf(file, problem.path)
  if (!position && file.positions.size > 0) return []
  const {path, message} = problem
  return [{file: file.path, ...position, message: `${path}${path === '' ? '' : ': '}${message}${stop(message)}`}]
}

function sentence(problem: Problem, origins: ReadonlyMap<string, Origin>, file?: ConfigFile): string {
  const line = file?.positions.get(problem.path)?.line
  const known = problem.origin ?? nearestOrigin(problem.path, origins)
  const inFile = file && (known === undefined || (line !== undefined && known.startsWith('file ')))
  const origin = inFile ? `file ${file.name}${line === undefined ? '' : `:${line}`}` : known
  const place = origin && origin !== 'default' ? ` (${origin})` : ''
  return `${problem.path}${place}: ${problem.message}${stop(problem.message)}`
}

const stop = (sentence: string) => (/[.?]$/.test(sentence) ? '' : '.')

/** Where a key, or the key that it is an entry of, came from. */
function nearestOrigin(path: string, origins: ReadonlyMap<string, Origin>): Origin | undefined {
  const parent = path.lastIndexOf('.')
  return origins.get(path) ?? (parent < 0 ? undefined : nearestOrigin(path.slice(0, parent), origins))
}

function listed(names: readonly string[]): string {
  const unique = [...new Set(names)]
  return unique.length < 2 ? unique.join('') : `${unique.slice(0, -1).join(', ')} and ${unique.at(-1)}`
}
