import {nearest} from '../config/nearest.ts'
import {usageError} from './usage.ts'

/** What the walk over a command line needs to know of a command's flag, as oclif declares it. */
export interface FlagShape {
  char?: string
  aliases?: readonly string[]
  type: 'boolean' | 'option'
  allowNo?: boolean
  multiple?: boolean
}

/** What it needs to know of a command. */
export interface CommandShape {
  /** The command's words, for messages: `ci start`. */
  name: string
  flags: Readonly<Record<string, FlagShape>>
  /** The first word that is not a flag starts the user's program (ruling R5). */
  passthrough: boolean
  /** It needs that program. */
  program?: boolean
  /** How many arguments it takes; without it any number. More would become part of the command's name for oclif. */
  most?: number
}

/** The file that a bare `-f` means (spec config.md 1.2). */
export const DEFAULT_CONFIG_FILE = './.mirrord/mirrord.json'

/** Takes a word after the flag when there is one that is no flag, like upstream; else it means its default. */
const OPTIONAL_VALUE: Readonly<Record<string, string>> = {'config-file': DEFAULT_CONFIG_FILE}
/** Has a value only after "=": true or false. */
const TRUE_OR_FALSE: ReadonlySet<string> = new Set(['accept-invalid-certificates'])

/** Before a value that oclif would take for a flag. No word of a command line can hold it. */
const SHIELD = '\0'

/**
 * Rewrites the words after a command before oclif sees them, by the rules of upstream's parser (spec config.md 1.1 to 1.3),
 * where oclif's are looser or different: each flag in its long form with "=", `-f` and `-c` with their value, and `--` before the
 * program. Words that ask for help become just that.
 * Errors: MirrordError USAGE (exit 2) for a flag that is unknown, given twice or without its value.
 */
export function normalizeArguments(words: readonly string[], command: CommandShape): string[] {
  const walk = new Walk(command)
  try {
    return walk.run(words)
  } catch (error) {
    const end = words.indexOf('--')
    const own = end === -1 ? words : words.slice(0, end)
    if (own.includes('--help') || own.includes('-h')) return ['--help']
    throw error
  }
}

/** A flag's value as it was typed. */
export function unshield(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unshield)
  return typeof value === 'string' && value.startsWith(SHIELD) ? value.slice(SHIELD.length) : value
}

class Walk {
  readonly #command: CommandShape
  readonly #byChar: ReadonlyMap<string, string>
  /** Every long form, aliases too, with the flag's own name. */
  readonly #byLong: ReadonlyMap<string, string>
  readonly #seen = new Set<string>()
  readonly #out: string[] = []
  #rest: string[] = []
  #help = false
  #arguments = 0
  /** The word that was taken as the value of a flag that would have done without. */
  #taken: string | undefined

