import {Args, Flags} from '@oclif/core'
import {MirrordCommand} from '../../cli/command.ts'
import {endingSignal} from '../../cli/ending-signal.ts'
import {orphanFlags} from '../../cli/flags/orphans.ts'
import {showStop, stopJson, stopStatus} from '../../cli/stop-output.ts'
import {reportSessions} from '../../cli/stop-report.ts'
import {stopJobs} from '../../session/stop.ts'

export default class CiStop extends MirrordCommand {
  static override summary = 'stop everything that this CI job started'
  static override description = `Ends the program of every session of this job, or of those named: SIGTERM to its whole process tree, SIGKILL to what is left after the grace. Then removes the redirect rules in the pod, the agent and the session's state. Safe to repeat, from any shell of the job.

Exits 0 when there was nothing to stop or every session ran until now, or its program had ended with status 0. When a session had failed during the run, exits with that session's code and shows its last log lines. When it is cancelled itself (SIGINT, SIGTERM), the grace ends after 2 s, and it returns after 6 s at the latest.

Writes the job's report, one HTML page with its JSON and Markdown beside it, and with GITHUB_STEP_SUMMARY set the step's summary.`
  static override usage = 'ci stop [NAME...] [flags]'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> web worker --grace 30 --signal SIGINT',
    '<%= config.bin %> <%= command.id %> --orphans',
  ]
  static override strict = false
  static override args = {
    name: Args.string({ignoreStdin: true, description: 'names of sessions (see `ci start --name`); without: all'}),
  }
  static override flags = {
    grace: Flags.integer({
      min: 0,
      max: 3600,
      helpValue: 'SECONDS',
      summary: "time between the first signal and SIGKILL [default: the session's own, 10]",
    }),
    signal: Flags.string({
      default: 'SIGTERM',
      helpValue: 'SIGNAL',
      summary: 'first signal to the processes, with or without SIG',
    }),
    'all-jobs': Flags.boolean({summary: "sessions of this user's other jobs on this machine too"}),
    'fail-on-error': Flags.boolean({
      default: true,
      allowNo: true,
      summary: 'fail when a session had failed during the run',
    }),
    'report-dir': Flags.string({
      helpValue: 'DIR',
      summary: "where the job's report goes [default: ci.report_dir, or beside the program's output]",
    }),
    json: Flags.boolean({summary: 'the result, or the error, as a JSON object on stdout'}),
    ...orphanFlags,
  }
  static override requires = []

  async run(): Promise<void> {
    const {flags, argv} = await this.parse(CiStop)
    const hurry = new AbortController()
    let cancelled: NodeJS.Signals | undefined
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.on(signal, () => {
        cancelled ??= signal
        hurry.abort()
      })
    const stopped = await stopJobs(process.env, {
      allJobs: flags['all-jobs'],
      names: argv as string[],
      graceMs: flags.grace === undefined ? undefined : flags.grace * 1000,
      signal: endingSignal(flags.signal),
      hurry: hurry.signal,
    })
    const verdict = {failOnError: flags['fail-on-error'], cancelled}
    const {json} = flags
    await showStop(stopped, json)
    const reports = await reportSessions(stopped, {
      reportDir: flags['report-dir'],
      version: this.config.version,
      summaryFile: process.env.GITHUB_STEP_SUMMARY || undefined,
    })
    if (!json) for (const html of reports) this.log(`Report: ${html}`)
    const orphans =
      flags.orphans && cancelled === undefined
        ? await (await import('../../cli/stop-orphans.ts')).clearOrphans(flags, process.env)
        : undefined
    // What failed in the sessions is the worse news.
    const status = stopStatus(stopped, verdict) || (orphans?.status ?? 0)
    if (json) this.log(stopJson(stopped, {reports, status, orphans: orphans?.result}))
    this.exit(status)
  }
}
