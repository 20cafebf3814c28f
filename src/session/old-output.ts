import path from 'node:path'
import {knownRecord} from './known-record.ts'
import {isRunning} from './liveness.ts'
import type {Log} from './log.ts'
import {removeOldFolders} from './old-folders.ts'
import {jobsIn} from './reap.ts'
import {searchRoots} from './roots.ts'
import type {SessionSpec} from './spec.ts'
import {SessionStore} from './state.ts'

/**
 * Removes the folders of output and reports of earlier sessions below our own default folder, when this session's is there too: never where
 * the user chose the place (`ci.output_dir`). Says in the log how many, and never throws.
 */
export async function removeOldOutput(
  {config, outputDirectory, environment}: Pick<SessionSpec, 'config' | 'outputDirectory' | 'environment'>,
  log: Log,
): Promise<void> {
  if (config.ci.output_dir !== undefined || outputDirectory === undefined) return
  try {
    const {removed, problems} = await removeOldFolders(path.dirname(outputDirectory), Date.now(), () =>
      foldersInUse(environment),
    )
    if (removed > 0) log(`output: old folders removed: ${removed}`)
    if (problems.length > 0) log(`output: old folders that could not be removed: ${problems.length} (${problems[0]})`)
  } catch (error) {
    log(`output: old folders could not be looked for: ${(error as Error).message}`)
  }
}

/**
 * The names of the folders that stay: those of the output of this user's sessions that run, and those of the reports to which
 * any session that is still known will be added, of whichever job.
 */
async function foldersInUse(env: Readonly<Record<string, string | undefined>>): Promise<ReadonlySet<string>> {
  const names = new Set<string>()
  for (const root of searchRoots(env, process.getuid?.() ?? 0))
    for (const job of jobsIn(root))
      for (const directory of new SessionStore(root, job).list()) {
        const record = await knownRecord(directory)
        // By name, which is unique: the folder above it may be reached by several paths.
        if (record?.report) names.add(path.basename(record.report.folder))
        if (record?.outputDirectory !== undefined && (await isRunning(directory, record)))
          names.add(path.basename(record.outputDirectory))
      }
  return names
}
