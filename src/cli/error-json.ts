import {exitCodes} from '../errors/exit-codes.ts'
import type {ErrorReport} from '../errors/mirrord-error.ts'

/** An error as programs get it, with the exit code as a number and its name beside it. */
export function errorJson({exit, ...report}: ErrorReport): Record<string, unknown> {
  return {...report, exit: exitCodes[exit].code, exitName: exit}
}

/** What a command with `--json` prints on stdout when it has failed. */
export function failureJson(report: ErrorReport): string {
  return JSON.stringify({error: errorJson(report)}, undefined, 2)
}

/** Whether the words of a command line, as typed or as oclif gets them, ask for JSON. */
export function asksForJson(words: readonly string[]): boolean {
  const end = words.indexOf('--')
  const own = words.slice(0, end === -1 ? undefined : end)
  return own.includes('--json') || (own[0] === 'ls' && /(^| )(-o|--output)[ =]?json( |$)/.test(own.join(' ')))
}
