import {spawnSync} from 'node:child_process'

const as = (uid: number) => ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups']

const powerless = ['--bounding-set=-all', '--inh-caps=-all']
const reading = [
  '--bounding-set=-all,+dac_read_search',
  '--inh-caps=-all,+dac_read_search',
  '--ambient-caps=+dac_read_search',
]

/** Words that run what follows as nobody, without any capability (setpriv(1)). */
export const asNobody = [...as(65_534), ...powerless]

/** The same, but every file may be read: this repository may lie below a directory of root's alone. */
export const asNobodyWhoReads = [...as(65_534), ...reading]

/** A user number that has no passwd entry, as OpenShift gives them. */
export const unknownUser = 1_234_567

/** Words that run what follows as that user, without any capability but what reading this repository takes. */
export const asUnknownUser = () => [
  ...as(unknownUser),
  ...(nobodyMay('read', import.meta.filename) ? powerless : reading),
]

/** Why this machine cannot run something as another user; undefined when it can. */
export function whyNotAnother(words: readonly string[]): string | undefined {
  const [setpriv = '', ...rest] = words
  if (process.getuid?.() !== 0) return 'needs root to become another user'
  return spawnSync(setpriv, [...rest, 'true']).status === 0 ? undefined : 'setpriv does not work here'
}

/**
 * Whether this machine can run something as nobody that needs a file of this repository: false without root, setpriv, or the
 * right to look into a directory above it (/root). Asked of a shell, because setpriv itself still has its capabilities
 * when it executes its program.
 */
export function nobodyMay(kind: 'execute' | 'read', file: string): boolean {
  const [setpriv = '', ...words] = asNobody
  const test = kind === 'read' ? '-r' : '-x'
  return process.getuid?.() === 0 && spawnSync(setpriv, [...words, 'test', test, file]).status === 0
}
