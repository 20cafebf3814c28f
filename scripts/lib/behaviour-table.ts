// Puts the behaviours and defects of test/behaviours and the results of vitest (JSON files named as arguments) together: one line a
// row on stdout, exit code 1 when a row that must be shown is not. Run by scripts/behaviours.mjs and scripts/test.mjs.
import {readFileSync} from 'node:fs'
import {exitCodes} from '../../src/errors/exit-codes.ts'
import {defects} from '../../test/behaviours/defects.ts'
import {behaviours, finished, type Behaviour} from '../../test/behaviours/rows.ts'

interface Assertion {
  fullName: string
  status: string
}
interface Results {
  testResults: {name: string; assertionResults: Assertion[]}[]
}

type Outcome = 'passed' | 'failed' | 'skipped'
interface Shown {
  test: string
  outcome: Outcome
}

const rows = [...behaviours, ...defects]
// `[LIF-05]`, `[LIF-05, D12]`; exit codes have four letters.
const tag = /\[((?:[A-Z]{2,3}-|D)\d+(?:, (?:[A-Z]{2,3}-|D)\d+)*)\]/g
const outcomes: Record<string, Outcome> = {passed: 'passed', failed: 'failed'}

/** Which tests show which row. */
function collect(files: readonly string[]): {shown: Map<string, Shown[]>; strangers: Set<string>} {
  const shown = new Map<string, Shown[]>(rows.map(({id}) => [id, []]))
  const strangers = new Set<string>()
  for (const file of files) {
    const {testResults} = JSON.parse(readFileSync(file, 'utf8')) as Results
    for (const {fullName, status} of testResults.flatMap((result) => result.assertionResults)) {
      for (const id of [...fullName.matchAll(tag)].flatMap((match) => (match[1] ?? '').split(', '))) {
        const list = shown.get(id)
        if (list) list.push({test: fullName.replaceAll(tag, '').trim(), outcome: outcomes[status] ?? 'skipped'})
        else strangers.add(id)
      }
    }
  }
  return {shown, strangers}
}

/** How the tests of each exit code went. */
function collectExits(files: readonly string[]): Map<number, Outcome[]> {
  const found = new Map<number, Outcome[]>()
  for (const file of files) {
    const {testResults} = JSON.parse(readFileSync(file, 'utf8')) as Results
    for (const {fullName, status} of testResults.flatMap((result) => result.assertionResults))
      for (const [, code] of fullName.matchAll(/\[EXIT-(\d+)\]/g))
        found.set(Number(code), [...(found.get(Number(code)) ?? []), outcomes[status] ?? 'skipped'])
  }
  return found
}

/** The result of one row, and whether that is acceptable. */
function judge({owner, priority, differs}: Behaviour, tests: readonly Shown[]): {result: string; good: boolean} {
  if (tests.some(({outcome}) => outcome === 'failed')) return {result: 'failed', good: false}
  if (tests.some(({outcome}) => outcome === 'passed')) return {result: differs ? 'differs' : 'passed', good: true}
  const must = finished.includes(owner) && priority !== 'C'
  if (tests.length > 0) return {result: 'skipped', good: !must}
  return {result: finished.includes(owner) ? 'no test' : 'later', good: !must}
}

const {shown, strangers} = collect(process.argv.slice(2))
const counts = new Map<string, number>()
const bad: string[] = []
for (const behaviour of rows) {
  const {id, priority, owner, name, differs} = behaviour
  const tests = shown.get(id) ?? []
  const {result, good} = judge(behaviour, tests)
  counts.set(result, (counts.get(result) ?? 0) + 1)
  if (!good) bad.push(`${id} (${owner}): ${result}`)
  const by = tests.map(({test}) => test).join(' · ') || '-'
  console.log(`${id.padEnd(7)} ${priority} ${owner.padEnd(13)} ${result.padEnd(7)} ${name}: ${differs ?? by}`)
}
// The same for the exit codes: a test that provokes the real cause of a code names it by [EXIT-code].
const exits = collectExits(process.argv.slice(2))
for (const [name, row] of Object.entries(exitCodes)) {
  const outcomes = exits.get(row.code) ?? []
  const later = 'later' in row ? row.later : undefined
  const result = outcomes.includes('failed') ? 'failed' : outcomes.includes('passed') ? 'passed' : later ? 'later' : 'no test'
  if (result === 'failed' || result === 'no test') bad.push(`exit code ${row.code} (${name}): ${result}`)
  console.log(`EXIT-${String(row.code).padEnd(2)} ${result.padEnd(7)} ${name}${later ? `: comes with ${later}` : ''}`)
  exits.delete(row.code)
}
for (const code of exits.keys()) bad.push(`EXIT-${code}: a test names it, src/errors/exit-codes.ts does not`)
for (const id of strangers) bad.push(`${id}: a test names it, test/behaviours does not`)
console.log(`behaviours: ${[...counts].map(([result, count]) => `${count} ${result}`).join(', ')}`)
for (const line of bad) console.log(`behaviours: ${line}`)
process.exitCode = bad.length > 0 ? 1 : 0
