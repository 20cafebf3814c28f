import type {ResolvedConfig} from '../config/index.ts'

/** What the prerun hook has already found out for the command that follows it in the same process. */
export interface CommandContext {
  /** Parsed flags by long name. */
  flags: Record<string, unknown>
  /** The words that are not flags, in their order (oclif's own `argv` is sorted wrongly, spec oclif.md 4.1). */
  words: string[]
  resolved?: ResolvedConfig
  profile?: AppliedProfile
  /** What happened in the checks that only a log should tell. */
  notes?: readonly string[]
}

/** What the profile of the configuration does, in one line, and how long it took to find out. */
export interface AppliedProfile {
  text: string
  ms: number
}

let current: CommandContext | undefined

/** Called by the prerun hook, once a process. */
export function provideContext(context: CommandContext): void {
  current = context
}

/** The context of the running command. Errors: a defect of ours when the hook has not run. */
export function commandContext(): CommandContext {
  if (!current) throw new Error('the prerun hook did not run before the command')
  return current
}
