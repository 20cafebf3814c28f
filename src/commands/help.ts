import {Args, Flags} from '@oclif/core'
import {commands} from '@oclif/plugin-help'
import type {Requirement} from '../cli/command.ts'

/**
 * The command of oclif's own plugin, as one of ours: loaded as a plugin it brings a second @oclif/core, file by file, which takes
 * longer than all of our start.
 */
export default class Help extends commands.help {
  static requires: readonly Requirement[] = []
  static override summary = 'show the help of a command'
  static override description = 'Shows the same as --help behind the command. Without one it lists them all.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> ci start',
    '<%= config.bin %> <%= command.id %> --nested-commands',
  ]
  static override args = {
    command: Args.string({ignoreStdin: true, description: 'the words of the command, or of a topic'}),
  }
  static override flags = {
    'nested-commands': Flags.boolean({char: 'n', summary: 'list the commands of the topics too'}),
  }
}