  constructor(command: CommandShape) {
    this.#command = command
    const chars = Object.entries(command.flags).flatMap(([name, {char}]) => (char ? [[char, name] as const] : []))
    this.#byChar = new Map(chars)
    this.#byLong = new Map(
      Object.entries(command.flags).flatMap(([name, {aliases = []}]) => [name, ...aliases].map((long) => [long, name])),
    )
  }

  run(words: readonly string[]): string[] {
    const {passthrough} = this.#command
    this.#rest = [...words].reverse()
    for (let word = this.#rest.pop(); word !== undefined; word = this.#rest.pop()) {
      if (word === '--') {
        if (passthrough && this.#rest.at(-1) === '') throw this.#emptyProgram()
        return [...this.#out, '--', ...this.#rest.reverse()]
      }
      if (word !== '-' && word.startsWith('-')) {
        if (word.startsWith('--')) this.#long(word)
        else this.#short(word)
        if (this.#help) return ['--help']
      } else if (passthrough && word === '') throw this.#emptyProgram()
      else if (passthrough) return [...this.#out, '--', word, ...withoutSeparator(this.#rest.reverse())]
      else {
        if (++this.#arguments > (this.#command.most ?? Infinity))
          throw this.#wrong(`Unexpected argument: ${word || '""'}.`)
        this.#out.push(word)
      }
    }
    if (passthrough && this.#command.program && this.#taken !== undefined) throw this.#tookProgram(this.#taken)
    return this.#out
  }

  #long(word: string): void {
    const equals = word.indexOf('=')
    const typed = word.slice(2, equals === -1 ? undefined : equals)
    const value = equals === -1 ? undefined : word.slice(equals + 1)
    if (typed === 'help' && value !== undefined) throw this.#wrong('--help takes no value.')
    if (typed === 'help') return void (this.#help = true)
    const name = this.#byLong.get(typed)
    if (name !== undefined) return this.#flag(name, value)
    const positive = this.#byLong.get(typed.replace(/^no-/, ''))
    if (positive === undefined || !this.#command.flags[positive]!.allowNo) throw this.#unknown(`--${typed}`)
    if (value !== undefined) throw this.#wrong(`--${typed} takes no value.`)
    this.#emit(positive, `--no-${positive}`)
  }

  /** One word of short flags: those without a value may be followed by others in it. */
  #short(word: string): void {
    const letters = [...word.slice(1)]
    for (let index = 0; index < letters.length; index++) {
      const letter = letters[index]!
      const name = this.#byChar.get(letter)
      if (name === undefined && letter === 'h') return void (this.#help = true)
      if (name === undefined) throw this.#unknown(`-${letter}`)
      const rest = letters.slice(index + 1).join('')
      const value = rest.startsWith('=') ? rest.slice(1) : undefined
      if (this.#command.flags[name]!.type === 'boolean') {
        this.#flag(name, value)
        if (value !== undefined) return
      } else return this.#flag(name, value ?? (rest === '' ? undefined : rest))
    }
  }

  /** A flag with the value that is in its own word, if any. */
  #flag(name: string, value: string | undefined): void {
    if (TRUE_OR_FALSE.has(name)) {
      if (value !== undefined && value !== 'true' && value !== 'false')
        throw this.#wrong(`--${name} is given alone, or as --${name}=true or =false.`)
      return this.#emit(name, value === 'false' ? `--no-${name}` : `--${name}`)
    }
    if (this.#command.flags[name]!.type === 'boolean') {
      if (value !== undefined) throw this.#wrong(`--${name} takes no value.`)
      return this.#emit(name, `--${name}`)
    }
    const given = value ?? this.#following(name) ?? OPTIONAL_VALUE[name]
    if (given === undefined) throw this.#withoutValue(name)
    this.#emit(name, `--${name}=${this.#looksLikeFlag(given) ? SHIELD : ''}${given}`)
  }

  /** The next word, if it can be a value: one that starts with a dash needs "=". */
  #following(name: string): string | undefined {
    const next = this.#rest.at(-1)
    if (next === undefined || (next !== '-' && next.startsWith('-'))) return undefined
    // An empty name of a file would read as none.
    if (next === '' && name in OPTIONAL_VALUE) throw this.#wrong(`--${name} has an empty value.`)
    if (name in OPTIONAL_VALUE) this.#taken = next
    return this.#rest.pop()
  }

  /** oclif takes such a value for a flag, also after "=". */
  #looksLikeFlag(value: string): boolean {
    if (!value.startsWith('--')) return value.startsWith('-') && this.#byChar.has(value.charAt(1))
    const name = value.slice(2)
    return this.#byLong.has(name) || this.#byLong.has(name.replace(/^no-/, ''))
  }

  #emit(name: string, word: string): void {
    if (this.#seen.has(name) && !this.#command.flags[name]!.multiple)
      throw this.#wrong(`--${name} is given more than once.`)
    this.#seen.add(name)
    if (word === `--${name}=` && name in OPTIONAL_VALUE) throw this.#wrong(`--${name} has an empty value.`)
    this.#out.push(word)
  }

  #withoutValue(name: string) {
    const next = this.#rest.at(-1)
    const advice =
      next === undefined || next === '--' ? [] : [`A value that starts with a dash needs "=": --${name}=${next}`]
    return usageError(`--${name} needs a value.`, this.#command.name, advice)
  }

  /** `-f node`: the only word that is no flag may have been meant as the program. */
  #tookProgram(word: string) {
    return usageError(`PROGRAM is missing: "${word}" was taken as the file of -f.`, this.#command.name, [
      `For the file ${DEFAULT_CONFIG_FILE} write: -f -- ${word}`,
    ])
  }

  /** Most often a variable of the shell that is not set. */
  #emptyProgram() {
    return this.#wrong('PROGRAM is empty.')
  }

  #wrong(what: string) {
    return usageError(what, this.#command.name)
  }

  #unknown(flag: string) {
    const {flags, name, passthrough} = this.#command
    const known = Object.entries(flags).flatMap(([long, {allowNo}]) => [
      `--${long}`,
      ...(allowNo ? [`--no-${long}`] : []),
    ])
    const near = flag.startsWith('--') ? nearest(flag, known, 1) : []
    const advice = near.map((other) => `Did you mean ${other}?`)
    if (passthrough) advice.push('Flags of the program come after its name.')
    return usageError(`There is no flag ${flag}.`, name, advice)
  }
}

/** `program -- arguments`: the first separator is ours also when it follows the program's name. */
function withoutSeparator(words: readonly string[]): readonly string[] {
  return words[0] === '--' ? words.slice(1) : words
}
