import {Flags} from '@oclif/core'
import {MirrordCommand} from '../../cli/command.ts'
import {reportStop} from '../../cli/stop-output.ts'
import {reportSessions} from '../../cli/stop-report.ts'
import {stopSessions} from '../../session/stop.ts'
import {currentJob} from '../../session/current-job.ts'

export default class CiStop extends MirrordCommand {
  static override summary = 'stop everything that this CI job started'
  static override description = `Ends the program of every session of this job (SIGTERM, then SIGKILL after the grace), removes the redirect rules in the pod, the agent and the session's state. Safe to repeat, from any shell of the job.

Exits 0 when there was nothing to stop or every session ran until now. When a session had failed during the run, exits with that session's code and shows its last log lines.

Writes the job's report, one HTML page with its JSON and Markdown beside it, and with GITHUB_STEP_SUMMARY set the step's summary.`
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --grace 30']
  static override flags = {
    grace: Flags.integer({
      default: 10,
      min: 0,
      max: 3600,
      helpValue: 'SECONDS',
      summary: 'time between SIGTERM and SIGKILL',
    }),
    'report-dir': Flags.string({
      helpValue: 'DIR',
      summary: "where the job's report goes [default: ci.report_dir, or beside the program's output]",
    }),
  }
  static override requires = []

  async run(): Promise<void> {
    const {flags} = await this.parse(CiStop)
    const hurry = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => hurry.abort())
    const stopped = await stopSessions(currentJob(process.env), {graceMs: flags.grace * 1000, hurry: hurry.signal})
    const status = reportStop(stopped)
    await reportSessions(stopped, {
      reportDir: flags['report-dir'],
      version: this.config.version,
      summaryFile: process.env.GITHUB_STEP_SUMMARY || undefined,
    })
    this.exit(status)
  }
}
