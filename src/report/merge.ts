import {createHash, randomBytes} from 'node:crypto'
import {
  constants,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import {JSON_NAME, PARTS} from './files.ts'
import {REPORT_FORMAT} from './format.ts'
import {jobReportSchema, sessionReportSchema, type JobReport, type SessionReport} from './schema.ts'

/** Other stops may add sessions while this one writes; each round takes them in. */
const ROUNDS = 50

/** Writes a file at once: a reader sees the old one or the new one, and a link of that name is replaced, not followed. */
export function replaceFile(file: string, text: string): void {
  const temporary = `${file}.${randomBytes(4).toString('hex')}`
  try {
    writeFileSync(temporary, text, {flag: 'wx'})
    renameSync(temporary, file)
  } catch (error) {
    rmSync(temporary, {force: true})
    throw error
  }
}

/**
 * Adds one session's report to the folder. Of two reports of the same session, by two stops at once, the one that knows more
 * stays. True when this call was the first to bring the session. Errors: those of node:fs.
 */
export function addSession(folder: string, report: SessionReport): boolean {
  mkdirSync(path.join(folder, PARTS), {recursive: true})
  const file = path.join(folder, PARTS, `${report.session.id}.json`)
  const temporary = `${file}.${randomBytes(4).toString('hex')}`
  writeFileSync(temporary, `${JSON.stringify(report, undefined, 2)}\n`, {flag: 'wx'})
  try {
    if (claim(temporary, file)) return true
    const present = readPart(file)
    const better = !present.report || knowledge(report) > knowledge(present.report)
    if (better) renameSync(temporary, file)
    return false
  } finally {
    rmSync(temporary, {force: true})
  }
}

/** Gives the file its name unless that is taken; false when it is. */
function claim(temporary: string, file: string): boolean {
  try {
    try {
      linkSync(temporary, file)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error
      // Some shared and foreign file systems have no hard links.
      copyFileSync(temporary, file, constants.COPYFILE_EXCL)
    }
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

const knowledge = ({failure, session}: SessionReport) => (failure ? 2 : 0) + (session.endedAt ? 1 : 0)

/** Reads a report of another process; never throws. */
export function parseSession(text: string): {report?: SessionReport; problem?: string} {
  const read = parseJson(text)
  if (read.problem !== undefined) return {problem: read.problem}
  const result = sessionReportSchema.safeParse(read.value)
  return result.success ? {report: result.data} : {problem: problemOf(result.error.issues)}
}

function problemOf([issue]: readonly {path: PropertyKey[]; message: string}[]): string {
  return `it is not a report of this version (${issue?.path.join('.') || 'its whole'}: ${issue?.message})`
}

function parseJson(text: string): {value?: unknown; problem?: string} {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return {problem: `it is not JSON (${(error as Error).message})`}
  }
  const format = (value as {format?: unknown} | null)?.format
  if (format !== REPORT_FORMAT)
    return {problem: `its format is ${JSON.stringify(format) ?? 'not stated'}, and this version reads ${REPORT_FORMAT}`}
  return {value}
}

function readPart(file: string): {report?: SessionReport; problem?: string} {
  try {
    return parseSession(readFileSync(file, 'utf8'))
  } catch (error) {
    return {problem: (error as Error).message}
  }
}

/** What a folder holds now. */
interface Contents {
  sessions: SessionReport[]
  warnings: string[]
  /** Changes with every session that is added or improved. */
  signature: string
}

function readParts(folder: string, job: string): Contents {
  const sessions: SessionReport[] = []
  const warnings: string[] = []
  const signature = createHash('sha256')
  for (const name of readdirSync(path.join(folder, PARTS)).sort()) {
    if (!name.endsWith('.json')) continue
    const file = path.join(folder, PARTS, name)
    const stat = statSync(file, {bigint: true, throwIfNoEntry: false})
    if (!stat) continue
    signature.update(`${name}\0${stat.ino}\0${stat.mtimeNs}\0${stat.size}\0`)
    const {report, problem} = readPart(file)
    if (!report) warnings.push(`The report ${file} was left out: ${problem}.`)
    else if (report.session.job === job) sessions.push(report)
  }
  return {sessions, warnings, signature: signature.digest('hex')}
}

/** Sessions of a merged report that is already there without their files: an earlier step's, restored from an artifact. */
function readMerged(file: string, job: string): {sessions: SessionReport[]; createdAt?: string; warning?: string} {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {sessions: []}
    return {sessions: [], warning: `The report ${file} was replaced: ${(error as Error).message}.`}
  }
  const read = parseJson(text)
  const result = read.problem === undefined ? jobReportSchema.safeParse(read.value) : undefined
  if (!result?.success)
    return {
      sessions: [],
      warning: `The report ${file} was replaced: ${read.problem ?? problemOf(result?.error.issues ?? [])}.`,
    }
  // Another job's report in the same folder is over: the folder shows the job that stopped last.
  return result.data.job === job ? result.data : {sessions: []}
}

/** The job's report as the folder has it now. `now`: ISO time for a report that is new. */
export function mergeFolder(
  folder: string,
  job: {id: string; version: string; now: string},
): {report: JobReport; warnings: string[]; signature: string} {
  const parts = readParts(folder, job.id)
  const merged = readMerged(path.join(folder, JSON_NAME), job.id)
  const byId = new Map(merged.sessions.map((session) => [session.session.id, session]))
  for (const session of parts.sessions) byId.set(session.session.id, session)
  const sessions = [...byId.values()].sort(
    (a, b) =>
      Date.parse(a.session.startedAt) - Date.parse(b.session.startedAt) || (a.session.id < b.session.id ? -1 : 1),
  )
  return {
    report: {
      format: REPORT_FORMAT,
      version: job.version,
      job: job.id,
      run: sessions.find(({run}) => Object.keys(run).length > 0)?.run ?? {},
      createdAt: job.now,
      sessions,
    },
    warnings: [...parts.warnings, ...(merged.warning === undefined ? [] : [merged.warning])],
    signature: parts.signature,
  }
}

/**
 * Merges and writes until what was written is what is there: of several stops at once, the last to write has seen every
 * session, so none is lost and no lock can be left behind. `write` gets each merged report.
 */
export function mergeUntilStable(
  folder: string,
  job: {id: string; version: string; now: string},
  write: (report: JobReport) => void,
): {report: JobReport; warnings: string[]} {
  const warnings = new Set<string>()
  for (let round = 1; ; round++) {
    const merged = mergeFolder(folder, job)
    for (const warning of merged.warnings) warnings.add(warning)
    write(merged.report)
    if (round === ROUNDS || readParts(folder, job.id).signature === merged.signature)
      return {report: merged.report, warnings: [...warnings]}
  }
}

/** Makes the folder; one that must be this user's alone, below a folder that everybody may write to, is judged. */
export function makeFolder(folder: string, own: boolean): void {
  mkdirSync(folder, {recursive: true})
  if (!own) return
  const stat = lstatSync(folder)
  if (!stat.isDirectory() || stat.uid !== process.getuid?.()) throw new Error(`${folder} is not a folder of this user`)
}
