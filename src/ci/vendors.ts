import vendors from 'ci-info/vendors.json' with {type: 'json'}

/** An environment as a value: this room never reads the process's own. */
export type Environment = Readonly<Record<string, string | undefined>>

/**
 * One condition of ci-info's data: a variable that is set, one of several (`any`), one that holds a text (`env` and
 * `includes`), or variables with exact values.
 */
type Condition = string | {any: string[]} | Record<string, string>

/** One CI system as ci-info's data describes it. */
export interface Vendor {
  name: string
  /** ci-info's stable identifier, for example `GITHUB_ACTIONS`. */
  constant: string
  env: Condition | readonly Condition[]
}

const known = vendors as readonly Vendor[]

/**
 * Every CI system whose variables are set, in ci-info's order. ci-info itself reads the process's environment while it is
 * imported, so its data are evaluated here, with its semantics (ci-info 4.5.0, index.js): a variable counts when it is not
 * empty. Its switch `CI=false` is the caller's (`vendorOf`).
 */
export function vendorsIn(env: Environment): Vendor[] {
  return known.filter((vendor) => [vendor.env].flat().every((condition) => holds(condition, env)))
}

/** The CI system that ci-info names: the last one whose variables are set, none with `CI=false`. */
export function vendorOf(env: Environment): Vendor | undefined {
  return env.CI === 'false' ? undefined : vendorsIn(env).at(-1)
}

function holds(condition: Condition, env: Environment): boolean {
  if (typeof condition === 'string') return Boolean(env[condition])
  if (isAny(condition)) return condition.any.some((name) => Boolean(env[name]))
  const {env: name, includes} = condition
  if (name !== undefined && includes !== undefined) return env[name]?.includes(includes) ?? false
  return Object.entries(condition).every(([key, value]) => env[key] === value)
}

const isAny = (condition: {any: string[]} | Record<string, string>): condition is {any: string[]} =>
  Array.isArray(condition.any)
