import {readFileSync} from 'node:fs'
import path from 'node:path'
import type {SessionDirectory, SessionRecord} from './state.ts'

/** Where the job's report goes, as the start decided it. */
export interface ReportPlace {
  folder: string
  /** We chose it below a folder that all users of the machine share, so it must prove to be this user's. */
  own: boolean
}

/**
 * The folder of the job's report: `ci.report_dir`, else `report-<job>` beside the folders of the programs' output, so that
 * nothing is written into the user's repository unasked.
 */
export function reportPlace(
  job: string,
  {reportDir, outputDir, temporary, cwd}: {reportDir?: string; outputDir?: string; temporary: string; cwd: string},
): ReportPlace {
  if (reportDir !== undefined) return {folder: path.resolve(cwd, reportDir), own: false}
  const base = path.resolve(cwd, outputDir ?? path.join(temporary, 'mirrord'))
  return {folder: path.join(base, `report-${job}`), own: outputDir === undefined}
}

/**
 * The text of the `report.json` of a session that has ended: a killed one leaves its state directory, one that ended in order
 * only the copy beside the program's output. Undefined when there is none.
 */
export function leftReport(directory: SessionDirectory, record: SessionRecord): string | undefined {
  for (const folder of [directory.path, record.outputDirectory]) {
    if (folder === undefined) continue
    try {
      return readFileSync(path.join(folder, 'report.json'), 'utf8')
    } catch {
      // Not here; that there is none at all is said in the merged report.
    }
  }
  return undefined
}
