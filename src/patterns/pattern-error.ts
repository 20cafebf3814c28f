/** A pattern that cannot be used. `message` is a sentence that names it and what is wrong with it. */
export class PatternError extends Error {
  override readonly name = 'PatternError'
  readonly pattern: string
  /** What is wrong, without the pattern. */
  readonly reason: string

  constructor(pattern: string, reason: string, at?: number) {
    const place = at === undefined ? '' : ` (at character ${at + 1})`
    super(`the pattern "${pattern}" cannot be used: ${reason}${place}`)
    this.pattern = pattern
    this.reason = `${reason}${place}`
  }
}
