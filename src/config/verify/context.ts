import type {Origin, Problem} from '../assemble.ts'
import type {AnyConfig} from '../schema/root.ts'

/** What the checks between keys look at, and where they say what they found. */
export interface Checks {
  config: AnyConfig
  /** Whether a source sets the key. */
  given: (path: string) => boolean
  /** The key and where its value came from: `agent.ttl (file m.json:3)`. */
  named: (path: string) => string
  /** Says that the value of a key cannot stay as it is. */
  refuse: (path: string, message: string) => void
  /** Says what the user should know; a sentence without its full stop. */
  warn: (path: string, message: string) => void
}

/** The result of the checks: warnings are whole sentences. */
export interface Findings {
  problems: Problem[]
  warnings: string[]
}

/** Checks that write into `findings`. */
export function checksOf(config: AnyConfig, origins: ReadonlyMap<string, Origin>, findings: Findings): Checks {
  const named = (path: string) => {
    const origin = origins.get(path)
    return origin === undefined ? path : `${path} (${origin})`
  }
  return {
    config,
    given: (path) => origins.has(path),
    named,
    refuse: (path, message) => findings.problems.push({path, message}),
    warn: (path, message) => findings.warnings.push(`${named(path)}: ${message}.`),
  }
}
