import {stringify} from 'yaml'
import type {Check} from '../doctor/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'
import {rolesFor, type Need} from '../kube/index.ts'
import {colorFor} from '../util/color.ts'

const marks = {ok: '✓', warning: '!', failed: '✗', skipped: '-'} as const

/** The checks as lines, each with its remedy below it. */
export function checkLines(checks: readonly Check[], stream: NodeJS.WriteStream): string {
  const color = colorFor(stream)
  const paint = {ok: color.green, warning: color.yellow, failed: color.red, skipped: color.dim}
  const width = Math.max(...checks.map(({name}) => name.length))
  const indent = ' '.repeat(width + 4)
  return checks
    .map(({name, state, text, next}) => {
      const remedies = state === 'ok' ? [] : next.map((line) => `${indent}Next: ${line}\n`)
      const lines = text.replaceAll('\n', `\n${indent}`)
      return `${paint[state](marks[state])} ${name.padEnd(width)}  ${lines}\n${remedies.join('')}`
    })
    .join('')
}

/** The checks as one JSON object. `code` is the stable code of a failure. */
export function checksJson(checks: readonly Check[], missing: readonly Need[]): string {
  const shown = checks.map(({name, state, text, next, report}) => ({name, state, text, next, code: report?.code}))
  return `${JSON.stringify({checks: shown, missing}, undefined, 2)}\n`
}

/** The roles that grant what is missing, for `kubectl apply -f -`. Throws RBAC_SUBJECT when nobody knows to whom. */
export function rolesYaml(missing: readonly Need[], user: string | undefined): string {
  if (missing.length === 0) return '# No right is missing.\n'
  if (user === undefined)
    throw new MirrordError({
      code: 'RBAC_SUBJECT',
      exit: 'forbidden',
      what: 'No role can be printed: the cluster does not tell whose the credentials are.',
      why: 'It is older than Kubernetes 1.28, or somebody took the right to ask (SelfSubjectReview) away.',
      next: ['Grant what the table names by hand.'],
    })
  return rolesFor(missing, user)
    .map((object) => stringify(object))
    .join('---\n')
}
