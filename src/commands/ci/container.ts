import {Args, Flags} from '@oclif/core'
import {startFlags} from '../../cli/flags/start.ts'
import {checkContainerWords} from '../../cli/container-words.ts'
import {SessionCommand} from '../../cli/session-command.ts'

/** Without interception nothing would reach a container. */
const {intercept: _, ...flags} = startFlags

export default class CiContainer extends SessionCommand {
  static override summary = 'run a container in the background as if it ran in a pod of the cluster'
  static override description = `As \`ci start\`, for a program that is in an image. From the runtime on, the words are those of docker run, podman run or nerdctl run. Image and Dockerfile stay as they are, and the container has no more rights than the runtime gives it.

It shares this machine's network, so -p has no effect: its ports are open here as they are. -e and --env-file win over the target's environment. \`ci stop\` removes the container.`
  static override usage =
    'ci container [--target TARGET] [-f [FILE]] [flags] [--] docker|podman|nerdctl run [RUN FLAGS] IMAGE [COMMAND]'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --target deployment/ip-visit-counter -- docker run my-image:test',
    '<%= config.bin %> <%= command.id %> -f --ready-tcp 8080 -- podman run -e LOG=debug my-image',
  ]
  static override args = {
    runtime: Args.string({
      required: true,
      ignoreStdin: true,
      description: 'docker, podman or nerdctl, then run, its flags, the image and its command',
    }),
  }
  static override flags = {
    ...flags,
    foreground: Flags.boolean({summary: "stay attached to the container and exit with its program's status"}),
    json: Flags.boolean({exclusive: ['foreground'], summary: 'the result, or the error, as a JSON object on stdout'}),
  }
  static override checkWords = (words: readonly string[], flags: Readonly<Record<string, unknown>>) =>
    checkContainerWords(words, {foreground: flags.foreground === true})

  async run(): Promise<void> {
    await this.session({container: true})
  }
}
