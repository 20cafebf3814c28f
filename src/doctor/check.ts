import {toReport, type ErrorReport} from '../errors/mirrord-error.ts'

interface Looked {
  name: string
  text: string
  /** What to do. */
  next: readonly string[]
}

/** What was looked at, and what came of it. `skipped`: something before it had failed. A failure has its whole report. */
export type Check =
  | (Looked & {state: 'ok' | 'warning' | 'skipped'; report?: undefined})
  | (Looked & {state: 'failed'; report: ErrorReport})

export const ok = (name: string, text: string): Check => ({name, state: 'ok', text, next: []})
export const warning = (name: string, text: string, next: readonly string[]): Check => ({
  ...{name, state: 'warning', text, next},
})
export const skipped = (name: string, why: string): Check => ({name, state: 'skipped', text: why, next: []})

/** A failure with the report that a start would end with. */
export function failed(name: string, error: unknown): Check {
  const report = toReport(error)
  const text = [report.what, report.why].filter((part) => part !== undefined).join(' ')
  return {name, state: 'failed', text, next: report.next, report}
}

/** Runs one check; what it throws is its failure. */
export async function attempt<T>(
  name: string,
  look: () => Promise<{text: string; value: T}>,
): Promise<{check: Check; value?: T}> {
  try {
    const {text, value} = await look()
    return {check: ok(name, text), value}
  } catch (error) {
    return {check: failed(name, error)}
  }
}
