import {Flags} from '@oclif/core'
import path from 'node:path'
import {MirrordCommand} from '../cli/command.ts'
import {commandContext} from '../cli/context.ts'
import {startFlags} from '../cli/flags/start.ts'
import {endWithReader} from '../cli/pipe.ts'
import {exitCodes} from '../errors/exit-codes.ts'

export default class Doctor extends MirrordCommand {
  static override summary = 'look at everything that a start needs, without starting anything'
  static override description = `Takes the flags of \`ci start\` and looks at this machine, the kubeconfig, the cluster, every right that this configuration makes use of, and the target: one line each, with what to do. Nothing is made in the cluster. Ends with the exit code of the first failure; with --rbac missing rights are none.

With --rbac stdout is the YAML of the least roles, with their bindings, that grant the rights that are missing to whom the kubeconfig is for; the lines go to stderr.`
  static override usage = 'doctor [flags of ci start] [--orphans] [--rbac | --json]'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --target deployment/ip-visit-counter',
    '<%= config.bin %> <%= command.id %> -f mirrord.json --rbac | kubectl apply -f -',
    '<%= config.bin %> <%= command.id %> -t pod/web-0 --ephemeral-container --json | jq .missing',
  ]
  static override requires = []
  static override resolves = true
  static override flags = {
    ...startFlags,
    rbac: Flags.boolean({exclusive: ['json'], summary: 'print the roles that grant what is missing'}),
    orphans: Flags.boolean({summary: 'look at the rights of `ci stop --orphans` too'}),
    json: Flags.boolean({summary: 'a JSON object: checks, missing'}),
  }

  async run(): Promise<void> {
    endWithReader()
    const {flags, resolved} = commandContext()
    const {config, warnings} = resolved!
    const {clusterChecks, machineChecks} = await import('../doctor/index.ts')
    const {checkLines, checksJson, rolesYaml} = await import('../cli/doctor-output.ts')
    const {stateRoot} = await import('../session/roots.ts')
    const [machine, cluster] = await Promise.all([
      machineChecks({
        trapPath: path.join(this.config.root, 'lib/trap/mirrord-trap'),
        temporary: path.dirname(stateRoot(process.env, process.getuid!())),
        intercept: flags.intercept !== false,
      }),
      clusterChecks(config, process.env, {orphans: flags.orphans === true}),
    ])
    const checks = [...machine, ...cluster.checks]
    const {rbac, json} = flags
    for (const warning of warnings) process.stderr.write(`! ${warning}\n`)
    if (json === true) process.stdout.write(checksJson(checks, cluster.missing))
    else if (rbac === true) {
      process.stderr.write(checkLines(checks, process.stderr))
      process.stdout.write(rolesYaml(cluster.missing, cluster.user))
    } else process.stdout.write(checkLines(checks, process.stdout))
    // A printed role is the answer to what is forbidden.
    const failure = checks.find(({report}) => report !== undefined && !(rbac === true && report.exit === 'forbidden'))
    if (failure?.report) this.exit(exitCodes[failure.report.exit].code)
  }
}
