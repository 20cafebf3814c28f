/** One thing that is wrong, as a CI system's log or page shows it beside the run. */
export interface Annotation {
  /** Short, in the heading. */
  title: string
  message: string
  /** Relative to the repository's folder, with `/`. */
  file?: string
  /** From 1. */
  line?: number
  column?: number
}

/**
 * How a CI system structures its log. Every text is escaped here, so that nothing in it can end the command or start
 * another; each result is one line without its end.
 */
export interface Dialect {
  /** Opens a group of lines that is collapsed when possible. `name` is unique in the log: letters, digits, `_`. */
  openGroup(title: string, name: string, now: Date): string
  /** Ends it. `title` heads what follows where a group has no end but the next one's start. */
  closeGroup(title: string, name: string, now: Date): string
  /** Absent where the log knows no errors. */
  error?(annotation: Annotation): string
  /** Makes the system replace a value in everything that it logs from then on; absent where it cannot. */
  mask?(value: string): string
}
