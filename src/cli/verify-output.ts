import {
  resolveConfig,
  resolvedFile,
  targetObject,
  type Config,
  type ResolvedConfig,
  type ResolveInput,
} from '../config/index.ts'
import {readFromDisk, type ReadText} from '../config/read-text.ts'
import {MirrordError, type ErrorReport} from '../errors/mirrord-error.ts'

/** What a verification found out. */
export type Verdict = {resolved: ResolvedConfig} | {failure: ErrorReport}

/** Stands for a target that an editor's user chooses later. */
const SOME_TARGET = 'pod/chosen-later'

/**
 * Resolves a file as a start would. Without a target it is judged as one without (config.md 4.1: E10, E11); with `ide` as one
 * whose target is chosen later. Errors that are not of the configuration are thrown.
 */
export async function verdictOf({
  path,
  ide,
  env,
  cwd,
}: Pick<ResolveInput, 'env' | 'cwd'> & {path: string; ide: boolean}): Promise<Verdict> {
  const readFile = once(readFromDisk)
  const resolve = (target?: string) => resolveConfig({flags: {'config-file': path, target}, env, cwd, readFile})
  try {
    const resolved = await resolve()
    if (resolved.config.target.path !== undefined) return {resolved}
    if (!ide) {
      await resolve('targetless')
      return {resolved}
    }
    const later = await resolve(SOME_TARGET)
    const origins = new Map(later.origins).set('target.path', 'default')
    const target = {...later.config.target, path: undefined}
    return {resolved: {...later, origins, config: {...later.config, target}}}
  } catch (error) {
    if (error instanceof MirrordError) return {failure: error.report}
    throw error
  }
}

/** Standard input can be read only once. */
function once(read: ReadText): ReadText {
  let content: ReturnType<ReadText> | undefined
  return (file) => (content ??= read(file))
}

/** The JSON of a file that can be used, in upstream's shape (config.md 4.4). */
export function succeededVerdict({config, warnings}: ResolvedConfig, resolved: boolean): string {
  const {path, namespace} = config.target
  return json({
    type: 'Success',
    config: {path: path ? targetObject(path) : null, namespace: namespace ?? null},
    warnings,
    compatible_target_types: compatibleTypes(config),
    ...(resolved ? {resolved_config: resolvedFile(config)} : {}),
  })
}

/** The JSON of a file that cannot: a text for each thing that is wrong, and the warnings that were found besides. */
export function failedVerdict({code, what, why, detail, warnings = []}: ErrorReport): string {
  const whole = why === undefined ? what : `${what} ${why}`
  const single = code === 'CONFIG_INVALID' || code === 'CONFIG_UNSUPPORTED' ? (why ?? what) : whole
  return json({type: 'Fail', errors: detail?.split('\n') ?? [single], warnings})
}

const json = (value: unknown) => JSON.stringify(value, undefined, 2)

/** In upstream's order; a copy of the target rules some out. */
const types = [
  ...['targetless', 'pod', 'deployment', 'rollout', 'job', 'cronjob', 'statefulset', 'service', 'replicaset'],
]

function compatibleTypes({feature}: Config): string[] {
  const {enabled, scale_down: scaleDown} = feature.copy_target
  if (!enabled) return types
  const without = ['targetless', 'rollout', 'service', ...(scaleDown ? ['pod'] : [])]
  return types.filter((type) => !without.includes(type))
}
