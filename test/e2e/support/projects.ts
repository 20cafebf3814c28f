import {execFileSync} from 'node:child_process'
import {cpSync, globSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import path from 'node:path'

/** How a project's tests are run. */
export interface Run {
  words: string[]
  cwd: string
  env?: Record<string, string>
}

/** A published library whose package carries its own tests. */
export interface Project {
  name: string
  /** Programs without which it is left out. */
  needs: readonly string[]
  /** Downloads the pinned version by its registry's ordinary client. Errors: those of the client. */
  fetch: (folder: string) => void
  /** Makes it ready to be tested; nothing is downloaded any more. */
  prepare: (folder: string) => Run
  /** The numbers of the runner's summary; empty when it printed none. */
  counts: (output: string) => Record<string, number>
  /** So many tests must have passed. */
  minimum: number
}

/** Runs a program quietly. Errors: one with what it printed, when it fails. */
function run(cwd: string, words: readonly string[], env: Record<string, string> = {}): string {
  const [program, ...args] = words
  return execFileSync(program!, args, {
    cwd,
    env: {...process.env, ...env},
    encoding: 'utf8',
    stdio: 'pipe',
    maxBuffer: 64 << 20,
    timeout: 300_000,
  })
}

/** The last number that a pattern with one group finds, or undefined. */
const last = (output: string, pattern: RegExp) => {
  const found = [...output.matchAll(pattern)].at(-1)?.[1]
  return found === undefined ? undefined : Number(found)
}
const numbers = (output: string, patterns: Record<string, RegExp>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(patterns).flatMap(([name, pattern]) => {
      const value = last(output, pattern)
      return value === undefined ? [] : [[name, value]]
    }),
  )

/** What the tests of qs load; the other development dependencies format, bundle and publish it. */
const ofQs = [
  ...['tape', 'es-value-fixtures', 'for-each', 'has-bigints', 'has-override-mistake', 'has-property-descriptors'],
  ...['has-proto', 'has-symbols', 'iconv-lite', 'mock-property', 'object-inspect', 'qs-iconv', 'safer-buffer'],
]
interface Manifest {
  scripts: Record<string, string>
  devDependencies: Record<string, string>
}

const npm: Project = {
  name: 'npm test (qs 6.14.0, tape)',
  needs: ['npm', 'tar'],
  fetch(folder) {
    run(folder, ['npm', 'pack', '--silent', 'qs@6.14.0'])
    run(folder, ['tar', 'xzf', 'qs-6.14.0.tgz'])
    const file = path.join(folder, 'package/package.json')
    const manifest = JSON.parse(readFileSync(file, 'utf8')) as Manifest
    manifest.devDependencies = Object.fromEntries(
      Object.entries(manifest.devDependencies).filter(([name]) => ofQs.includes(name)),
    )
    manifest.scripts = {test: "tape 'test/**/*.js'"} // its own, without lint and coverage
    writeFileSync(file, JSON.stringify(manifest))
    run(path.dirname(file), ['npm', 'install', '--silent', '--no-audit', '--no-fund', '--ignore-scripts'])
  },
  prepare: (folder) => ({words: ['npm', 'test'], cwd: path.join(folder, 'package')}),
  counts: (output) =>
    numbers(output, {tests: /^# tests +(\d+)/gm, passed: /^# pass +(\d+)/gm, failed: /^# fail +(\d+)/gm}),
  minimum: 700,
}

const goEnvironment = (folder: string) => ({GOPATH: path.join(folder, 'gopath'), GOFLAGS: '-modcacherw -mod=mod'})
const fsnotify = 'github.com/fsnotify/fsnotify@v1.9.0'
const golang: Project = {
  name: 'go test ./... (fsnotify 1.9.0)',
  needs: ['go'],
  fetch(folder) {
    const env = goEnvironment(folder)
    run(folder, ['go', 'mod', 'download', fsnotify], env)
    cpSync(path.join(env.GOPATH, 'pkg/mod', fsnotify), path.join(folder, 'module'), {recursive: true})
    run(folder, ['chmod', '-R', 'u+w', 'module'])
    run(path.join(folder, 'module'), ['go', 'mod', 'download'], env)
  },
  prepare: (folder) => ({
    // One at a time: they wait for the clock and expect two like events of inotify, which the kernel makes one when their reader
    // comes late. Side by side some fail on a busy machine, also without mirrord.
    words: ['go', 'test', '-count=1', '-v', '-p=1', '-parallel=1', './...'],
    cwd: path.join(folder, 'module'),
    env: {...goEnvironment(folder), GOPROXY: 'off'},
  }),
  counts(output): Record<string, number> {
    const outcomes = [...output.matchAll(/^ *--- (PASS|FAIL|SKIP): /gm)].map(([, outcome]) => outcome)
    const of = (outcome: string) => outcomes.filter((one) => one === outcome).length
    if (outcomes.length === 0) return {}
    return {passed: of('PASS'), failed: of('FAIL'), skipped: of('SKIP')}
  },
  minimum: 100,
}

const jars = [
  'commons-io:commons-io:2.6',
  'commons-io:commons-io:2.6:jar:test-sources',
  'commons-io:commons-io:2.6:jar:sources',
  'junit:junit:4.13.2',
  'org.hamcrest:hamcrest-core:1.3',
]
const java: Project = {
  name: 'javac and JUnit (commons-io 2.6)',
  needs: ['javac', 'mvn', 'unzip'],
  fetch(folder) {
    for (const jar of jars) {
      run(folder, ['mvn', '-q', '-B', 'dependency:copy', `-Dartifact=${jar}`, '-DoutputDirectory=.'])
    }
  },
  prepare(folder) {
    // The folders of its repository: some tests count what is in them.
    const sources = path.join(folder, 'src/test/java')
    const main = path.join(folder, 'src/main/java')
    const classes = path.join(folder, 'classes')
    for (const made of [sources, main, classes]) mkdirSync(made, {recursive: true})
    run(folder, ['unzip', '-qo', 'commons-io-2.6-test-sources.jar', '-d', sources])
    run(folder, ['unzip', '-qo', 'commons-io-2.6-sources.jar', '-d', main])
    const files = globSync('**/*.java', {cwd: sources})
    const classPath = ['commons-io-2.6', 'junit-4.13.2', 'hamcrest-core-1.3'].map((jar) =>
      path.join(folder, `${jar}.jar`),
    )
    const classPaths = [classes, ...classPath].join(':')
    run(sources, ['javac', '-nowarn', '-encoding', 'ISO-8859-1', '-d', classes, '-cp', classPaths, ...files])
    cpSync(sources, classes, {recursive: true}) // the files that the tests read lie beside them
    const tests = files
      .filter((file) => /Test[^/]*\.java$/.test(file) && !/Abstract|testtools|TestUtils/.test(file))
      .filter((file) => /@Test\b/.test(readFileSync(path.join(sources, file), 'latin1')))
      .map((file) => file.slice(0, -'.java'.length).replaceAll('/', '.'))
      .sort()
    return {words: ['java', '-cp', classPaths, 'org.junit.runner.JUnitCore', ...tests], cwd: folder}
  },
  // Some fail for root, who may do what they expect to be refused.
  counts(output): Record<string, number> {
    const [, run, failed] = /^Tests run: (\d+), +Failures: (\d+)/m.exec(output) ?? []
    if (run !== undefined) return {passed: Number(run) - Number(failed), failed: Number(failed)}
    const [, passed] = /^OK \((\d+) tests/m.exec(output) ?? []
    return passed === undefined ? {} : {passed: Number(passed), failed: 0}
  },
  minimum: 1000,
}

const python: Project = {
  name: 'pytest (werkzeug 3.1.3)',
  needs: ['python3', 'tar'],
  fetch(folder) {
    run(folder, ['python3', '-m', 'venv', 'venv'])
    const pip = ['venv/bin/python', '-m', 'pip', '--quiet', '--disable-pip-version-check']
    const ofTests = [
      'pytest-timeout==2.4.0',
      'ephemeral-port-reserve==1.1.4',
      'watchdog==6.0.0',
      'cryptography==45.0.7',
    ]
    run(folder, [...pip, 'install', 'flit_core==3.12.0', 'werkzeug==3.1.3', 'pytest==8.4.2', ...ofTests])
    run(folder, [...pip, 'download', '--no-deps', '--no-build-isolation', '--no-binary=:all:', 'werkzeug==3.1.3'])
  },
  prepare(folder) {
    const archive = readdirSync(folder).find((name) => name.endsWith('.tar.gz'))!
    mkdirSync(path.join(folder, 'source'))
    run(folder, ['tar', 'xzf', archive, '-C', 'source', '--strip-components=1'])
    return {
      words: [path.join(folder, 'venv/bin/python'), '-m', 'pytest', '-p', 'no:cacheprovider'],
      cwd: path.join(folder, 'source'),
    }
  },
  counts: (output) =>
    numbers(output, {
      passed: /\b(\d+) passed/g,
      failed: /\b(\d+) failed/g,
      skipped: /\b(\d+) skipped/g,
      errors: /\b(\d+) errors?\b/g,
    }),
  minimum: 900,
}

export const projects: readonly Project[] = [npm, golang, java, python]
