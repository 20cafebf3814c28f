import {Args, Flags} from '@oclif/core'
import {MirrordCommand} from '../../cli/command.ts'
import {explainTable} from '../../cli/explain-output.ts'
import {startFlags} from '../../cli/flags/start.ts'
import {endWithReader} from '../../cli/pipe.ts'
import {resolvedFile} from '../../config/index.ts'
import {commandContext} from '../../cli/context.ts'

export default class ConfigShow extends MirrordCommand {
  static override summary = 'show the configuration with which a start would run'
  static override description = `Takes the words of a \`ci start\` and shows what it would run with: flags over variables over the file over defaults, each value with where it came from. Values that look like secrets are masked. Nothing is started, and nothing is asked of the cluster.`
  static override usage = 'config show [flags of ci start] [--] [PROGRAM [ARGUMENTS]]'
  static override examples = [
    '<%= config.bin %> <%= command.id %> -f mirrord.json --steal',
    '<%= config.bin %> <%= command.id %> -f --json | jq .config.feature.network',
  ]
  static override requires = []
  static override resolves = true
  static override strict = false
  static override passthrough = true
  static override args = {
    program: Args.string({ignoreStdin: true, description: 'as for `ci start`; it changes nothing here'}),
  }
  static override flags = {
    ...startFlags,
    json: Flags.boolean({summary: 'a JSON object: config, origins, warnings, file'}),
    yaml: Flags.boolean({exclusive: ['json'], summary: 'the configuration as a YAML file'}),
  }

  async run(): Promise<void> {
    endWithReader()
    const {flags, resolved} = commandContext()
    const {config, origins, warnings, file} = resolved!
    const {json, yaml} = flags
    if (json !== true) for (const warning of warnings) process.stderr.write(`! ${warning}\n`)
    if (json === true) {
      const set = [...origins].filter(([, origin]) => origin !== 'default')
      const shown = {
        file: file ?? null,
        config: resolvedFile(config, {mask: true}),
        origins: Object.fromEntries(set),
        warnings,
      }
      process.stdout.write(`${JSON.stringify(shown, undefined, 2)}\n`)
    } else if (yaml === true) {
      const {yamlText} = await import('../../cli/yaml-output.ts')
      process.stdout.write(yamlText(resolvedFile(config, {mask: true})))
    } else process.stdout.write(explainTable(resolved!))
  }
}
