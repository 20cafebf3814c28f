import {appendFileSync, statSync} from 'node:fs'
import path from 'node:path'
import {exitCodes} from '../errors/exit-codes.ts'
import type {ErrorReport} from '../errors/mirrord-error.ts'
import {HTML_NAME, JSON_NAME, MARKDOWN_NAME} from './files.ts'
import {REPORT_FORMAT} from './format.ts'
import {htmlReport} from './html/page.ts'
import {markdownReport} from './markdown.ts'
import {addSession, makeFolder, mergeUntilStable, parseSession, replaceFile} from './merge.ts'
import type {JobReport, SessionReport} from './schema.ts'

/** What one step's summary may hold (GitHub Actions, "Adding a job summary"); more is refused as a whole. */
const SUMMARY_BYTES = 1024 * 1024
/** A file can be longer than a summary, but nobody reads it then. */
const MARKDOWN_BYTES = SUMMARY_BYTES

/** What a stopped session left behind. */
export interface SessionRemains {
  id: string
  name: string
  job: string
  program: string
  target?: string
  outputDirectory?: string
  /** ISO time. */
  createdAt: string
  /** Its `report.json` as last written; absent when it wrote none. */
  text?: string
  /** What had failed, as the stop found it. */
  failure?: ErrorReport
}

/** What `publishReports` needs to know. */
export interface PublishOptions {
  /** Where the report goes; made when missing. */
  folder: string
  /** The folder is one that we chose below a folder of all users: it must belong to this user. */
  own: boolean
  job: string
  version: string
  /** GitHub's file for the summary of this step. */
  summaryFile?: string
}

/** What was written. */
export interface Published {
  /** Absent: nothing could be written, a warning says why. */
  html?: string
  sessions: number
  warnings: string[]
}

/**
 * Merges what the sessions left into the job's report and writes it as JSON, Markdown and HTML, and as the step's summary.
 * Never throws for what it finds or where it writes: a report is no reason to fail a stop; `warnings` say what is missing.
 */
export function publishReports(remains: readonly SessionRemains[], options: PublishOptions): Published {
  const warnings: string[] = []
  const {folder, job, version} = options
  try {
    makeFolder(folder, options.own)
    const added: SessionReport[] = []
    for (const left of remains) {
      const {report, warning} = reportOf(left, version)
      if (warning !== undefined) warnings.push(warning)
      if (addSession(folder, report)) added.push(report)
    }
    const html = path.join(folder, HTML_NAME)
    const merged = mergeUntilStable(folder, {id: job, version, now: new Date().toISOString()}, (report) => {
      replaceFile(path.join(folder, JSON_NAME), `${JSON.stringify(report, undefined, 2)}\n`)
      const markdown = markdownReport(report, {maxBytes: MARKDOWN_BYTES, whole: JSON_NAME})
      replaceFile(path.join(folder, MARKDOWN_NAME), markdown ?? '')
      replaceFile(html, htmlReport(report))
    })
    warnings.push(...merged.warnings)
    if (options.summaryFile !== undefined && added.length > 0)
      warnings.push(...appendSummary({...merged.report, sessions: added}, options.summaryFile))
    return {html, sessions: merged.report.sessions.length, warnings}
  } catch (error) {
    return {
      sessions: 0,
      warnings: [...warnings, `The report could not be written to ${folder}: ${(error as Error).message}.`],
    }
  }
}

/** The report of one session, with what the stop knows better: a failure, or everything when it left no report. */
function reportOf(left: SessionRemains, version: string): {report: SessionReport; warning?: string} {
  const read = left.text === undefined ? {} : parseSession(left.text)
  const own = read.report?.session.id === left.id ? read.report : undefined
  const problem = read.problem ?? (read.report && !own ? `it is that of session ${read.report.session.id}` : undefined)
  const report = own ?? withoutReport(left, version)
  const {failure} = left
  if (failure) {
    const {code, exit, what, why, next} = failure
    report.failure = {code, exit: exitCodes[exit].code, what, why, next: [...next]}
  }
  return {
    report,
    warning: problem && `The report of session ${left.id} (${left.name}) could not be read: ${problem}.`,
  }
}

function withoutReport(left: SessionRemains, version: string): SessionReport {
  return {
    format: REPORT_FORMAT,
    version,
    session: {
      id: left.id,
      name: left.name,
      job: left.job,
      program: left.program,
      target: left.target,
      outputDirectory: left.outputDirectory,
      startedAt: left.createdAt,
    },
    run: {},
    phases: [],
    incoming: {mode: 'off', ports: [], routes: []},
    outgoing: [],
    dns: [],
    files: {fetched: [], written: []},
    warnings: ['This session left no report of its own: nothing is known of its traffic.'],
  }
}

/** GitHub shows the summaries of all steps one after another, and refuses one that is too long. */
function appendSummary(report: JobReport, file: string): string[] {
  try {
    const used = statSync(file, {throwIfNoEntry: false})?.size ?? 0
    const text = markdownReport(report, {maxBytes: SUMMARY_BYTES - used - 2, whole: JSON_NAME})
    if (text === undefined) return [`The step's summary ${file} is full: mirrord's part is not in it.`]
    // What is there may lack its last line feed, and a heading needs a line of its own.
    appendFileSync(file, `${used > 0 ? '\n\n' : ''}${text}`)
    return []
  } catch (error) {
    return [`The step's summary ${file} could not be written: ${(error as Error).message}.`]
  }
}
