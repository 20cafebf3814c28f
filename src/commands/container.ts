import {Args} from '@oclif/core'
import {clusterFlags} from '../cli/flags/cluster.ts'
import {targetFlags} from '../cli/flags/target.ts'
import {trafficFlags} from '../cli/flags/traffic.ts'
import {checkContainerWords} from '../cli/container-words.ts'
import {SessionCommand} from '../cli/session-command.ts'

/** Without interception nothing would reach a container. */
const {intercept: _, ...traffic} = trafficFlags('the default is mirror')

export default class Container extends SessionCommand {
  static override summary = 'run a container in the foreground as if it ran in a pod of the cluster'
  static override description = `As \`<%= config.bin %> exec\`, for a program that is in an image: by default it gets a copy of the target's traffic (mirror), which this version cannot do yet: give --steal, or "incoming": "off" in the configuration. The exit status becomes that of the container's program.

From the runtime on, the words are those of docker run, podman run or nerdctl run. In a pipeline use \`<%= config.bin %> ci container\`, which returns when the program is ready, and whose help says more.`
  static override usage =
    'container [--target TARGET] [-f [FILE]] [flags] [--] docker|podman|nerdctl run [RUN FLAGS] IMAGE [COMMAND]'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --target deployment/ip-visit-counter --steal -- docker run -it my-image:test',
  ]
  static override incomingDefault = 'mirror' as const
  static override args = {
    runtime: Args.string({
      required: true,
      ignoreStdin: true,
      description: 'docker, podman or nerdctl, then run, its flags, the image and its command',
    }),
  }
  static override flags = {...targetFlags, ...traffic, ...clusterFlags}
  static override checkWords = (words: readonly string[]) => checkContainerWords(words, {foreground: true})

  async run(): Promise<void> {
    await this.session({container: true, attached: true})
  }
}
