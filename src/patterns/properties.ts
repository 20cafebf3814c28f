import {complement, everything, unicodeProperty, type CodePoints} from './code-points.ts'

/**
 * The set of a Unicode class by its name in Rust's loose spelling (case, spaces, "-" and "_" do not count): a general
 * category, a binary property or a script, alone or as `gc=`, `sc=`, `scx=`.
 */
export function findProperty(text: string): CodePoints | undefined {
  const [, key, value] = /^([^=:]*)[=:](.*)$/.exec(text) ?? [undefined, undefined, text]
  const plain = (name: string) => name.replace(/[\s_-]/g, '').toLowerCase()
  if (key === undefined) {
    if (plain(value) === 'any') return everything
    if (plain(value) === 'ascii') return [0, 0x7f]
    if (plain(value) === 'assigned') return complement(unicodeProperty('Cn')!)
  }
  const prefixes: Record<string, string> = {
    generalcategory: 'gc=',
    gc: 'gc=',
    script: 'sc=',
    sc: 'sc=',
    scriptextensions: 'scx=',
    scx: 'scx=',
  }
  const prefix = key === undefined ? undefined : prefixes[plain(key)]
  if (key !== undefined && prefix === undefined) return undefined
  for (const name of spellings(value)) {
    for (const before of prefix === undefined ? ['', 'gc=', 'sc='] : [prefix]) {
      const set = unicodeProperty(`${before}${name}`)
      if (set) return set
    }
  }
  return undefined
}

/** RegExp takes names in their exact spelling only: the usual ones of a loose name. */
function spellings(name: string): string[] {
  if (!/^[A-Za-z0-9_\s-]+$/.test(name)) return []
  const capital = (word: string) => word.slice(0, 1).toUpperCase() + word.slice(1).toLowerCase()
  const words = name.trim().split(/[\s_-]+/)
  return [name, words.map(capital).join('_'), capital(words.join('')), name.toUpperCase()].filter((spelling) =>
    /^[A-Za-z0-9_]+$/.test(spelling),
  )
}
