import {commandContext} from './context.ts'
import {writeOutputs} from './ci-log.ts'
import {MirrordCommand} from './command.ts'
import {outputStatus} from './pipe.ts'
import {readyJson, runSession} from './run-session.ts'
import {formatReady} from './start-output.ts'

/** How a command's session differs from what its flags say. */
interface Kind {
  /** The words are a run line of a container runtime. */
  container?: boolean
  /** Always in the foreground, and not waited for. */
  attached?: boolean
  /** What is to be said before anything starts. */
  warnings?: readonly string[]
}

/** Base of the commands that run a program: one session, from the words of the command line. */
export abstract class SessionCommand extends MirrordCommand {
  static override strict = false
  static override passthrough = true

  /** Runs the session; ends with the program's status in the foreground, else prints what is ready. */
  protected async session({container, attached = false, warnings}: Kind = {}): Promise<void> {
    const context = commandContext()
    const {flags} = context
    const {version, root} = this.config
    const outcome = await runSession(context, {
      name: this.id!.replaceAll(':', ' '),
      version,
      root,
      foreground: attached || flags.foreground === true,
      wait: !attached && flags.wait !== false,
      container,
      warnings,
    })
    if (outcome.type === 'exited') return this.exit(outcome.status)
    const unwritten = writeOutputs(outcome.summary, process.env)
    if (unwritten) outcome.warn(unwritten)
    this.log(flags.json === true ? readyJson(outcome.summary) : formatReady(outcome.summary))
    if ((await outputStatus()) !== 0) outcome.warn('The session runs all the same: `mirrord ci stop` ends it.')
  }
}
