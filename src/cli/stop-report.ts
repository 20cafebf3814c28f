import path from 'node:path'
import type {SessionRemains} from '../report/publish.ts'
import type {StoppedSession} from '../session/stop.ts'

/**
 * Writes the report of what was stopped; the result is where its pages are. The report's code is loaded only when there is something to
 * report. It never fails a stop.
 */
export async function reportSessions(
  stopped: readonly StoppedSession[],
  options: {reportDir?: string; version: string; summaryFile?: string},
): Promise<string[]> {
  const groups = groupByFolder(stopped, options.reportDir)
  if (groups.length === 0) return []
  const pages: string[] = []
  const {publishReports} = await import('../report/publish.ts')
  for (const {folder, own, job, remains} of groups) {
    const {html, warnings} = publishReports(remains, {
      folder,
      own,
      job,
      version: options.version,
      summaryFile: options.summaryFile,
    })
    for (const warning of warnings) process.stderr.write(`! ${warning}\n`)
    if (html !== undefined) pages.push(html)
  }
  return pages
}

interface Group {
  folder: string
  own: boolean
  job: string
  remains: SessionRemains[]
}

/** One report for each job and folder; the sessions of several jobs never share one. */
function groupByFolder(stopped: readonly StoppedSession[], reportDir: string | undefined): Group[] {
  const groups = new Map<string, Group>()
  const several = new Set(stopped.map(({record}) => record.job)).size > 1
  for (const {record, failure, reportText, unfinished} of stopped) {
    // One that still runs is reported by the stop that ends it.
    if (unfinished || failure?.code === 'SESSION_NOT_STOPPED') continue
    const {job, id, name, program, target, outputDirectory, createdAt} = record
    // A session of an older version does not say where.
    const place = reportDir === undefined ? record.report : {folder: path.resolve(reportDir), own: false}
    if (!place) continue
    const folder = several && !place.own ? path.join(place.folder, job) : place.folder
    const group = groups.get(`${job} ${folder}`) ?? {folder, own: place.own, job, remains: []}
    groups.set(`${job} ${folder}`, group)
    group.remains.push({id, name, job, program, target, outputDirectory, createdAt, text: reportText, failure})
  }
  return [...groups.values()]
}
