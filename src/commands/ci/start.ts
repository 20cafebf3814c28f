import {Args, Flags} from '@oclif/core'
import {startFlags} from '../../cli/flags/start.ts'
import {SessionCommand} from '../../cli/session-command.ts'

export default class CiStart extends SessionCommand {
  static override summary = 'run a local program in the background as if it ran in a pod of the cluster'
  static override description = `The program gets the environment and the files of the target, resolves names and connects as the target does, and what arrives at the target on the ports on which the program listens goes to the program.

Returns when the program is ready: by default when it listens and that traffic arrives here (without incoming traffic: when it has lived for a second), else when everything under READINESS has succeeded. Ends everything and fails at once when the program dies first.

From the first word that is not a flag of this command, everything belongs to the program; -- before it is optional.`
  static override usage = 'ci start [--target TARGET] [-f [FILE]] [flags] [--] PROGRAM [ARGUMENTS]'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --target deployment/ip-visit-counter go run ip-visit-counter.go',
    '<%= config.bin %> <%= command.id %> --config-file mirrord.json npm run start',
    '<%= config.bin %> <%= command.id %> -t pod/web-0/container/app --foreground -- ./build/server --port 8080',
  ]
  static override args = {
    program: Args.string({required: true, ignoreStdin: true, description: 'the program to run, with its arguments'}),
  }
  static override flags = {
    ...startFlags,
    json: Flags.boolean({exclusive: ['foreground'], summary: 'the result, or the error, as a JSON object on stdout'}),
  }

  async run(): Promise<void> {
    await this.session()
  }
}
