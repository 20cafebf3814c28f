let held: readonly string[] = []

/**
 * Keeps the program's arguments, all after "--" and the program, away from oclif's parser: it compares each of its words with
 * all others, which takes seconds for ten thousand. The result is what the parser gets. Once a process.
 */
export function holdBack(words: readonly string[]): string[] {
  const separator = words.indexOf('--')
  if (separator === -1) return [...words]
  held = words.slice(separator + 2)
  return words.slice(0, separator + 2)
}

/** The arguments that were kept back. */
export function heldBack(): readonly string[] {
  return held
}
