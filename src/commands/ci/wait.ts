import {Args, Flags} from '@oclif/core'
import {MirrordCommand} from '../../cli/command.ts'
import {reportWait} from '../../cli/wait-output.ts'
import {currentJob} from '../../session/current-job.ts'
import {currentSessions} from '../../session/lookup.ts'
import {waitForSessions, type Goal} from '../../session/wait.ts'

export default class CiWait extends MirrordCommand {
  static override summary = 'wait until a session is ready, or until its program has ended'
  static override description = `ready: exits 0 when the program is ready, or at once with the code of what failed before that. exit: exits with the program's own status when it has ended (128 + n for signal n), or with the code of what ended its session.

Without NAME all sessions of this job: all of them have to be ready, or to end; the exit code is that of the first that failed. When the time is up: 71 (ready) or 76 (exit). When a session is stopped meanwhile: 77.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> --for ready --timeout 60',
    '<%= config.bin %> <%= command.id %> migration --for exit',
  ]
  static override args = {
    name: Args.string({ignoreStdin: true, description: 'one session, by its name [default: all]'}),
  }
  static override flags = {
    for: Flags.option({options: ['ready', 'exit'] as const, required: true, summary: 'what to wait for'})(),
    timeout: Flags.integer({
      min: 1,
      max: 604_800,
      helpValue: 'SECONDS',
      summary: 'how long to wait [default: no limit]',
    }),
  }
  static override requires = []

  async run(): Promise<void> {
    const {args, flags} = await this.parse(CiWait)
    const goal: Goal = flags.for
    const sessions = await currentSessions(currentJob(process.env), args.name)
    const result = await waitForSessions(sessions, goal, flags.timeout && flags.timeout * 1000)
    this.exit(reportWait(result, goal, flags.timeout))
  }
}
