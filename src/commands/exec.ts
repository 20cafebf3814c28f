import {Args} from '@oclif/core'
import {clusterFlags} from '../cli/flags/cluster.ts'
import {targetFlags} from '../cli/flags/target.ts'
import {trafficFlags} from '../cli/flags/traffic.ts'
import {SessionCommand} from '../cli/session-command.ts'

/** As upstream, which runs `ci start --foreground` in its place; here the two differ in their defaults alone. */
const WITH_KEY =
  'MIRRORD_CI_API_KEY is set: this counts as a session of the CI job, as `mirrord ci start --foreground` makes it.'

export default class Exec extends SessionCommand {
  static override summary = 'run a local program in the foreground as if it ran in a pod of the cluster'
  static override description = `The program has this command's terminal or files, and its exit status becomes that of the command. By default it gets a copy of the target's traffic (mirror), which this version cannot do yet: give --steal, or "incoming": "off" in the configuration.

In a pipeline use \`<%= config.bin %> ci start\`, which returns when the program is ready.

From the first word that is not a flag of this command, everything belongs to the program; -- before it is optional.`
  static override usage = 'exec [--target TARGET] [-f [FILE]] [flags] [--] PROGRAM [ARGUMENTS]'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --target deployment/ip-visit-counter --steal go run ip-visit-counter.go',
    '<%= config.bin %> <%= command.id %> -f -- npm run start',
  ]
  static override incomingDefault = 'mirror' as const
  static override args = {
    program: Args.string({required: true, ignoreStdin: true, description: 'the program to run, with its arguments'}),
  }
  static override flags = {
    ...targetFlags,
    ...trafficFlags('the default is mirror'),
    ...clusterFlags,
  }

  async run(): Promise<void> {
    await this.session({attached: true, warnings: process.env.MIRRORD_CI_API_KEY ? [WITH_KEY] : []})
  }
}
