import {Args, Flags} from '@oclif/core'
import {MirrordCommand} from '../cli/command.ts'
import {showFailure} from '../cli/failure.ts'
import {explainTable} from '../cli/explain-output.ts'
import {usageError} from '../cli/usage.ts'
import {failedVerdict, succeededVerdict, verdictOf} from '../cli/verify-output.ts'
import {exitCodes} from '../errors/exit-codes.ts'

export default class VerifyConfig extends MirrordCommand {
  static override summary = 'verify a configuration file without a cluster'
  static override description = `Reads the file as \`ci start -f PATH\` would, with the variables of the environment, and prints one JSON object: {"type": "Success", "config", "warnings", "compatible_target_types"}, or {"type": "Fail", "errors", "warnings"} with everything that is wrong at once. Then it ends with 30, 31 or 32, and says the same on stderr. Nothing is asked of the cluster.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> .mirrord/mirrord.json',
    '<%= config.bin %> <%= command.id %> mirrord.yaml --explain',
    'generate-config | <%= config.bin %> <%= command.id %> - --resolved',
  ]
  static override requires = []
  static override args = {
    path: Args.string({required: true, ignoreStdin: true, description: 'the file; - is standard input, as JSON'}),
  }
  static override flags = {
    ide: Flags.boolean({summary: 'for editors: the target may be chosen later'}),
    resolved: Flags.boolean({summary: 'the whole configuration with its defaults too, as a file again'}),
    explain: Flags.boolean({
      exclusive: ['resolved'],
      summary: 'a table instead: each key, its value, where that came from',
    }),
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(VerifyConfig)
    if (args.path === '') throw usageError('PATH is empty.', 'verify-config')
    const verdict = await verdictOf({path: args.path, ide: flags.ide, env: process.env, cwd: process.cwd()})
    if ('failure' in verdict) {
      if (!flags.explain) this.log(failedVerdict(verdict.failure))
      showFailure(verdict.failure, {stream: process.stderr, env: process.env, argv: ['verify-config']})
      return this.exit(exitCodes[verdict.failure.exit].code)
    }
    if (!flags.explain) return this.log(succeededVerdict(verdict.resolved, flags.resolved))
    for (const warning of verdict.resolved.warnings) process.stderr.write(`! ${warning}\n`)
    process.stdout.write(explainTable(verdict.resolved))
  }
}
