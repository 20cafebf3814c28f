/** What the argument walk needs to know of a command's flag, as oclif declares it. */
export interface FlagShape {
  char?: string
  type: 'boolean' | 'option'
  allowNo?: boolean
}

/** The file that a bare `-f` means (spec config.md 1.2). */
export const DEFAULT_CONFIG_FILE = './.mirrord/mirrord.json'

/**
 * Rewrites the words after a command that runs a program, before oclif sees them (ruling R5): `-f` and `-c` without a
 * value get theirs, and `--` goes before the first word that is not one of our flags, so that everything from there on
 * belongs to the program. An explicit `--` is left alone, also directly after the program's name.
 */
export function normalizeArguments(words: readonly string[], flags: Readonly<Record<string, FlagShape>>): string[] {
  const byChar = new Map(
    Object.entries(flags).flatMap(([name, flag]) => (flag.char ? [[flag.char, name] as const] : [])),
  )
  const out: string[] = []
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!
    if (word === '--') return [...out, ...words.slice(index)]
    if (word === '-' || !word.startsWith('-')) return [...out, '--', ...withoutSeparator(words.slice(index))]
    if (word === '-f' || word === '--config-file') {
      const value = words[index + 1]
      // Greedy like upstream: the next word is the file unless it is a flag.
      if (value === undefined || value.startsWith('-')) out.push(`--config-file=${DEFAULT_CONFIG_FILE}`)
      else {
        out.push(`--config-file=${value}`)
        index++
      }
      continue
    }
    const certificates = /^(?:-c|--accept-invalid-certificates)(?:=(true|false))?$/.exec(word)
    if (certificates) {
      out.push(certificates[1] === 'false' ? '--no-accept-invalid-certificates' : '--accept-invalid-certificates')
      continue
    }
    out.push(word)
    if (!word.includes('=') && takesValue(word, flags, byChar) && words[index + 1] !== undefined)
      out.push(words[++index]!)
  }
  return out
}

/** `program -- arguments`: the first separator is ours also when it follows the program's name. */
function withoutSeparator(words: readonly string[]): string[] {
  return words[1] === '--' ? [words[0]!, ...words.slice(2)] : [...words]
}

function takesValue(
  word: string,
  flags: Readonly<Record<string, FlagShape>>,
  byChar: ReadonlyMap<string, string>,
): boolean {
  // `-tvalue` carries its value itself.
  const name = word.startsWith('--') ? word.slice(2) : word.length === 2 ? byChar.get(word[1]!) : undefined
  return name !== undefined && flags[name]?.type === 'option'
}
