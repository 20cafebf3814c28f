import {Args, Flags} from '@oclif/core'
import {MirrordCommand} from '../cli/command.ts'
import {usageError} from '../cli/usage.ts'

const shells = ['bash', 'zsh', 'powershell']

export default class Completion extends MirrordCommand {
  static override summary = 'set up completion of commands and flags for your shell'
  static override description = `Writes the completion files of bash, zsh and PowerShell into the cache directory, and says what to add to the shell's own file. Nothing else writes there: repeat it after an update. It is oclif's plugin-autocomplete, which has no fish.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> bash',
    '<%= config.bin %> <%= command.id %> --refresh-cache',
  ]
  static override requires = []
  static override args = {
    shell: Args.string({
      ignoreStdin: true,
      options: shells,
      description: 'the shell [default: the one of SHELL]',
    }),
  }
  static override flags = {
    'refresh-cache': Flags.boolean({char: 'r', summary: 'only write the files, without instructions'}),
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Completion)
    const {shell = shells.find((name) => this.config.shell.startsWith(name))} = args
    if (shell === undefined)
      throw usageError(`SHELL names none of ${shells.join(', ')}.`, 'completion', [
        'Say which: mirrord completion bash',
      ])
    const words = [shell, ...(flags['refresh-cache'] ? ['--refresh-cache'] : [])]
    await this.config.runCommand('autocomplete', words)
  }
}
