import {systems, type CiSystem} from './systems.ts'
import {vendorOf, vendorsIn, type Environment} from './vendors.ts'

/** What the environment says about the CI run that this process is part of. */
export interface CiRun {
  /** The system's name as upstream's `ci_info` crate spells it, so that an operator's statistics line up. */
  provider: string
  /** The page of the run; http or https, without a password. */
  url?: string
  pipeline?: string
  trigger?: string
  job?: string
}

/** Upstream's spelling where ci-info has another (spec operator.md 6). */
const crateNames: Readonly<Record<string, string>> = {
  AGOLA: 'Agola',
  APPCENTER: 'AppCenter',
  APPCIRCLE: 'AppCircle',
  LAYERCI: 'Layer CI',
  SOURCEHUT: 'SourceHut',
  WOODPECKER: 'Woodpecker CI',
}

/** Names of the systems that are recognised by `signs` alone, when ci-info sees none. */
const ownNames: Readonly<Record<string, string>> = {JENKINS: 'Jenkins'}

/**
 * The system that runs this job, by what is constant during a job: `CI=false`, which some tools want for a single step, does
 * not change it. Undefined outside of any CI and in one of which only the name is known.
 */
export function systemOf(env: Environment): CiSystem | undefined {
  const seen = new Set(vendorsIn(env).map(({constant}) => constant))
  return systems.find(
    ({constant, signs}) => seen.has(constant) || (signs !== undefined && signs.every((name) => env[name])),
  )
}

/**
 * The run that this environment belongs to; undefined outside of any CI and with `CI=false`. A system that we know
 * wins over one that is only a name (`VERCEL` may be set in any job), and Gitea over GitHub, whose variables it sets too.
 */
export function detectCi(env: Environment): CiRun | undefined {
  if (env.CI === 'false') return undefined
  const system = systemOf(env)
  const vendor = system ? vendorsIn(env).find(({constant}) => constant === system.constant) : vendorOf(env)
  const constant = system?.constant ?? vendor?.constant
  if (constant === undefined) return undefined
  const first = (names: readonly string[] | undefined) => names?.map((name) => env[name]).find(Boolean)
  return {
    provider: crateNames[constant] ?? vendor?.name ?? ownNames[constant]!,
    url: webAddress(system?.url?.(env)),
    pipeline: first(system?.pipeline),
    trigger: first(system?.trigger),
    job: first(system?.job),
  }
}

/** An address that may be shown and linked to: whatever else a variable holds is left out. */
function webAddress(text: string | undefined): string | undefined {
  if (text === undefined || !URL.canParse(text)) return undefined
  const url = new URL(text)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return undefined
  url.username = ''
  url.password = ''
  return url.href
}
