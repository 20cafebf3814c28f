import {Args, Flags} from '@oclif/core'
import {writeOutputs} from '../../cli/ci-log.ts'
import {MirrordCommand} from '../../cli/command.ts'
import {clusterFlags} from '../../cli/flags/cluster.ts'
import {readinessFlags} from '../../cli/flags/readiness.ts'
import {runFlags, sessionFlags} from '../../cli/flags/session.ts'
import {targetFlags} from '../../cli/flags/target.ts'
import {trafficFlags} from '../../cli/flags/traffic.ts'
import {readyJson, runSession} from '../../cli/run-session.ts'
import {formatReady} from '../../cli/start-output.ts'
import {commandContext} from '../../hooks/context.ts'

/** Without interception nothing would reach a container. */
const {intercept: _, ...traffic} = trafficFlags('the default of this command')

export default class CiContainer extends MirrordCommand {
  static override summary = 'run a container in the background as if it ran in a pod of the cluster'
  static override description = `As \`ci start\`, for a program that is in an image. From the runtime on, the words are those of docker run, podman run or nerdctl run. Image and Dockerfile stay as they are, and the container has no more rights than the runtime gives it.

It shares this machine's network, so -p has no effect: its ports are open here as they are. -e and --env-file win over the target's environment. \`ci stop\` removes the container.`
  static override usage =
    'ci container [--target TARGET] [-f [FILE]] [flags] [--] docker|podman|nerdctl run [RUN FLAGS] IMAGE [COMMAND]'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --target deployment/ip-visit-counter -- docker run my-image:test',
    '<%= config.bin %> <%= command.id %> -f --ready-tcp 8080 -- podman run -e LOG=debug my-image',
  ]
  static override strict = false
  static override passthrough = true
  static override args = {
    runtime: Args.string({
      required: true,
      ignoreStdin: true,
      description: 'docker, podman or nerdctl, then run, its flags, the image and its command',
    }),
  }
  static override flags = {
    ...targetFlags,
    ...sessionFlags,
    foreground: Flags.boolean({summary: "stay attached to the container and exit with its program's status"}),
    json: Flags.boolean({exclusive: ['foreground'], summary: 'the result, or the error, as a JSON object on stdout'}),
    ...readinessFlags,
    ...traffic,
    ...runFlags,
    ...clusterFlags,
  }

  async run(): Promise<void> {
    const context = commandContext()
    const {flags} = context
    const {version, root} = this.config
    const outcome = await runSession(context, {
      name: 'ci container',
      version,
      root,
      foreground: flags.foreground === true,
      wait: flags.wait !== false,
      container: true,
    })
    if (outcome.type === 'exited') return this.exit(outcome.status)
    const unwritten = writeOutputs(outcome.summary, process.env)
    if (unwritten) outcome.warn(unwritten)
    this.log(flags.json === true ? readyJson(outcome.summary) : formatReady(outcome.summary))
  }
}
