import {namedKinds, readTargetText} from '../config/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'
import {listedKinds, type ListedKind} from '../kube/list-targets.ts'

/** IDEs name the types that `mirrord ls` shows in this variable: a JSON list. Flags win over it. */
export const TYPES_VARIABLE = 'MIRRORD_LS_TARGET_TYPES'

/**
 * The kinds that flags, else the variable, ask for; undefined when neither does. `targetless` is a type without objects.
 * Throws a MirrordError TARGET_TYPE_INVALID (exit usage, of the variable configInvalid).
 */
export function targetTypes(
  flags: readonly string[] | undefined,
  variable: string | undefined,
): ListedKind[] | undefined {
  if (flags) return kindsOf(flags, 'flag --target-type', 'usage')
  if (variable === undefined) return undefined
  return kindsOf(readList(variable), `env ${TYPES_VARIABLE}`, 'configInvalid')
}

function readList(text: string): string[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Told below: whatever it is, it is no list.
  }
  if (Array.isArray(value) && value.every((entry) => typeof entry === 'string')) return value
  throw new MirrordError({
    code: 'TARGET_TYPE_INVALID',
    exit: 'configInvalid',
    what: `The variable ${TYPES_VARIABLE} is malformed.`,
    why: 'It must be a JSON list of texts.',
    next: [`Write it as ${JSON.stringify(listedKinds)}, or unset it.`],
  })
}

function kindsOf(types: readonly string[], origin: string, exit: 'usage' | 'configInvalid'): ListedKind[] {
  return types.flatMap((type) => (type === 'targetless' ? [] : [kindOf(type, origin, exit)]))
}

/** The type by its own name (`deploy` is a deployment), as the grammar of targets knows it. */
function kindOf(type: string, origin: string, exit: 'usage' | 'configInvalid'): ListedKind {
  const reading = readTargetText(`${type}/x`)
  const kind = 'target' in reading ? namedKinds.find((known) => known === reading.target.kind) : undefined
  if (kind) return kind
  throw new MirrordError({
    code: 'TARGET_TYPE_INVALID',
    exit,
    what: `"${type}" (${origin}) is no type of target.`,
    next: [`Name one of: ${namedKinds.join(', ')}.`],
  })
}
