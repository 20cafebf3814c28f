// Counting what a test command ran, for its last line and for whoever adds up several of them.
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {node22, programEnv, root, runAttached} from './run.mjs'

/** `N passed, N failed`, and what was skipped where something was. */
export const line = ({passed, failed, skipped}) =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`

export const add = (a, b) => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
})

export const none = {passed: 0, failed: 0, skipped: 0}

/** Runs one check that counts as one test; its output goes to the terminal. */
export async function check(name, file, args) {
  console.log(`\n== ${name}`)
  const code = await runAttached(file, args, {env: programEnv()})
  console.log(`== ${name}: ${code === 0 ? 'passed' : `failed with exit code ${code}`}`)
  return {passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0}
}

/** Runs vitest with a configuration and counts its tests; one that ends without a result is one failure. `file` keeps vitest's own results. */
export async function vitest(name, config, {env = {}, args = [], file: kept} = {}) {
  console.log(`\n== ${name}`)
  const folder = mkdtempSync(join(tmpdir(), 'mirrord-results-'))
  const file = kept ?? join(folder, 'results.json')
  try {
    const code = await runAttached(
      node22,
      [
        '--disable-warning=ExperimentalWarning',
        join(root, 'node_modules/vitest/vitest.mjs'),
        ...['run', '--config', config, '--reporter=default', '--reporter=json', `--outputFile.json=${file}`],
        ...args,
      ],
      {env: programEnv(env)},
    )
    const result = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
    if (!result) return {passed: 0, failed: 1, skipped: 0}
    const counts = {
      passed: result.numPassedTests,
      failed: result.numFailedTests,
      skipped: (result.numPendingTests ?? 0) + (result.numTodoTests ?? 0),
    }
    // A file that cannot be loaded, a failed set-up or tear-down or a stray error fails the run without failing a test.
    if (code !== 0 && counts.failed === 0) counts.failed = 1
    return counts
  } finally {
    rmSync(folder, {recursive: true, force: true})
  }
}

/** The last line, or, where a caller adds up several commands, the counts in the file that it named. */
export function report(name, counts) {
  const file = process.env.MIRRORD_TEST_COUNTS
  if (file) writeFileSync(file, `${JSON.stringify(counts)}\n`)
  console.log(file ? `\n== ${name}: done` : `\n${line(counts)}`)
  return counts.failed === 0 && counts.passed > 0 ? 0 : 1
}
