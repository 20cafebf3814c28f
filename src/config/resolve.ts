import {assemble, type FlagValues, type Origin, type Problem} from './assemble.ts'
import {readConfigFile, type ConfigFile} from './files.ts'
import {describeIssues, dropInvalid} from './issues.ts'
import {leaves, type Environment} from './meta.ts'
import type {ReadText} from './read-text.ts'
import {refusal} from './refusal.ts'
import {rootSection, type AnyConfig, type Config} from './schema/root.ts'
import {applyIncomingDefault, replaceProbes, settleTarget} from './settle.ts'
import {inertWarnings, unavailable, verify} from './verify/index.ts'

/** What `resolveConfig` starts from. */
export interface ResolveInput {
  /** Parsed flags by long name, as oclif gives them: `{target: 'pod/x', steal: true, 'config-file': 'm.json'}`. */
  flags: FlagValues
  env: Environment
  cwd: string
  /** Mode of incoming traffic when no source sets one (ruling R2): `ci start` steals, `exec` mirrors. */
  incomingDefault?: 'steal' | 'mirror'
  readFile?: ReadText
  /** A profile that the configuration names is going to be applied: what the values mean together is judged then. */
  profileFollows?: boolean
}

/** A configuration that is complete, valid and within what this version does. */
export interface ResolvedConfig {
  config: Config
  /** The values as the sources give them: without what follows from the absence of a target. */
  given: Config
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
  const {config, given, origins, problems, warnings} = examine(input, file)
  if (!config || problems.length > 0) throw refusal(problems, origins, file)
  return {config: config as Config, given: given as Config, origins: complete(origins), file: file?.name, warnings}
}

/**
 * The same with other values, checked anew. `origins` holds the keys that some source sets. Throws CONFIG_INVALID and
 * CONFIG_UNSUPPORTED as `resolveConfig`.
 */
export function recheck(resolved: ResolvedConfig, given: Config, origins: ReadonlyMap<string, Origin>): ResolvedConfig {
  const {config, problems, warnings} = judge(given, origins)
  if (problems.length > 0) throw refusal(problems, origins)
  return {...resolved, config: config as Config, given, origins: complete(origins), warnings}
}

/** What a configuration is and everything that is wrong with it. */
export interface Examined {
  /** Absent where nothing of it could be read. Keys whose values are wrong have their defaults. */
  config?: AnyConfig
  given?: AnyConfig
  /** Only keys that some source sets. */
  origins: ReadonlyMap<string, Origin>
  problems: Problem[]
  warnings: string[]
}

/** Lays the sources over each other and runs every check, as far as the values are valid. Throws nothing. */
export function examine(input: ResolveInput, file?: ConfigFile): Examined {
  const {raw, origins, problems} = assemble(rootSection, {flags: input.flags, env: input.env, file})
  replaceProbes(raw, origins)
  applyIncomingDefault(raw, origins, input.incomingDefault ?? 'steal')
  let parsed = rootSection.safeParse(raw)
  const sound = new Map(origins)
  for (const {path} of problems) sound.delete(path)
  if (!parsed.success) {
    problems.push(...describeIssues(parsed.error, rootSection, raw))
    for (const path of dropInvalid(parsed.error, rootSection, raw)) sound.delete(path)
    parsed = rootSection.safeParse(raw)
  }
  if (!parsed.success) return {origins, problems, warnings: []}
  const judged = judge(parsed.data, sound)
  const unfinished = input.profileFollows === true && parsed.data.profile !== undefined
  if (!unfinished) problems.push(...judged.problems)
  return {...judged, given: parsed.data, origins, problems}
}

/** What valid values mean together, and what is wrong with that. */
function judge(given: AnyConfig, origins: ReadonlyMap<string, Origin>) {
  const config = structuredClone(given)
  const warnings = [...inertWarnings(config, origins), ...settleTarget(config, origins)]
  const findings = verify(config, origins)
  warnings.push(...findings.warnings)
  if (config.accept_invalid_certificates) {
    warnings.push('The certificate of the Kubernetes API is not verified (accept_invalid_certificates).')
  }
  return {config, problems: [...findings.problems, ...unavailable(config, origins)], warnings}
}

/** Loads the file that flag or environment names. There is no discovery (config.md 2.1). */
async function configFile(input: ResolveInput): Promise<ConfigFile | undefined> {
  const flag = input.flags['config-file']
  const name = typeof flag === 'string' ? flag || defaultConfigFile : input.env.MIRRORD_CONFIG_FILE
  if (name === undefined || name === '') return undefined
  return readConfigFile(name, input.cwd, input.readFile)
}

function complete(origins: ReadonlyMap<string, Origin>): Map<string, Origin> {
  return new Map([...leaves(rootSection)].map(({path}) => [path.join('.'), origins.get(path.join('.')) ?? 'default']))
}
