// Counting what a test command ran, for its last line and for whoever adds up several of them.
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join, relative} from 'node:path'
import {stripVTControlCharacters} from 'node:util'
import {node22, programEnv, root, runAttached} from './run.mjs'

/** `N passed, N failed`, and what was skipped where something was. */
export const line = ({passed, failed, skipped}) =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`

export const add = (a, b) => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
  failures: [...a.failures, ...b.failures],
})

export const none = {passed: 0, failed: 0, skipped: 0, failures: []}
const passed = {...none, passed: 1}

/** One failure, with the line that names it at the end of the output. */
export const failure = (line) => ({...none, failed: 1, failures: [line]})

/** Runs one check that counts as one test; its output goes to the terminal. */
export async function check(name, file, args) {
  console.log(`\n== ${name}`)
  const code = await runAttached(file, args, {env: programEnv()})
  console.log(`== ${name}: ${code === 0 ? 'passed' : `failed with exit code ${code}`}`)
  return code === 0 ? passed : failure(`${name}: exit code ${code}`)
}

/** `file > suite > test: the first line of its error` of every test that failed, and of every file that could not be run. */
function failuresOf({testResults}) {
  const firstLine = (text) => stripVTControlCharacters(text ?? '').split('\n', 1)[0]
  return testResults.flatMap(({name, status, message, assertionResults}) => {
    const failed = assertionResults.filter((test) => test.status === 'failed')
    const file = relative(root, name)
    if (status === 'failed' && failed.length === 0) return [`${file}: ${firstLine(message)}`]
    return failed.map(
      (test) => `${[file, ...test.ancestorTitles, test.title].join(' > ')}: ${firstLine(test.failureMessages[0])}`,
    )
  })
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
    if (!result) return failure(`${name}: no result, exit code ${code}`)
    const failures = failuresOf(result)
    // A failed set-up or tear-down or a stray error fails the run without failing a test.
    if (code !== 0 && failures.length === 0) failures.push(`${name}: exit code ${code}`)
    return {
      passed: result.numPassedTests,
      failed: failures.length,
      skipped: (result.numPendingTests ?? 0) + (result.numTodoTests ?? 0),
      failures,
    }
  } finally {
    rmSync(folder, {recursive: true, force: true})
  }
}

/** What failed and the last line; where a caller adds up several commands, both go to the file that it named, and what failed to `FILE.failures`. */
export function report(name, {failures, ...counts}) {
  const file = process.env.MIRRORD_TEST_COUNTS
  const failed = failures.map((line) => `failed: ${line}\n`).join('')
  if (file) {
    writeFileSync(file, `${JSON.stringify(counts)}\n`)
    writeFileSync(`${file}.failures`, failed)
  }
  if (failed) process.stdout.write(`\n${failed}`)
  console.log(file ? `\n== ${name}: done` : `\n${line(counts)}`)
  return counts.failed === 0 && counts.passed > 0 ? 0 : 1
}
