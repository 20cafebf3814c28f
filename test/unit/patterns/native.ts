import {execFileSync, spawnSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {existsSync, mkdirSync, readFileSync, renameSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')
const sources = ['test/apps/trap/rules.c', 'native/trap/files/rules.c'].map((name) => join(root, name))
const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']

/** Whether there is a C compiler. */
export const compiler = spawnSync('gcc', ['--version']).status === 0
/** Whether it has the sanitizers. */
export const sanitizing =
  compiler &&
  spawnSync('gcc', [...sanitizers, '-xc', '-', '-o', '/dev/null'], {input: 'int main(void) { return 0; }'}).status === 0

/** Compiles the trap's matcher as a program, with the sanitizers where gcc has them; cached by content. */
function build(): string {
  const flags = [
    '-std=gnu11',
    '-O1',
    '-g',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-D_GNU_SOURCE',
    ...(sanitizing ? sanitizers : []),
  ]
  const hash = createHash('sha256').update(flags.join())
  for (const source of sources) hash.update(readFileSync(source))
  const directory = join(tmpdir(), `mirrord-test-apps-${process.getuid?.() ?? 0}`, hash.digest('hex').slice(0, 16))
  const target = join(directory, 'rules')
  if (existsSync(target)) return target
  mkdirSync(directory, {recursive: true})
  const own = `${target}.${process.pid}`
  execFileSync('gcc', [...flags, '-I', join(root, 'native/trap'), '-o', own, ...sources], {stdio: 'inherit'})
  renameSync(own, target)
  return target
}

/** An automaton and texts to match with it; bytes are taken as they are. */
export interface Group {
  automaton: Uint8Array
  texts: readonly (string | Uint8Array)[]
}

/** What the trap's matcher says: for each group its labels, or undefined for a malformed automaton. Throws when it crashes. */
export function matchNatively(groups: readonly Group[]): (number[] | undefined)[] {
  const parts: Uint8Array[] = []
  const number = (value: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(value)
    parts.push(bytes)
  }
  for (const {automaton, texts} of groups) {
    number(automaton.length)
    parts.push(automaton)
    number(texts.length)
    for (const text of texts) {
      const bytes = Buffer.from(text)
      number(bytes.length)
      parts.push(bytes)
    }
  }
  const run = spawnSync(build(), [], {input: Buffer.concat(parts), maxBuffer: 1 << 28, encoding: 'utf8'})
  if (run.status !== 0) throw new Error(`the matcher ended with ${run.status ?? run.signal}: ${run.stderr}`)
  const lines = run.stdout.split('\n').slice(0, -1)
  if (lines.length !== groups.length) throw new Error(`${lines.length} answers for ${groups.length} groups`)
  return lines.map((line) =>
    line === 'malformed' ? undefined : line.trim() === '' ? [] : line.trim().split(' ').map(Number),
  )
}
