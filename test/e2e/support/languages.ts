import {execFileSync} from 'node:child_process'
import {existsSync, mkdtempSync, rmSync} from 'node:fs'
import path from 'node:path'
import {node, onPath} from './programs.ts'

const sources = path.join(import.meta.dirname, '../../apps/matrix')

/** The matrix program (test/apps/matrix) in one language. */
export interface Language {
  language: string
  /** Words that run it, or why it cannot be built or run on this machine. */
  words: string[] | {missing: string}
  /** Steps that the language has no means for, answered with `-`. */
  without: readonly string[]
  /** How it reports a connection that was reset, other than by an error that says so. */
  reset?: RegExp
  /** Part of the slice that `npm test` runs. */
  always: boolean
}

/** The first of these programs that the machine has: an absolute path, or a name. */
const first = (...names: readonly string[]) =>
  names.map((name) => (name.startsWith('/') ? name : onPath(name))).find((file) => file && existsSync(file))

/** A compiler or interpreter and what to do with it; `build` returns the words that run the program. */
interface Recipe {
  language: string
  needs: readonly string[]
  build: (tool: string, source: (name: string) => string, out: (name: string) => string) => string[]
  without?: readonly string[]
  reset?: RegExp
  always?: boolean
}

const run = (tool: string, args: readonly string[], env: Record<string, string> = {}) =>
  execFileSync(tool, args, {stdio: ['ignore', 'ignore', 'inherit'], env: {...process.env, ...env}})

const c =
  (...flags: string[]): Recipe['build'] =>
  (tool, source, out) => {
    const file = out(['c', ...flags].join('').replaceAll(/\W/g, '') + path.basename(tool))
    // musl has the resolver in its libc and an empty libresolv, so one command line fits both.
    run(tool, ['-std=gnu11', '-O1', '-Wall', '-Wextra', '-o', file, source('app.c'), '-lresolv', ...flags])
    return [file]
  }
const script =
  (file: string, ...flags: string[]): Recipe['build'] =>
  (tool, source) => [tool, ...flags, source(file)]
/** The JavaScript program with the steps that a runtime has interfaces of its own for. */
const ownSteps =
  (runtime: string, ...flags: string[]): Recipe['build'] =>
  (tool, source) => [tool, ...flags, source('app.mjs'), `own=${source(`own-${runtime}.mjs`)}`]
const golang =
  (cgo: '0' | '1'): Recipe['build'] =>
  (tool, source, out) => {
    const file = out(`go${cgo}`)
    run(tool, ['build', '-o', file, source('app.go')], {CGO_ENABLED: cgo, GO111MODULE: 'off', GOFLAGS: ''})
    return [file]
  }

const recipes: readonly Recipe[] = [
  {language: 'C, glibc', needs: ['gcc'], build: c(), always: true},
  // A static glibc looks for its name service modules at run time and warns about it when it is linked.
  {language: 'C, static glibc', needs: ['gcc'], build: c('-static'), without: []},
  {language: 'C, musl', needs: ['musl-gcc'], build: c()},
  {language: 'C, static musl', needs: ['musl-gcc'], build: c('-static'), always: true},
  {language: 'Go, static', needs: ['go'], build: golang('0'), always: true},
  {language: 'Go, cgo', needs: ['go'], build: golang('1')},
  {
    language: 'Rust',
    needs: ['rustc'],
    build: (tool, source, out) => {
      run(tool, ['-O', '--edition', '2021', '-o', out('rust'), source('app.rs')])
      return [out('rust')]
    },
  },
  {language: 'Node', needs: ['node'], build: (_, source) => [node, source('app.mjs')], always: true},
  // A reset ends a socket of Bun without an error, also without mirrord; one of a connect is a refused one for Bun and Deno.
  {language: 'Bun', needs: ['bun'], build: script('app.mjs'), reset: /^ended$|refused/},
  {language: 'Bun by its own interfaces', needs: ['bun'], build: ownSteps('bun'), reset: /^ended$|refused/},
  {language: 'Deno', needs: ['deno'], build: script('app.mjs', 'run', '--allow-all'), reset: /refused/},
  {
    language: 'Deno by its own interfaces',
    needs: ['deno'],
    build: ownSteps('deno', 'run', '--allow-all', '--unstable-net'),
  },
  // The system's: a plain user may not read what lies in somebody's home.
  {language: 'Python', needs: ['/usr/bin/python3', 'python3'], build: script('app.py'), always: true},
  {language: 'Ruby', needs: ['ruby'], build: script('app.rb')},
  {language: 'PHP', needs: ['php'], build: script('app.php'), reset: /^$/},
  {
    language: 'Java',
    needs: ['javac'],
    build: (tool, source, out) => {
      run(tool, ['-d', out('java'), source('App.java')])
      return [path.join(path.dirname(tool), 'java'), '-cp', out('java'), 'App']
    },
    without: ['srv'],
  },
  {language: '.NET', needs: ['dotnet'], build: () => []},
  {language: 'Perl', needs: ['perl'], build: script('app.pl'), without: ['srv']},
  {language: 'Bash', needs: ['bash'], build: script('app.sh'), without: ['srv', 'udpto', 'serve'], always: true},
]

/** Builds the program in every language that the machine has; `dispose` removes what was built. */
export function languages(all: boolean): {list: Language[]; dispose(): void} {
  const folder = mkdtempSync('/tmp/me2e-matrix-')
  execFileSync('chmod', ['755', folder]) // the plain user runs what is in it
  const list = recipes.map(({language, needs, build, without = [], reset, always = false}): Language => {
    const as = (words: Language['words']): Language => ({language, words, without, reset, always})
    if (!all && !always) return as({missing: 'npm run test:long'})
    const tool = first(...needs)
    if (!tool) return as({missing: needs.join(' or ')})
    const words = build(
      tool,
      (name) => path.join(sources, name),
      (name) => path.join(folder, name),
    )
    return as(words.length > 0 ? words : {missing: `a program for ${language}`})
  })
  return {list, dispose: () => rmSync(folder, {recursive: true, force: true})}
}
