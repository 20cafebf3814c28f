import {Args, Flags} from '@oclif/core'
import {MirrordCommand} from '../../cli/command.ts'
import {logPrinter} from '../../cli/logs-output.ts'
import {endWithReader} from '../../cli/pipe.ts'
import {currentJob} from '../../session/current-job.ts'
import {currentSessions} from '../../session/lookup.ts'
import {showOutput} from '../../session/logs.ts'
import type {OutputStream} from '../../session/output-files.ts'

const streams: Record<string, readonly OutputStream[]> = {
  stdout: ['stdout'],
  stderr: ['stderr'],
  both: ['stdout', 'stderr'],
}

export default class CiLogs extends MirrordCommand {
  static override summary = "show the output of this job's programs"
  static override description = `Prints the program's stdout, then its stderr, both on stdout; the files do not say how the two were mixed. With --follow, goes on with what is written from now on, in the order in which it comes, until the session has ended. On terminals stderr has a colour of its own. Without NAME: all sessions that there are now, each line with the session's name when there are several.

The files hold no times. --timestamps gives the time at which a line was seen by this command, so it needs --follow; lines that were there before have "-".`
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> server --follow --timestamps',
    '<%= config.bin %> <%= command.id %> server --stream stderr --tail 50',
  ]
  static override args = {
    name: Args.string({ignoreStdin: true, description: 'one session, by its name [default: all]'}),
  }
  static override flags = {
    follow: Flags.boolean({char: 'f', summary: 'go on until the session has ended'}),
    stream: Flags.option({
      options: ['stdout', 'stderr', 'both'] as const,
      default: 'both',
      summary: 'which of the two streams',
    })(),
    tail: Flags.integer({min: 0, helpValue: 'N', summary: 'only the last N lines of each stream [default: all]'}),
    timestamps: Flags.boolean({dependsOn: ['follow'], summary: 'when each line was seen (with --follow)'}),
  }
  static override requires = []

  async run(): Promise<void> {
    endWithReader()
    const {args, flags} = await this.parse(CiLogs)
    const found = await currentSessions(currentJob(process.env), args.name)
    if (found.length === 0) process.stderr.write('No mirrord session of this job.\n')
    const kept = found.filter(({record}) => record.outputDirectory !== undefined)
    if (kept.length > 0)
      for (const {record} of found.filter((session) => !kept.includes(session)))
        process.stderr.write(`${record.name}: its output is in no files (--foreground without ci.output_dir)\n`)
    const show = logPrinter({names: kept.length > 1, timestamps: flags.timestamps})
    const options = {streams: streams[flags.stream]!, tail: flags.tail, follow: flags.follow}
    const shown = (kept.length > 0 ? kept : found).map((session) => () => showOutput(session, options, show))
    // Followed at the same time; otherwise one after the other, so that each is in one piece.
    if (flags.follow) await Promise.all(shown.map((start) => start()))
    else for (const start of shown) await start()
  }
}
