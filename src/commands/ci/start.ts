import {Args, Flags} from '@oclif/core'
import {writeOutputs} from '../../cli/ci-log.ts'
import {MirrordCommand} from '../../cli/command.ts'
import {startFlags} from '../../cli/flags/start.ts'
import {readyJson, runSession} from '../../cli/run-session.ts'
import {formatReady} from '../../cli/start-output.ts'
import {commandContext} from '../../hooks/context.ts'

export default class CiStart extends MirrordCommand {
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
  static override strict = false
  static override passthrough = true
  static override args = {
    program: Args.string({required: true, ignoreStdin: true, description: 'the program to run, with its arguments'}),
  }
  static override flags = {
    ...startFlags,
    json: Flags.boolean({exclusive: ['foreground'], summary: 'the result, or the error, as a JSON object on stdout'}),
  }

  async run(): Promise<void> {
    const context = commandContext()
    const {flags} = context
    const {version, root} = this.config
    const outcome = await runSession(context, {
      name: 'ci start',
      version,
      root,
      foreground: flags.foreground === true,
      wait: flags.wait !== false,
    })
    if (outcome.type === 'exited') return this.exit(outcome.status)
    const unwritten = writeOutputs(outcome.summary, process.env)
    if (unwritten) outcome.warn(unwritten)
    this.log(flags.json === true ? readyJson(outcome.summary) : formatReady(outcome.summary))
  }
}
