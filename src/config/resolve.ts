import {assemble, type FlagValues, type Origin, type Problem} from './assemble.ts'
import {settingVariables} from './environment.ts'
import {readConfigFile, type ConfigFile} from './files.ts'
import {gitBranch} from './git-branch.ts'
import {describeIssues, dropInvalid} from './issues.ts'
import {generateKey, type SessionKey} from './key.ts'
import {leaves, type Environment} from './meta.ts'
import type {ReadText} from './read-text.ts'
import {refusal} from './refusal.ts'
import {rootSection, type AnyConfig, type Config} from './schema/root.ts'
import {applyIncomingDefault, replaceProbes, settleTarget} from './settle.ts'
import type {TargetPath} from './target.ts'
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
  /** The key of this run: given, or generated. */
  key: SessionKey
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
  const generatedKey = generateKey()
  const file = await configFile(input, generatedKey)
  const {config, given, origins, problems, warnings, key} = examine(input, file, generatedKey)
  if (!config || problems.length > 0) throw refusal(problems, origins, warnings, file)
  return {config, given: given as Config, origins: complete(origins), file: file?.name, key, warnings}
}

/**
 * The same with other values, checked anew. `origins` holds the keys that some source sets. Throws CONFIG_INVALID and
 * CONFIG_UNSUPPORTED as `resolveConfig`.
 */
export function recheck(resolved: ResolvedConfig, given: Config, origins: ReadonlyMap<string, Origin>): ResolvedConfig {
  const {config, problems, warnings} = judge(given, origins)
  if (problems.length > 0) throw refusal(problems, origins, warnings)
  return {...resolved, config, given, origins: complete(origins), warnings}
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
  key: SessionKey
}

/**
 * Lays the sources over each other and runs every check, as far as the values are valid. `generatedKey` is the key where
 * none is given, the same that the file was read with. Throws nothing.
 */
export function examine(input: ResolveInput, file?: ConfigFile, generatedKey: string = generateKey()): Examined {
  const env = settingVariables(input.env)
  const {raw, origins, problems} = assemble(rootSection, {flags: input.flags, env, file})
  const key = settleKey(raw, origins, generatedKey)
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
  if (!parsed.success) return {origins, problems, warnings: [], key}
  // What follows from the absence of a target is not to be told of one that is misspelt.
  const misspelt = problems.some(({path}) => /^target(?:\.|$)/.test(path))
  const judged = judge(parsed.data, sound, misspelt ? someTarget : undefined)
  const unfinished = input.profileFollows === true && parsed.data.profile !== undefined
  if (!unfinished) problems.push(...judged.problems)
  return {...judged, given: parsed.data, origins, problems, key}
}

const someTarget: TargetPath = {kind: 'pod', name: 'some'}

/** What valid values mean together, and what is wrong with that; as for another target where one is given. */
function judge(given: AnyConfig, origins: ReadonlyMap<string, Origin>, target?: TargetPath) {
  const config = structuredClone(given)
  if (target) config.target.path = target
  const warnings = inertWarnings(config, origins)
  const settled = settleTarget(config, origins)
  const findings = verify(config, origins)
  warnings.push(...settled, ...findings.warnings)
  // W10
  if (config.profile !== undefined && settled.length + findings.warnings.length > 0) {
    const origin = origins.get('profile')
    warnings.push(`profile${origin ? ` (${origin})` : ''}: the profile may be the cause of these warnings.`)
  }
  if (config.accept_invalid_certificates) {
    const origin = origins.get('accept_invalid_certificates')
    warnings.push(`accept_invalid_certificates (${origin}): the certificate of the Kubernetes API is not verified.`)
  }
  return {config, problems: [...findings.problems, ...unavailable(config, origins)], warnings}
}

/** Loads the file that flag or environment names, with its templates rendered. There is no discovery (config.md 2.1). */
export async function configFile(input: ResolveInput, generatedKey: string): Promise<ConfigFile | undefined> {
  const {flags, cwd, env, readFile} = input
  const settings = settingVariables(env)
  const flag = flags['config-file']
  const name = typeof flag === 'string' ? flag || defaultConfigFile : settings.MIRRORD_CONFIG_FILE
  if (name === undefined || name === '') return undefined
  const key = typeof flags.key === 'string' ? flags.key : settings.MIRRORD_KEY
  const branch = () => gitBranch(cwd, settings, env)
  return readConfigFile(name, cwd, readFile, {env, branch, key, generatedKey})
}

function settleKey(raw: Record<string, unknown>, origins: Map<string, Origin>, generatedKey: string): SessionKey {
  if (origins.has('key')) return {value: typeof raw.key === 'string' ? raw.key : generatedKey, generated: false}
  raw.key = generatedKey
  origins.set('key', 'generated')
  return {value: generatedKey, generated: true}
}

function complete(origins: ReadonlyMap<string, Origin>): Map<string, Origin> {
  return new Map([...leaves(rootSection)].map(({path}) => [path.join('.'), origins.get(path.join('.')) ?? 'default']))
}
