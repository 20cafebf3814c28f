import {Args, Flags} from '@oclif/core'
import {MirrordCommand} from '../../cli/command.ts'
import {endWithReader} from '../../cli/pipe.ts'
import {printStatuses} from '../../cli/status-output.ts'
import {currentJob} from '../../session/current-job.ts'
import {sessionStatuses} from '../../session/status.ts'

export default class CiStatus extends MirrordCommand {
  static override summary = 'show the sessions of this CI job'
  static override description = `For each session: target, pod, state (starting, running, ready, stopping, failed, ended), process ids of the program and of its session, ports of the pod and where the program listens for them, requests so far (connections, where HTTP is not parsed), bytes received and sent, time since its start. A session that died without being stopped is shown as failed until \`ci stop\` has reported it.

Asks neither the cluster nor the configuration. Exits 0 whatever the states are: to test one, use \`ci wait\`.`
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> server',
    "<%= config.bin %> <%= command.id %> --json | jq -r '.[].state'",
  ]
  static override args = {
    name: Args.string({ignoreStdin: true, description: 'one session, by its name [default: all]'}),
  }
  static override flags = {json: Flags.boolean({summary: 'a JSON array, its fields as in docs/ci/status.md'})}
  static override requires = []

  async run(): Promise<void> {
    endWithReader()
    const {args, flags} = await this.parse(CiStatus)
    const statuses = await sessionStatuses(currentJob(process.env), args.name, Date.now())
    if (flags.json) process.stdout.write(`${JSON.stringify(statuses, undefined, 2)}\n`)
    else await printStatuses(statuses)
  }
}
