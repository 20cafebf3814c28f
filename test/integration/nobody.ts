import {spawnSync} from 'node:child_process'

/** Words that run what follows as nobody, without any capability (setpriv(1)). */
export const asNobody = [
  'setpriv',
  '--reuid=65534',
  '--regid=65534',
  '--clear-groups',
  '--bounding-set=-all',
  '--inh-caps=-all',
]

/** The same, but every file may be read: this repository may lie below a directory of root's alone. */
export const asNobodyWhoReads = [
  ...asNobody.slice(0, 4),
  '--bounding-set=-all,+dac_read_search',
  '--inh-caps=-all,+dac_read_search',
  '--ambient-caps=+dac_read_search',
]

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
