import {Command} from '@oclif/core'

/** What a command needs before it runs; checked by the prerun hook in this order (ruling R16). */
export const requirements = ['kubeconfig', 'cluster', 'licence', 'profile', 'access'] as const
export type Requirement = (typeof requirements)[number]

/** Base of every command. A command that forgets to declare what it needs gets every check: fail closed. */
export abstract class MirrordCommand extends Command {
  static requires: readonly Requirement[] = requirements
  /** True when the first word that is not a flag starts the user's program (ruling R5). */
  static passthrough = false
  /** True for a command that requires nothing, but shows the configuration. */
  static resolves = false
  /** Refuses words that the command cannot run, before anything is asked of the cluster. */
  static checkWords?: (words: readonly string[], flags: Readonly<Record<string, unknown>>) => Promise<void>
  /** What happens to incoming traffic when nobody says (ruling R2). */
  static incomingDefault: 'steal' | 'mirror' = 'steal'
}
